"""How alike two sets of features are, over clips: A with B, and depth with depth (Ma, Sang, Li, section 3.6)."""

from dataclasses import replace

import numpy as np

from core.analyses.adapters import adapted, adapter_tasks, unlabelled_note
from core.analyses.cka_adapters import alignments, between
from core.analyses.cka_layers import heatmaps, points
from core.analyses.cka_result import Alignment, Heatmap, Similarity
from core.analyses.cka_sides import Sides, activation_sides, gradient_sides, one_clip
from core.analyses.hsic import rows_needed
from core.analyses.reading import distinct, missing_note, repeat_note
from core.analyses.request import AnalysisRequest, Note, Records
from core.analyses.statistics import speaker_note
from core.engine.interface import Pass, Task
from core.models.info import ModelInfo


def needs(request: AnalysisRequest, records: Records | None = None) -> tuple[Task, ...]:
    """Adapters' weights, gradients and A outputs, and every model's forward records; of one clip alone its frames."""
    alone = one_clip(request)
    layers = [
        Pass.over(model, clip, request.window_start, states=alone)
        for clip in distinct(request.clips)
        for model in request.models
    ]
    return (*adapter_tasks(request, records, lora=True), *layers)


def compute(records: Records, request: AnalysisRequest) -> Similarity:
    """CKA per module of every adapter and its untrained counterparts, and heatmaps of every pair of models."""
    notes = [repeat_note(request), *_row_notes(request)]
    # permutations are drawn by position: the same ones whatever the clips' order
    request = replace(request, clips=tuple(sorted(distinct(request.clips), key=lambda clip: clip.clip_id)))
    found: list[Alignment] = []
    for trained, untrained in adapted(request):
        activations: dict[str, Sides] = {}
        for model in (trained, *untrained):
            weights = records.weights(model)
            forward = activation_sides(records, request, model, weights) if weights else None
            backward = gradient_sides(records, request, model, weights) if weights else None
            found += alignments(request, model, forward, gradient=False)
            found += alignments(request, model, backward, gradient=True)
            used = forward[0].clips if forward else ()
            notes += [missing_note(request, model, used), _gradient_note(request, model, backward)]
            notes.append(unlabelled_note(request, model))
            if forward and request.variant == "released" and model in (trained, *untrained[:1]):
                activations[model.name] = forward
        if len(activations) == 2:
            found += between(request, trained, untrained[0], *activations.values())
    layers = {model.name: one for model in request.models if (one := points(records, request, model)) is not None}
    notes += [missing_note(request, m, layers[m.name].clips if m.name in layers else ()) for m in request.models]
    maps = tuple(heatmaps(request, layers))
    undefined: list[Alignment | Heatmap] = [*found, *maps]
    notes += [_undefined_note(request, one) for one in undefined]
    kept = dict.fromkeys(note for note in notes if note is not None)
    return Similarity(request.variant, request.variant == "corrected", tuple(found), maps, tuple(kept))


def _row_notes(request: AnalysisRequest) -> list[Note | None]:
    clips = distinct(request.clips)
    if len(clips) == 1:
        reason = "Rows are the frames of one clip, which follow each other and so are alike: no interval, no null band."
        return [Note("cka", reason)]
    notes: list[Note | None] = [speaker_note([clip.speaker for clip in clips])]
    if request.frames == "audio" and request.variant != "corrected":
        reason = (
            "Features of A and B are flattened over all frames, padding too: clips of different length have no other."
        )
        notes.append(Note("cka", reason))
    return notes


def _gradient_note(request: AnalysisRequest, model: ModelInfo, sides: Sides | None) -> Note | None:
    missing = len(distinct(request.clips)) - (len(sides[0].clips) if sides else 0)
    return Note(f"{model.name} gradients", f"{missing} clips have none and are left out.") if missing else None


def _undefined_note(request: AnalysisRequest, one: Alignment | Heatmap) -> Note | None:
    undefined = int(np.isnan(one.cka.value).sum())
    if not undefined:
        return None
    names = one.model if one.versus in (None, one.model) else f"{one.model} and {one.versus}"
    if isinstance(one, Alignment):
        unbiased, what = request.variant == "corrected", f"{'grad ' if one.gradient else ''}{one.component}"
        about = f"{names} {what} ({one.kernel})"
    else:
        unbiased = one.unbiased
        about = f"{names} layers ({one.kernel}, {'unbiased' if unbiased else 'biased'})"
    needed = rows_needed(unbiased=unbiased)
    if one.cka.n < needed:
        return Note(about, f"CKA over {one.cka.n} rows is undefined: this estimator needs at least {needed}.")
    return Note(about, f"Undefined at {undefined} of {one.cka.value.size} places, where features do not vary.")
