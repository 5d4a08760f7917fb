"""Layer by layer CKA: the residual stream at every point of one model with every point of another."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from jaxtyping import Float64, Int

from core.analyses.cka_adapters import KERNELS, alone
from core.analyses.cka_result import Heatmap, Kernel
from core.analyses.cka_sides import one_clip
from core.analyses.hsic import cka_grid, directions, null_band
from core.analyses.kernels import linear_kernel, median_gamma, rbf_kernel
from core.analyses.reading import distinct, forward_records, shared_clips
from core.analyses.request import AnalysisRequest, Records
from core.analyses.statistics import Band, jackknife
from core.corpora.clip import Clip
from core.models.info import ModelInfo
from core.store.forward import FRAMES


@dataclass(frozen=True)
class Points:
    """One model's linear kernels at points 0..L over the same rows: clips, or the audio frames of one."""

    model: ModelInfo
    clips: tuple[Clip, ...]
    kernels: Float64[np.ndarray, "points n n"]

    def chosen(
        self, kernel: Kernel, request: AnalysisRequest, kept: Sequence[int]
    ) -> Float64[np.ndarray, "points k k"]:
        """Of some of the rows, under one kernel. `released`: gamma = 1 / width; elsewhere from the median distance."""
        linear = self.kernels[:, np.array(kept)[:, None], np.array(kept)]
        if kernel == "linear":
            return linear
        width = self.model.shape.width
        return np.stack(
            [rbf_kernel(k, 1 / width if request.variant == "released" else median_gamma(k)) for k in linear]
        )


def points(records: Records, request: AnalysisRequest, model: ModelInfo) -> Points | None:
    """Kernels of the residual stream averaged over the chosen frames; of a single clip, of its audio frames."""
    if one_clip(request):
        clip = distinct(request.clips)[0]
        states = records.states(model, clip)
        kernels = None if states is None else np.stack([linear_kernel(states.at(p)) for p in range(len(states.points))])
        return None if kernels is None else Points(model, (clip,), kernels)
    chosen = FRAMES.index(request.frames)
    clips, means = [], []
    for clip, record in forward_records(records, request, model):
        clips.append(clip)
        means.append(record.mean_raw[chosen])
    if not clips:
        return None
    features = np.stack(means, axis=1)
    return Points(model, tuple(clips), np.stack([linear_kernel(one) for one in features]))


def heatmaps(request: AnalysisRequest, found: Mapping[str, Points]) -> Iterator[Heatmap]:
    """Each pair of models once, in the request's order, and each model with itself; linear with both estimators."""
    own = request.variant == "corrected"
    models = [found[model.name] for model in request.models if model.name in found]
    for mine, theirs in combinations_with_replacement(models, 2):
        i, j = shared_clips(mine.clips, theirs.clips)
        for kernel in KERNELS if i else ():
            for unbiased in (own, not own) if kernel == "linear" else (own,):
                bands = _bands(request, mine, theirs, kernel, i, j, unbiased=unbiased)
                yield Heatmap(mine.model.name, theirs.model.name, kernel, unbiased, *bands)


def _bands(
    request: AnalysisRequest,
    mine: Points,
    theirs: Points,
    kernel: Kernel,
    i: Sequence[int],
    j: Sequence[int],
    *,
    unbiased: bool,
) -> tuple[Band, Band | None]:
    if one_clip(request):
        i = j = range(mine.kernels.shape[1])
    left, right = mine.chosen(kernel, request, i), theirs.chosen(kernel, request, j)

    def statistic(kept: Int[np.ndarray, " kept"]) -> Float64[np.ndarray, "p q"]:
        sides = [directions(side[:, kept[:, None], kept], unbiased=unbiased) for side in (left, right)]
        return cka_grid(*sides)

    if one_clip(request):
        return alone(statistic(np.arange(len(i))), len(i))
    units = [directions(side, unbiased=unbiased) for side in (left, right)]
    null = null_band(lambda order: cka_grid(units[0][:, order[:, None], order], units[1]), len(i), request.seed)
    return jackknife(statistic, [mine.clips[k].speaker for k in i]), Band(*null, len(i))
