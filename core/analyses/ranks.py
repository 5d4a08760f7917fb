"""Adapters of several ranks side by side: maps of clips, and how far emotions lie apart (Ma, Sang, Li, section 3.4)."""

from itertools import combinations

import numpy as np
from threadpoolctl import threadpool_limits

from core.analyses.ranks_features import standardised
from core.analyses.ranks_maps import ROWS_NEEDED, depths, plane
from core.analyses.ranks_result import Maps, Ranks, Sensitivity, Separation
from core.analyses.ranks_scores import PROBE, PURITY, SILHOUETTE, Scores, scores
from core.analyses.reading import distinct, missing_note, repeat_note
from core.analyses.request import AnalysisRequest, Note, Records
from core.analyses.separation import NEIGHBOURS
from core.analyses.statistics import speaker_note
from core.emotions import canonical
from core.engine.interface import Pass, Task
from core.models.info import ModelInfo


def needs(request: AnalysisRequest, records: Records | None = None) -> tuple[Task, ...]:
    """A forward pass of each adapter over each clip that keeps A's outputs, a clip's together."""
    clips = distinct(request.clips)
    return tuple(
        Pass.over(model, clip, request.window_start, lora=True) for clip in clips for model in _adapters(request)
    )


def compute(records: Records, request: AnalysisRequest) -> Ranks:
    """Maps at the paper's depths and separation at all of every adapter, and differences between each two.

    On one thread: several add up in another order each time, of which t-SNE makes much, and on a busy machine they
    wait for each other far longer than all of it takes.
    """
    import sklearn.manifold  # noqa: F401  # only what is loaded can be limited

    with threadpool_limits(1):
        return _compute(records, request)


def _compute(records: Records, request: AnalysisRequest) -> Ranks:
    notes: list[Note | None] = [repeat_note(request), speaker_note([clip.speaker for clip in distinct(request.clips)])]
    if request.frames == "audio" and request.variant != "corrected":
        reason = "Features are flattened over all frames, padding too: clips of different length have no other."
        notes.append(Note("ranks", reason))
    maps: list[Maps] = []
    found: list[Scores] = []
    for model in _adapters(request):
        clips, points = standardised(records, request, model)
        notes.append(missing_note(request, model, clips))
        if not clips:
            continue
        shown = tuple(module for module in model.lora if module.layer in depths(model.shape.layers))
        planes = tuple(plane(points[m.name], pca_init=request.variant == "corrected") for m in shown)
        maps.append(Maps(model.name, clips, shown, planes))
        found.append(scores(request, model, clips, points))
        notes += _undefined_notes(found[-1], [m.name for m in model.lora if not np.ptp(points[m.name]) > 0])
    separation = [Separation(one.model.name, None, one.modules, one.bands(request.seed)) for one in found]
    sensitivity = None
    for lower, higher in combinations(found, 2):
        apart_by = _no_difference(higher.model, lower.model)
        if apart_by:
            notes.append(Note(f"{higher.model.name} - {lower.model.name}", apart_by))
            continue
        apart = higher.minus(lower)
        separation.append(Separation(higher.model.name, lower.model.name, apart.modules, apart.bands(request.seed)))
        if (lower, higher) == (found[0], found[-1]) and lower.model.rank != higher.model.rank:
            sensitivity = _sensitivity(request, apart, lower.model.name)
            notes.append(Note("rank_sensitivity", sensitivity.verdict))
    kept = dict.fromkeys(note for note in notes if note is not None)
    return Ranks(request.variant, tuple(maps), tuple(separation), sensitivity, tuple(kept))


def _adapters(request: AnalysisRequest) -> list[ModelInfo]:
    """Models with LoRA in order of rank, then as asked for."""
    return sorted((model for model in request.models if model.lora), key=lambda model: model.rank or 0)


def _no_difference(higher: ModelInfo, lower: ModelInfo) -> str | None:
    if higher.base_fingerprint != lower.base_fingerprint:
        return "Adapters over different bases: no difference."
    if {canonical(name) for name in higher.labels} != {canonical(name) for name in lower.labels}:
        return "Their classes differ: no difference."
    if not {module.name for module in higher.lora} & {module.name for module in lower.lora}:
        return "No module that both adapt: no difference."
    return None


def _sensitivity(request: AnalysisRequest, apart: Scores, versus: str) -> Sensitivity:
    """Mean over the modules where both have silhouettes, clip by clip; then over each emotion's clips."""
    values = apart.values[SILHOUETTE]
    there = values[np.isfinite(values).any(axis=1)]
    mean = there.mean(axis=0) if len(there) else np.full(values.shape[1], np.nan)
    emotions = sorted(set(apart.labels) - {""})
    bands = {name: apart.mean(apart.of(name, mean[None])[0], request.seed) for name in emotions}
    return Sensitivity(apart.model.name, versus, bands)


def _undefined_notes(one: Scores, still: list[str]) -> list[Note | None]:
    """Why values are missing."""
    model, n = one.model.name, len(one.clips)
    notes: list[Note | None] = []
    if n < ROWS_NEEDED:
        notes.append(Note(f"{model} t-SNE", f"Undefined for {n} clips: it needs at least {ROWS_NEEDED}."))
    if still:
        notes.append(Note(model, f"Undefined in {', '.join(still)}: features do not vary or are not finite."))
    unlabelled = one.labels.count("")
    if unlabelled:
        notes.append(Note(model, f"{unlabelled} clips have no label among its classes: in maps only."))
    if len(still) == len(one.modules):
        return notes
    lonely = "clips alone in their class" if len(set(one.labels) - {""}) > 1 else "fewer than two classes"
    reasons = {
        SILHOUETTE: lonely,
        PURITY: f"speakers unknown, or fewer than {NEIGHBOURS} clips of other speakers",
        PROBE: "speakers unknown or only one, or a class that no other speaker has",
    }
    for name, why in reasons.items():
        missing = int((~np.isfinite(one.values[name])).all(axis=0).sum()) - unlabelled
        if missing > 0:
            notes.append(Note(f"{model} {name}", f"{missing} labelled clips have none: {why}."))
    return notes
