"""Outputs copied from a clean run into a corrupt one and the other way round (Heimersheim and Nanda 2024)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from core.analyses.causal_measures import Labels, best_other, contrast, outcomes, share, undefined, undefined_note
from core.analyses.causal_pairs import pairs
from core.analyses.causal_result import Effects, Name, over_clips
from core.analyses.reading import UNLABELLED, distinct, match_labels
from core.analyses.request import AnalysisRequest, Estimate, Note, Records
from core.corpora.clip import Clip
from core.engine.interventions import PatchPass
from core.models.info import ModelInfo
from core.store.intervention import COMPONENTS, DIRECTIONS


@dataclass(frozen=True)
class _Runs:
    """Pairs that have a record, with the logits of their runs (NaN where there is none). The contrast is between the
    clean run's label and the class `other`."""

    clips: tuple[Clip, ...]
    label: Labels
    other: Labels
    clean: Float64[np.ndarray, "clips classes"]
    corrupt: Float64[np.ndarray, "clips classes"]
    patched: Float64[np.ndarray, "clips components directions layers classes"]
    norm_ratio: Float64[np.ndarray, "clips components directions layers"]
    there: Bool[np.ndarray, "clips layers"]


def patch_tasks(request: AnalysisRequest, model: ModelInfo, clip: Clip, source: Clip | None) -> Iterator[PatchPass]:
    """The sweep over one pair, layer by layer."""
    start = model.shape.start_of(clip.n_samples, request.window_start)
    for layer in range(model.shape.layers):
        yield PatchPass(model, clip, start, layer, request.pairing, source, request.frames, request.span)


def patch_effects(
    records: Records, request: AnalysisRequest, model: ModelInfo
) -> tuple[Effects | None, list[Note | None]]:
    """The model's numbers, None without any record, and what must be said of them."""
    chosen = pairs(request, model)
    runs = _read(records, request, model, chosen.sources)
    notes: list[Note | None] = [*chosen.notes, _missing_note(model, len(chosen.sources), runs)]
    if runs is None:
        return None, notes
    clean, corrupt = (contrast(logits, runs.label, runs.other) for logits in (runs.clean, runs.corrupt))
    whole: dict[Name, np.ndarray] = {}
    for name, logits, own in (("clean", runs.clean, clean), ("corrupt", runs.corrupt, corrupt)):
        found = outcomes(logits, runs.label)
        whole |= {(name, "accuracy"): found["accuracy"], (name, "probability"): found["confidence"]}
        whole[name, "contrast"] = own
    layers = {}
    for i, component in enumerate(COMPONENTS):
        now = contrast(runs.patched[:, i], runs.label, runs.other)
        layers[component, "restored_share"] = share(now[:, 0] - corrupt[:, None], clean - corrupt)
        layers[component, "lost_share"] = share(clean[:, None] - now[:, 1], clean - corrupt)
        found = outcomes(runs.patched[:, i], runs.label)
        for j, direction in enumerate(DIRECTIONS):
            layers[component, f"{direction}_probability"] = found["confidence"][:, j]
            layers[component, f"{direction}_accuracy"] = found["accuracy"][:, j]
            layers[component, f"{direction}_norm_ratio"] = runs.norm_ratio[:, i, j]
    effects = over_clips(model, request.pairing, whole, layers, [clip.speaker for clip in runs.clips], request.seed)
    gap = effects.whole["clean", "undefined"] = undefined(clean - corrupt)
    effects.whole["clean", "pairs"] = Estimate(float(len(runs.clips)), n=len(runs.clips))
    notes.append(undefined_note(f"{model.name} shares", gap, "pairs", "the clean and the corrupt run"))
    return effects, notes


def _read(
    records: Records, request: AnalysisRequest, model: ModelInfo, sources: Mapping[str, Clip | None]
) -> _Runs | None:
    """Whatever records there are of the model's pairs."""
    shape = len(COMPONENTS), len(DIRECTIONS), model.shape.layers
    clips, clean, corrupt, patched, ratios, there = [], [], [], [], [], []
    for clip in distinct(request.clips):
        if clip.clip_id not in sources:
            continue
        tasks = patch_tasks(request, model, clip, sources[clip.clip_id])
        found = {task.layer: one for task in tasks if (one := records.patch(task)) is not None}
        if not found:
            continue
        clips.append(clip)
        first = found[min(found)]  # the runs as they are, of which every layer's record has a copy
        clean.append(first.clean)
        corrupt.append(first.corrupt)
        logits, norms = np.full((*shape, len(model.labels)), np.nan), np.full(shape, np.nan)
        for layer, record in found.items():
            for name, both in record.patched.items():
                logits[COMPONENTS.index(name), :, layer] = both
                norms[COMPONENTS.index(name), :, layer] = record.norm_ratio[name]
        patched.append(logits)
        ratios.append(norms)
        there.append([layer in found for layer in range(model.shape.layers)])
    if not clips:
        return None
    said, heard = np.stack(clean), np.stack(corrupt)
    label, _ = match_labels(model, clips)
    label = np.where(label == UNLABELLED, said.argmax(axis=1), label)
    partners = [source for clip in clips if (source := sources[clip.clip_id]) is not None]
    other = match_labels(model, partners)[0] if partners else best_other(heard, label)
    return _Runs(tuple(clips), label, other, said, heard, np.stack(patched), np.stack(ratios), np.array(there))


def _missing_note(model: ModelInfo, wanted: int, runs: _Runs | None) -> Note | None:
    """How many pairs have no record, and how many layers of the others."""
    count = 0 if runs is None else len(runs.clips)
    about = f"{model.name} patching"
    if runs is None or count < wanted:
        return Note(about, f"{wanted - count} of {wanted} pairs have no record and are left out.") if wanted else None
    reason = f"{(~runs.there).sum()} of {runs.there.size} patched layers have no record: each is over the pairs it has."
    return None if runs.there.all() else Note(about, reason)
