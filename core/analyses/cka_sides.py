"""Kernels of what an adapter's A and B give, forward and backward, without ever making the wide features of B."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from core.analyses.adapters import finished_set, metrics
from core.analyses.kernels import Kernels, flattened_kernels, linear_kernel, median_gamma, rbf_kernel
from core.analyses.reading import audio_frames, distinct
from core.analyses.request import AnalysisRequest, Records
from core.corpora.clip import Clip
from core.errors import Refusal
from core.models.info import ModelInfo
from core.store.forward import FRAMES
from core.store.gradient import GradientRecord
from core.store.lora import LoraRecord, Scaled
from core.store.model import ModelRecord


@dataclass(frozen=True)
class Side:
    """Linear kernels by module, and how many features each row has. Rows are `clips`; of one clip, its audio frames."""

    clips: tuple[Clip, ...]
    kernels: Kernels
    widths: Mapping[str, int]

    def rbf(self, module: str, request: AnalysisRequest) -> Float64[np.ndarray, "n n"]:
        """`released`: gamma = 1 / features; elsewhere from the median distance."""
        linear = self.kernels[module]
        return rbf_kernel(linear, 1 / self.widths[module] if request.variant == "released" else median_gamma(linear))

    def take(self, positions: Sequence[int]) -> "Side":
        """The same for some of the clips, in the order asked for."""
        square = np.ix_(positions, positions)
        kernels = {module: kernel[square] for module, kernel in self.kernels.items()}
        return Side(tuple(self.clips[i] for i in positions), kernels, self.widths)


Sides = tuple[Side, Side]  # of A and of B


def one_clip(request: AnalysisRequest) -> bool:
    """Whether rows are the frames of a single clip."""
    return len(distinct(request.clips)) == 1


def activation_sides(
    records: Records, request: AnalysisRequest, model: ModelInfo, weights: ModelRecord
) -> Sides | None:
    """X_A and X_B over clips: flattened over all frames, in `corrected` averaged over the chosen ones.

    X_B = X_A B^T, so its inner products are X_A's under B^T B. None without any record.
    """
    clips = [clip for clip in distinct(request.clips) if records.lora(model, clip) is not None]
    if not clips:
        return None

    def record(i: int) -> LoraRecord:
        found = records.lora(model, clips[i])
        if found is None:
            raise _evicted(clips[i])
        return found

    metric = metrics(weights)
    if _flattened(request):
        a, b = flattened_kernels(lambda i: _values(record(i).x), len(clips), metric)
        return _pair(request, model, clips, a, b)
    if one_clip(request):
        rows = _frames(request, model, record(0).x)
    else:
        rows = _stacked(request, [record(i).mean for i in range(len(clips))])
    a = {module: linear_kernel(features) for module, features in rows.items()}
    b = {module: linear_kernel(features, metric[module]) for module, features in rows.items()}
    return _pair(request, model, clips, a, b)


def gradient_sides(records: Records, request: AnalysisRequest, model: ModelInfo, weights: ModelRecord) -> Sides | None:
    """G_A and G_B over the clips that have gradients, in the same way; averages of G_A = G_B B are those of G_B."""
    parts, whole = finished_set(request, model, records)
    present = [i for i, part in enumerate(parts) if records.gradient(part) is not None]
    clips = [parts[i].clip for i in present]
    if not clips or (whole is None and (_flattened(request) or one_clip(request))):
        return None

    def record(i: int) -> GradientRecord:
        found = records.gradient(parts[present[i]])
        if found is None:
            raise _evicted(clips[i])
        return found

    if whole and _flattened(request):
        a, _ = flattened_kernels(lambda i: _values(record(i).g_a), len(clips), {})
        b = {module: kernel[np.ix_(present, present)] for module, kernel in whole.kernel_b.items()}
    elif whole and one_clip(request):
        a = {m: linear_kernel(rows) for m, rows in _frames(request, model, record(0).g_a).items()}
        b = {m: linear_kernel(rows.values) for m, rows in whole.g_b.items()}
    else:
        means = _stacked(request, [record(i).mean_b for i in range(len(clips))])
        a = {m: linear_kernel(rows @ weights.modules[m].b.astype(np.float64)) for m, rows in means.items()}
        b = {m: linear_kernel(rows) for m, rows in means.items()}
    return _pair(request, model, clips, a, b)


def _flattened(request: AnalysisRequest) -> bool:
    return not one_clip(request) and request.variant != "corrected"


def _pair(request: AnalysisRequest, model: ModelInfo, clips: Sequence[Clip], a: Kernels, b: Kernels) -> Sides:
    frames = model.shape.frames if _flattened(request) else 1
    return (
        Side(tuple(clips), a, {module.name: frames * module.rank for module in model.lora}),
        Side(tuple(clips), b, {module.name: frames * module.outputs for module in model.lora}),
    )


def _values(scaled: Mapping[str, Scaled]) -> dict[str, Float64[np.ndarray, "_ _"]]:
    return {module: array.values for module, array in scaled.items()}


def _frames(
    request: AnalysisRequest, model: ModelInfo, scaled: Mapping[str, Scaled]
) -> dict[str, Float64[np.ndarray, "_ _"]]:
    """The audio frames of the request's only clip."""
    count = audio_frames(model, distinct(request.clips)[0], request.window_start)
    return {module: values[:count] for module, values in _values(scaled).items()}


def _stacked(
    request: AnalysisRequest, means: Sequence[Mapping[str, Float32[np.ndarray, "2 _"]]]
) -> dict[str, Float64[np.ndarray, "_ _"]]:
    """Clips' averages over the chosen frames, by module."""
    chosen = FRAMES.index(request.frames)
    return {module: np.stack([mean[module][chosen] for mean in means], dtype=np.float64) for module in means[0]}


def _evicted(clip: Clip) -> Refusal:
    return Refusal(
        f"The records of {clip.name} were evicted from the cache while they were needed: raise LORASCOPE_CACHE_MAX_GB."
    )
