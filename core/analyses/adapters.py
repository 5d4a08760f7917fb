"""What every analysis of LoRA modules shares: trained models and their untrained counterparts, and whose gradients."""

import numpy as np
from jaxtyping import Float64

from core.analyses.reading import distinct
from core.analyses.request import AnalysisRequest, Note, Records
from core.corpora.clip import Clip
from core.emotions import class_index
from core.engine.interface import GradientPass, ModelPass, Pass, SetPass, Task
from core.models.info import ModelInfo, Role
from core.models.untrained import untrained_of
from core.store.model import ModelRecord
from core.store.sets import SetRecord


def adapted(request: AnalysisRequest) -> tuple[tuple[ModelInfo, tuple[ModelInfo, ...]], ...]:
    """The models with LoRA, each with its untrained counterparts by seed; none for one that is untrained itself.

    Counterparts in `published` and `released`: under the base's own head (drawn where it has none); in `corrected`
    under the trained one.
    """
    keep_head = request.variant == "corrected"
    seeds = range(request.untrained_seeds)
    return tuple(
        (model, tuple(untrained_of(model, keep_head=keep_head, seed=s) for s in seeds if model.role is Role.LORA))
        for model in request.models
        if model.lora
    )


def adapter_tasks(request: AnalysisRequest, records: Records | None, *, lora: bool) -> tuple[Task, ...]:
    """Of each of these: its weights, its gradients over all clips as one set, and a forward pass over each clip."""
    tasks: list[Task] = []
    for model in [model for trained, untrained in adapted(request) for model in (trained, *untrained)]:
        tasks.append(ModelPass(model))
        tasks += gradient_tasks(request, model, records)
        tasks += [Pass.over(model, clip, request.window_start, lora=lora) for clip in distinct(request.clips)]
    return tuple(tasks)


def gradient_tasks(request: AnalysisRequest, model: ModelInfo, records: Records | None) -> tuple[Task, ...]:
    """The model's gradients over all clips as one task; without `records`, those predictions that must come first.

    A clip's class is its label; an unlabelled one takes the model's own prediction, which is known only then.
    """
    first = [Pass.over(model, clip, request.window_start) for clip in unlabelled(request, model)]
    if first and records is None:
        return tuple(first)
    task = gradient_set(request, model, records)
    return () if task is None else (task,)


def gradient_set(request: AnalysisRequest, model: ModelInfo, records: Records | None) -> SetPass | None:
    """All clips whose class is known, in one set; None where there is none. Kernels only where they are looked at."""
    chosen = [(clip, _target(model, clip, records)) for clip in distinct(request.clips)]
    known = [(clip, target) for clip, target in chosen if target is not None]
    if not known:
        return None
    clips, targets = zip(*known, strict=True)
    kernels = request.variant != "corrected" or len(chosen) == 1  # of a single clip they are over its frames
    return SetPass(model, clips, targets, request.window_start, kernels=kernels)


def finished_set(
    request: AnalysisRequest, model: ModelInfo, records: Records
) -> tuple[tuple[GradientPass, ...], SetRecord | None]:
    """The clips of the set as far as it was made, without those that failed, and its record once all are done."""
    task = gradient_set(request, model, records)
    record = records.gradients(task) if task else None
    if task and record is None:
        rest = task.without([part.clip for part in task.parts if records.gradient(part) is None])
        record = records.gradients(rest) if rest and rest != task else None
        task = rest
    return (task.parts if task else ()), record


def unlabelled(request: AnalysisRequest, model: ModelInfo) -> list[Clip]:
    """Clips without a label among the model's classes."""
    return [clip for clip in distinct(request.clips) if class_index(clip.label, model.labels) is None]


def unlabelled_note(request: AnalysisRequest, model: ModelInfo) -> Note | None:
    """Whose loss it is where there is no label."""
    count = len(unlabelled(request, model))
    reason = f"{count} clips have no label among its classes: their gradients are of the model's own prediction."
    return Note(f"{model.name} gradients", reason) if count else None


def metrics(weights: ModelRecord) -> dict[str, Float64[np.ndarray, "_ _"]]:
    """B^T B of each module: what turns inner products of A's outputs into those of B's."""
    return {module: (b := one.b.astype(np.float64)).T @ b for module, one in weights.modules.items()}


def _target(model: ModelInfo, clip: Clip, records: Records | None) -> int | None:
    label = class_index(clip.label, model.labels)
    if label is not None or records is None:
        return label
    record = records.forward(model, clip)
    return None if record is None else int(record.logits.argmax())
