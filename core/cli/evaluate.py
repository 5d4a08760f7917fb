"""`evaluate`: how good models are on labelled clips, with intervals, compared pairwise, and what training saw."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.analyses.predict import ModelPredictions, Predictions
from core.analyses.request import AnalysisRequest, Note, Result
from core.analyses.statistics import RESAMPLES
from core.analyses.table import write_csv
from core.audio.decoder import decoder
from core.cli.candidates import Candidate, of_models, of_runs
from core.cli.output import clip_json, failed_passes, make_directory, model_json
from core.cli.session import CASUALTIES, DONE, complain, progress, session, show
from core.corpora.samples import samples_reader
from core.corpora.uploads import Uploads
from core.engine.build import local_engine
from core.engine.interface import Engine, Failure, Job
from core.errors import Refusal
from core.evaluation.audit import UNTRAINED, audit
from core.evaluation.compare import Comparison, Scores, compare, score
from core.evaluation.outcome import Group, Member, class_names, outcome, scorable
from core.evaluation.result import as_json, rows
from core.evaluation.text import as_text
from core.models.info import Role
from core.provenance import origin, write_json
from core.store.store import Store
from core.studies.answers import answer
from core.studies.compute import Computed, results
from core.studies.slices import WHOLE, Groups


def evaluate(arguments: argparse.Namespace) -> int:
    """Print scores, comparisons and the audit; with --out also evaluate.csv and evaluate.json."""
    begun = time.monotonic()
    check_options(arguments)
    with session(arguments) as (settings, store):
        found = (of_models if arguments.models else of_runs)(arguments, settings, store)
        if arguments.out:
            make_directory(arguments.out)
        uploads = Uploads(settings.uploads_in_memory, settings.cache_dir / "uploads")
        engine = local_engine(settings, store, samples_reader(decoder(), uploads))
        try:
            asked = ask(found.candidates, engine, store, arguments.seed)
            status = engine.status()
        finally:
            engine.close()
        casualties = found.casualties + asked.casualties
        groups = make_groups(found.candidates, asked.predictions)
        if not groups:
            raise Refusal(f"Nothing could be evaluated; the first reason: {(casualties or asked.notes or ['none'])[0]}")
        scores, comparisons, notes = judge(groups, found.reference, arguments.seed)
        notes = list(dict.fromkeys([*found.notes, *asked.notes, *notes]))
        print(as_text(scores, comparisons))
        if arguments.out:
            write_csv(arguments.out / "evaluate.csv", rows(scores, comparisons))
            clips = {clip.clip_id: clip for group in groups for m in group.members for clip in m.outcome.clips}
            about: dict[str, Any] = {
                **origin(),
                "registry": str(settings.registry) if arguments.models else None,
                "runs": [str(path) for path in arguments.runs or ()],
                "seed": arguments.seed,
                "resamples": RESAMPLES,
                "device": status.device,
                "dtype": status.precision.dtype,
                "reference": found.reference,
                "models": [model_json(member.model) for group in groups for member in group.members],
                "clips": [clip_json(clip) | {"speaker": clip.speaker} for clip in clips.values()],
                **as_json(scores, comparisons),
                "wall_time_s": round(time.monotonic() - begun, 3),
                "cache": {"hits": asked.hits, "misses": asked.computed},
                "casualties": casualties,
                "notes": notes,
            }
            write_json(arguments.out / "evaluate.json", about)
    complain(casualties + [f"Note: {note}" for note in notes])
    return CASUALTIES if casualties else DONE


def check_options(arguments: argparse.Namespace) -> None:
    """Refuse options that would have no effect."""
    if arguments.models and not arguments.clips:
        raise Refusal("--models needs --clips: say what to evaluate them on.")
    if arguments.models and arguments.base:
        raise Refusal("--base goes with --runs; a registry names each model's own.")
    if arguments.runs and arguments.registry:
        raise Refusal("--registry goes with --models; runs are read from their own directories.")
    if not arguments.clips and (arguments.where or arguments.balanced or arguments.limit):
        raise Refusal("--where, --balanced and --limit choose from --clips: give those too, or leave them out.")


@dataclass
class Asked:
    """What the models said (None where a candidate could not be asked), and how that went."""

    predictions: list[ModelPredictions | None] = field(default_factory=list)
    casualties: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    hits: int = 0
    computed: int = 0


def ask(candidates: Sequence[Candidate], engine: Engine, store: Store, seed: int) -> Asked:
    """Each candidate's predictions on those of its clips that have a label among its classes."""
    asked = Asked()
    failures: list[Failure] = []
    wanted = [scorable(one.model, one.clips) for one in candidates]
    total, done = sum(map(len, wanted)), 0

    def compute(names: Sequence[str], groups: Groups) -> Computed[Result]:
        return results(names, groups, store, engine.precision)

    with progress("passes", total) as bar:
        for one, clips in zip(candidates, wanted, strict=True):
            asked.predictions.append(None)
            asked.notes += _left_out(one)
            if not clips:
                asked.casualties.append(f"{one.model.name}: none of its {len(one.clips)} clips has a label it knows.")
                continue
            request = AnalysisRequest((one.model,), tuple(clips), one.model.name, seed=seed)

            def shown(job: Job, groups: Groups, before: int = done) -> None:
                show(bar, total, before + job.done)

            try:
                answers = answer(["predict"], request, engine, store, compute, progress=shown)
            except Refusal as error:
                asked.casualties.append(f"{one.model.name}: {error}")
                continue
            done += len(clips)
            result = answers.results[WHOLE]["predict"]
            assert isinstance(result, Predictions)
            asked.predictions[-1] = result.models[0]
            asked.notes += [_sentence(note) for note in result.notes]
            failures += answers.failures
            asked.hits, asked.computed = asked.hits + answers.hits, asked.computed + answers.computed
    asked.casualties += failed_passes(failures)
    return asked


def _left_out(one: Candidate) -> list[str]:
    """What of its clips does not count, or not whole."""
    model, kept = one.model, scorable(one.model, one.clips)
    bare = sum(clip.label is None for clip in one.clips)
    foreign = len(one.clips) - bare - len(kept)
    notes = [f"{bare} clips have no label and are left out."] if bare else []
    if foreign:
        known = {clip.label for clip in kept}
        others = ", ".join(sorted({str(clip.label) for clip in one.clips if clip.label not in {None, *known}}))
        notes.append(
            f"{model.name}: {foreign} clips are labelled {others}, not among its classes "
            f"({', '.join(model.labels)}), and are left out."
        )
    long = sum(clip.n_samples > model.shape.window_samples for clip in kept)
    if long:
        window = model.shape.window_samples / model.shape.sampling_rate
        notes.append(f"{model.name}: {long} clips are longer than its window; it heard their first {window:g} s.")
    return notes


def make_groups(candidates: Sequence[Candidate], predictions: Sequence[ModelPredictions | None]) -> list[Group]:
    """Rows of the table, in the order of their first candidate; classes in one order wherever they are the same."""
    orders: dict[frozenset[str], tuple[str, ...]] = {}
    members: dict[str, list[Member]] = {}
    classes: dict[str, tuple[str, ...]] = {}
    for one, said in zip(candidates, predictions, strict=True):
        names = orders.setdefault(frozenset(class_names(one.model)), class_names(one.model))
        if said is None:
            continue
        result = outcome(said, names)
        if not result.clips:
            continue
        classes[one.row] = names
        seen = UNTRAINED if one.model.role is Role.UNTRAINED else audit(one.manifest, result.clips)
        members.setdefault(one.row, []).append(Member(one.title, one.model, result, seen, one.fold, one.seed))
    return [Group(name, classes[name], tuple(found)) for name, found in members.items()]


def judge(groups: Sequence[Group], reference: str, seed: int) -> tuple[list[Scores], list[Comparison], list[str]]:
    """Scores of all groups, their differences from the reference, and notes."""
    scores = [score(group, seed) for group in groups]
    notes = [_sentence(note) for one in scores for note in one.notes]
    base = next((group for group in groups if group.name == reference), None)
    if base is None:
        return scores, [], [*notes, f"{reference}, the reference, could not be evaluated: no comparisons."]
    found = [compare(group, base, seed) for group in groups if group is not base]
    notes += [_sentence(one) for one in found if isinstance(one, Note)]
    return scores, [one for one in found if isinstance(one, Comparison)], notes


def _sentence(note: Note) -> str:
    return f"{note.about}: {note.reason}"
