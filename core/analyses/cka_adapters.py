"""CKA of what an adapter's A gives with what its B gives, in every module (Ma, Sang, Li, section 3.6, Fig. 3e-f)."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, Int

from core.analyses.cka_result import Alignment, Kernel
from core.analyses.cka_sides import Side, Sides, one_clip
from core.analyses.hsic import cka, directions, null_band
from core.analyses.reading import shared_clips
from core.analyses.request import AnalysisRequest
from core.analyses.statistics import Band, jackknife
from core.models.info import ModelInfo

KERNELS: tuple[Kernel, ...] = ("linear", "rbf")


def alignments(
    request: AnalysisRequest, model: ModelInfo, sides: Sides | None, *, gradient: bool
) -> Iterator[Alignment]:
    """A against B of one model under both kernels; in `released` gradients under RBF only, activations not at all."""
    released = request.variant == "released"
    for kernel in KERNELS:
        if sides is not None and (not released or (gradient and kernel == "rbf")):
            bands = _bands(request, model, *sides, kernel)
            yield Alignment(model.name, None, "A-B", gradient, kernel, model.lora, *bands)


def between(
    request: AnalysisRequest, trained: ModelInfo, untrained: ModelInfo, mine: Sides, theirs: Sides
) -> Iterator[Alignment]:
    """What the released notebook draws as activations: trained A against untrained A (linear), B against B (RBF)."""
    i, j = shared_clips(mine[0].clips, theirs[0].clips)
    if not i:
        return
    kinds: tuple[tuple[str, Kernel], ...] = (("A-A", "linear"), ("B-B", "rbf"))
    for (component, kernel), left, right in zip(kinds, mine, theirs, strict=True):
        if not one_clip(request):
            left, right = left.take(i), right.take(j)
        bands = _bands(request, trained, left, right, kernel)
        yield Alignment(trained.name, untrained.name, component, False, kernel, trained.lora, *bands)


def _bands(
    request: AnalysisRequest, model: ModelInfo, left: Side, right: Side, kernel: Kernel
) -> tuple[Band, Band | None]:
    """CKA with its jackknife interval, and the null; frames of one clip are no independent rows, and have neither."""
    unbiased = request.variant == "corrected"
    names = [module.name for module in model.lora]
    sides = [[side.kernels[m] if kernel == "linear" else side.rbf(m, request) for m in names] for side in (left, right)]
    if one_clip(request):
        return alone(np.array([cka(k, m, unbiased=unbiased) for k, m in zip(*sides, strict=True)]), len(sides[0][0]))

    def statistic(kept: Int[np.ndarray, " kept"]) -> Float64[np.ndarray, " modules"]:
        square = np.ix_(kept, kept)
        return np.array([cka(k[square], m[square], unbiased=unbiased) for k, m in zip(*sides, strict=True)])

    units = [directions(np.stack(side), unbiased=unbiased) for side in sides]
    n = len(left.clips)

    def shuffled(order: Int[np.ndarray, " n"]) -> Float64[np.ndarray, " modules"]:
        return np.einsum("mij,mij->m", units[0][:, order[:, None], order], units[1])

    null = null_band(shuffled, n, request.seed)
    return jackknife(statistic, [clip.speaker for clip in left.clips]), Band(*null, n)


def alone(value: Float64[np.ndarray, "*shape"], n: int) -> tuple[Band, None]:
    """A value without interval or null band."""
    return Band(value, np.full_like(value, np.nan), np.full_like(value, np.nan), n), None
