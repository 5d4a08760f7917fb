"""One selection of clips as several: by emotion, speaker or session, or by whether a model is right."""

from collections.abc import Mapping
from dataclasses import replace

from core.analyses.reading import distinct
from core.analyses.request import AnalysisRequest, Records
from core.corpora.clip import Clip
from core.corpora.folds import natural_order
from core.corpora.select import value_of
from core.emotions import class_index
from core.engine.interface import Pass, Task
from core.errors import Refusal
from core.models.info import ModelInfo

FIELDS = ("emotion", "speaker", "session")
CORRECT = "correct:"  # followed by the name of the model that is right or wrong
WHOLE = ""  # the only group where nothing is split
Groups = Mapping[str, AnalysisRequest]


def check_by(by: str) -> str:
    """`by` where it names a way to split; raises Refusal."""
    if by not in FIELDS and not by.startswith(CORRECT):
        raise Refusal(f"{by!r} is no way to split clips: there are {', '.join(FIELDS)} and {CORRECT}MODEL.")
    return by


def judgements(request: AnalysisRequest, by: str | None) -> tuple[Task, ...]:
    """The passes that must be made before the clips can be split."""
    if not by or not by.startswith(CORRECT):
        return ()
    return tuple(Pass.over(_judge(request, by), clip, request.window_start) for clip in distinct(request.clips))


def split(request: AnalysisRequest, by: str | None, records: Records) -> dict[str, AnalysisRequest]:
    """The request for each group of its clips, in natural order; clips that have no such value are in none.

    Raises Refusal where no clip has one.
    """
    if not by:
        return {WHOLE: request}
    judge = _judge(request, by) if by.startswith(CORRECT) else None
    groups: dict[str, list[Clip]] = {}
    for clip in distinct(request.clips):
        value = value_of(clip, by) if judge is None else _verdict(request, judge, clip, records)
        if value is not None:
            groups.setdefault(value, []).append(clip)
    if not groups:
        needed = f"a known {by}" if judge is None else f"a label among {judge.name}'s classes"
        raise Refusal(f"None of these clips has {needed}: they can't be split by it.")
    return {name: replace(request, clips=tuple(groups[name])) for name in natural_order(groups)}


def _judge(request: AnalysisRequest, by: str) -> ModelInfo:
    name = by.removeprefix(CORRECT)
    judge = next((model for model in request.models if model.name == name), None)
    if judge is None:
        raise Refusal(f"{name!r} is not among the chosen models: split by what one of them gets right.")
    return judge


def _verdict(request: AnalysisRequest, judge: ModelInfo, clip: Clip, records: Records) -> str | None:
    truth = class_index(clip.label, judge.labels)
    record = None if truth is None else records.forward(judge, clip)
    if record is None:
        return None
    return "right" if int(record.logits.argmax()) == truth else "wrong"
