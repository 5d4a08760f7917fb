"""What an intervention does to logits: outcomes, contrasts and shares clip by clip, and means over clips."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64, Int
from scipy.special import log_softmax

from core.analyses.reading import distinct
from core.analyses.request import AnalysisRequest, Estimate, Note
from core.analyses.statistics import Speakers, jackknife, mean_interval
from core.emotions import class_index
from core.models.info import ModelInfo

LEAST_GAP = 0.1  # in logits: where two runs are closer than that, no share of what is between them is defined
_LEAST_LAYERS = 3  # for a rank correlation over layers to say anything

Labels = Int[np.ndarray, " clips"]
Estimates = tuple[Estimate | None, ...]


def outcomes(logits: Float64[np.ndarray, "clips *layers classes"], label: Labels) -> Mapping[str, np.ndarray]:
    """Whether the label is the top class (1 or 0), cross-entropy loss (nats), and the label's probability, each of
    clips x layers; NaN where there are no logits.
    """
    log_probability = _of_class(log_softmax(logits, axis=-1), label)
    right = logits.argmax(axis=-1) == label.reshape(-1, *[1] * (logits.ndim - 2))
    return {
        "accuracy": np.where(np.isnan(log_probability), np.nan, right),
        "loss": -log_probability,
        "confidence": np.exp(log_probability),
    }


def best_other(logits: Float64[np.ndarray, "clips classes"], label: Labels) -> Labels:
    """The top class but for the label."""
    others = logits.copy()
    others[np.arange(len(label)), label] = -np.inf
    return others.argmax(axis=1)


def contrast(
    logits: Float64[np.ndarray, "clips *layers classes"], label: Labels, other: Labels
) -> Float64[np.ndarray, "clips *layers"]:
    """Logit of the label minus that of the other class."""
    return _of_class(logits, label) - _of_class(logits, other)


def share(
    part: Float64[np.ndarray, "clips layers"], gap: Float64[np.ndarray, " clips"]
) -> Float64[np.ndarray, "clips layers"]:
    """part / gap, NaN where the gap is too small."""
    return part / np.where(np.abs(gap) < LEAST_GAP, np.nan, gap)[:, None]


def undefined(gap: Float64[np.ndarray, " clips"]) -> Estimate:
    """How many clips have no share, of those whose gap is known."""
    return Estimate(float((np.abs(gap) < LEAST_GAP).sum()), n=int(np.isfinite(gap).sum()))


def undefined_note(about: str, found: Estimate, what: str, runs: str) -> Note | None:
    """That some clips (or pairs) have no share."""
    reason = f"{found.value:.0f} of {found.n} {what} have no share: {runs} differ by less than {LEAST_GAP:g} in logits."
    return Note(about, reason) if found.value else None


def own_label_note(request: AnalysisRequest, model: ModelInfo) -> Note | None:
    """What stands in for the label where there is none."""
    count = sum(class_index(clip.label, model.labels) is None for clip in distinct(request.clips))
    reason = f"{count} clips have no label among its classes: the model's own prediction stands in for it."
    return Note(f"{model.name} labels", reason) if count else None


def means(values: Float64[np.ndarray, "clips layers"], speakers: Speakers, seed: int) -> Estimates:
    """Mean over clips at each layer, with its interval, over the clips that have a value there; None where none has.

    Layers with the same clips are taken together: the same draws of speakers for all of them.
    """
    found: list[Estimate | None] = [None] * values.shape[1]
    patterns, of = np.unique(np.isfinite(values), axis=1, return_inverse=True)
    for i, pattern in enumerate(patterns.T):
        kept, layers = np.flatnonzero(pattern), np.flatnonzero(of.reshape(-1) == i)
        if kept.size:
            band = mean_interval(values[np.ix_(kept, layers)], [speakers[clip] for clip in kept.tolist()], seed)
            for place, layer in enumerate(layers):
                found[layer] = band.at(place)
    return tuple(found)


def coincidence(
    effect: Float64[np.ndarray, "clips layers"], behind: Float64[np.ndarray, "clips layers"], speakers: Speakers
) -> Estimate:
    """Spearman's rank correlation over layers of two means over clips, its jackknife over speakers, n the layers.

    NaN with fewer than 3 layers, or where a side is the same at all of them. The interval is cut at ±1, past which no
    correlation lies.
    """

    def sides(kept: Int[np.ndarray, " kept"]) -> tuple[np.ndarray, np.ndarray]:
        x, y = _mean(effect[kept]), _mean(behind[kept])
        there = np.isfinite(x) & np.isfinite(y)
        return x[there], y[there]

    found = jackknife(lambda kept: np.asarray(_spearman(*sides(kept))), speakers).at()
    low, high = (None if end is None else float(np.clip(end, -1.0, 1.0)) for end in (found.low, found.high))
    return Estimate(found.value, low, high, len(sides(np.arange(len(speakers)))[0]))


def _of_class(
    values: Float64[np.ndarray, "clips *layers classes"], index: Labels
) -> Float64[np.ndarray, "clips *layers"]:
    return np.take_along_axis(values, index.reshape(-1, *[1] * (values.ndim - 1)), axis=-1)[..., 0]


def _mean(values: Float64[np.ndarray, "clips layers"]) -> Float64[np.ndarray, " layers"]:
    there = np.isfinite(values)
    count = there.sum(axis=0)
    return np.where(count, np.where(there, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _spearman(x: Float64[np.ndarray, " layers"], y: Float64[np.ndarray, " layers"]) -> float:
    ranks = [(one[:, None] > one).sum(axis=1) + (one[:, None] == one).sum(axis=1) / 2 for one in (x, y)]  # ties: mean
    if len(x) < _LEAST_LAYERS or not all(np.ptp(one) for one in ranks):
        return np.nan
    return float(np.corrcoef(*ranks)[0, 1])
