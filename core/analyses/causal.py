"""What causes what: layers switched off and on, the LoRA dial, and patching (after Heimersheim and Nanda 2024)."""

from collections.abc import Callable

from core.analyses.causal_layers import layer_effects, layer_tasks
from core.analyses.causal_pairs import pairs
from core.analyses.causal_patching import patch_effects, patch_tasks
from core.analyses.causal_result import Causal, Effects
from core.analyses.reading import distinct, repeat_note
from core.analyses.request import AnalysisRequest, CausalPart, Note, Records
from core.analyses.statistics import speaker_note
from core.engine.interface import Task
from core.models.info import ModelInfo

_PARTS: dict[CausalPart, Callable[..., tuple[Effects | None, list[Note | None]]]] = {
    "layers": layer_effects,
    "patching": patch_effects,
}


def needs(request: AnalysisRequest, records: Records | None = None) -> tuple[Task, ...]:
    """Every pass of the parts that were asked for, a clip's together, so that all models' curves grow at once."""
    models = [model for model in request.models if not model.weighted_layer_sum]
    patched = {model.name: pairs(request, model).sources for model in models} if "patching" in request.parts else {}
    tasks: list[Task] = []
    for clip in distinct(request.clips):
        for model in models:
            if "layers" in request.parts:
                tasks += layer_tasks(request, model, clip)
            if clip.clip_id in patched.get(model.name, {}):
                tasks += patch_tasks(request, model, clip, patched[model.name][clip.clip_id])
    return tuple(tasks)


def compute(records: Records, request: AnalysisRequest) -> Causal:
    """Both parts of every model whose head reads the last layer; each number is over the clips that have it."""
    notes: list[Note | None] = [repeat_note(request), speaker_note([clip.speaker for clip in distinct(request.clips)])]
    effects = []
    for model in request.models:
        if model.weighted_layer_sum:
            notes.append(_weighted_note(model))
            continue
        for part in request.parts:
            found, said = _PARTS[part](records, request, model)
            effects += [found] if found else []
            notes += said
    kept = dict.fromkeys(note for note in notes if note is not None)
    return Causal(request.variant, tuple(effects), tuple(kept))


def _weighted_note(model: ModelInfo) -> Note:
    reason = "Its head reads a weighted sum of all layers, not the last one: no layer is switched, nothing is patched."
    return Note(model.name, reason)
