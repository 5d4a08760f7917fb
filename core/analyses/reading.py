"""What every analysis of forward records shares: which passes it needs, reading them, matching classes and clips."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float64, Int

from core.analyses.request import AnalysisRequest, Note, Records
from core.corpora.clip import Clip
from core.emotions import canonical, class_index
from core.engine.interface import Pass, Task
from core.models.info import ModelInfo
from core.store.forward import ForwardRecord

UNLABELLED = -1
_NAMED = 5  # how many clips a note names before it only counts them


def forward_passes(request: AnalysisRequest, records: Records | None = None) -> tuple[Task, ...]:
    """One forward pass for each model and clip, a clip's together, so that all models' curves grow at once."""
    clips = distinct(request.clips)
    return tuple(Pass.over(model, clip, request.window_start) for clip in clips for model in request.models)


def audio_frames(model: ModelInfo, clip: Clip, window_start: int) -> int:
    """How many of the frames that the model sees of the clip hold audio."""
    start = Pass.over(model, clip, window_start).window_start
    samples = min(clip.n_samples - start, model.shape.window_samples)
    return max(1, -(-samples // model.shape.samples_per_frame))


def forward_records(
    records: Records, request: AnalysisRequest, model: ModelInfo
) -> Iterator[tuple[Clip, ForwardRecord]]:
    """The model's records one at a time, in the request's order; a clip without one is skipped, a repeat read once."""
    for clip in distinct(request.clips):
        record = records.forward(model, clip)
        if record is None:
            continue
        points, _, classes = record.lens_raw.shape
        if (points - 1, classes) != (model.shape.layers, len(model.labels)):
            raise ValueError(
                f"The record of {clip.name!r} under {model.name!r} has {points - 1} layers and {classes} classes, "
                f"expected {model.shape.layers} and {len(model.labels)}"
            )
        yield clip, record


def missing_note(request: AnalysisRequest, model: ModelInfo, used: Sequence[Clip]) -> Note | None:
    """Which clips the model has no record of."""
    have = {clip.clip_id for clip in used}
    wanted = distinct(request.clips)
    gone = [clip.name for clip in wanted if clip.clip_id not in have]
    if not gone:
        return None
    return Note(model.name, f"{len(gone)} of {len(wanted)} clips have no record and are left out: {_some(gone)}.")


def repeat_note(request: AnalysisRequest) -> Note | None:
    """That some clips are the same audio under two names."""
    repeats = len(request.clips) - len(distinct(request.clips))
    return Note("clips", f"{repeats} clips are the same audio as another and count once.") if repeats else None


def undefined_note(model: ModelInfo, clips: Sequence[Clip], *values: Float64[np.ndarray, "clips ..."]) -> Note | None:
    """Which clips' own numbers are NaN or infinite: every mean over them is undefined too, never 0."""
    bad = np.zeros(len(clips), dtype=bool)
    for array in values:
        bad |= ~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
    names = [clip.name for clip, is_bad in zip(clips, bad, strict=True) if is_bad]
    if not names:
        return None
    return Note(
        model.name, f"Its pass gave NaN or infinite numbers for {_some(names)}: what includes them is undefined."
    )


def match_labels(model: ModelInfo, clips: Sequence[Clip]) -> tuple[Int[np.ndarray, " clips"], tuple[Note, ...]]:
    """Each clip's class index under the model's own class names, UNLABELLED where there is none, and why."""
    found = [class_index(clip.label, model.labels) for clip in clips]
    foreign = [c for c, i in zip(clips, found, strict=True) if i is None and c.label is not None]
    notes = []
    if foreign:
        labels = ", ".join(sorted({str(clip.label) for clip in foreign}))
        notes.append(
            Note(
                model.name,
                f"{len(foreign)} clips are labelled {labels}, not among its classes ({', '.join(model.labels)}): "
                "they count as unlabelled.",
            )
        )
    if clips and all(i is None for i in found):
        notes.append(
            Note(f"{model.name} accuracy", "No clip has a label among its classes: no accuracy, UAR or critical layer.")
        )
    return np.array([UNLABELLED if i is None else i for i in found], dtype=np.int64), tuple(notes)


def comparisons(request: AnalysisRequest) -> tuple[list[tuple[ModelInfo, ModelInfo]], list[Note]]:
    """Pairs (model, reference) whose difference is defined, and why the other models have none."""
    reference = next(model for model in request.models if model.name == request.reference)
    pairs, notes = [], []
    for model in request.models:
        if model.name == reference.name:
            continue
        reason = _no_difference(model, reference)
        if reason is None:
            pairs.append((model, reference))
        else:
            notes.append(Note(f"{model.name} - {reference.name}", reason))
    return pairs, notes


def shared_clips(mine: Sequence[Clip], theirs: Sequence[Clip]) -> tuple[list[int], list[int]]:
    """Positions of the clips that both models have, in the first one's order."""
    place = {clip.clip_id: i for i, clip in enumerate(theirs)}
    both = [(i, place[clip.clip_id]) for i, clip in enumerate(mine) if clip.clip_id in place]
    return [i for i, _ in both], [j for _, j in both]


def _no_difference(model: ModelInfo, reference: ModelInfo) -> str | None:
    if model.shape.layers != reference.shape.layers:
        return (
            f"{model.shape.layers} and {reference.shape.layers} layers: models of different depth have no difference."
        )
    ours, theirs = ({canonical(label) for label in m.labels} for m in (model, reference))
    if ours != theirs:
        return f"Different classes ({', '.join(sorted(ours ^ theirs))} not in both): no difference."
    return None


def distinct(clips: Sequence[Clip]) -> list[Clip]:
    """The same audio twice would count twice, and its rows could not be told apart: the first one stands."""
    seen: dict[str, Clip] = {}
    for clip in clips:
        seen.setdefault(clip.clip_id, clip)
    return list(seen.values())


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
