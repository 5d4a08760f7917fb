"""One adapter's separation clip by clip, and what it is on average, alone and against another adapter's."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int

from core.analyses.reading import UNLABELLED, distinct, shared_clips
from core.analyses.request import AnalysisRequest
from core.analyses.separation import probe, purity, shuffled, silhouettes, varies
from core.analyses.statistics import Band, mean_interval
from core.corpora.clip import Clip
from core.emotions import canonical, class_index
from core.models.info import LoraModule, ModelInfo

SILHOUETTE, PURITY, PROBE, SHUFFLED = "silhouette", "knn_purity", "probe_uar", "probe_uar_shuffled"
RECALL = "probe_recall"


@dataclass(frozen=True)
class Scores:
    """Values of every module and clip by statistic (of the probes: 1 right, 0 wrong); NaN where there is none.

    `labels` are the clips' emotions ("" for none), `dealt` those that the control learned.
    """

    model: ModelInfo
    modules: tuple[LoraModule, ...]
    clips: tuple[Clip, ...]
    labels: tuple[str, ...]
    dealt: tuple[str, ...]
    values: Mapping[str, Float64[np.ndarray, "modules clips"]]

    def minus(self, other: "Scores") -> "Scores":
        """Differences clip by clip, in the modules and clips that both have."""
        i, j = shared_clips(self.clips, other.clips)
        theirs = [module.name for module in other.modules]
        kept = [m for m, module in enumerate(self.modules) if module.name in theirs]
        places = [theirs.index(self.modules[m].name) for m in kept]
        values = {
            name: mine[np.ix_(kept, i)] - other.values[name][np.ix_(places, j)] for name, mine in self.values.items()
        }
        return replace(
            self,
            modules=tuple(self.modules[m] for m in kept),
            clips=tuple(self.clips[c] for c in i),
            labels=tuple(self.labels[c] for c in i),
            dealt=tuple(self.dealt[c] for c in i),
            values=values,
        )

    def bands(self, seed: int) -> dict[tuple[str, str | None], Band]:
        """Means over clips by statistic and emotion (None: all), over modules."""
        found: dict[tuple[str, str | None], Band] = {}
        for name, labels in ((SILHOUETTE, None), (PURITY, None), (PROBE, self.labels), (SHUFFLED, self.dealt)):
            values = self.values[name]
            found[name, None] = self.mean(values if labels is None else balanced(values, labels), seed)
        for emotion in sorted(set(self.labels) - {""}):
            for name, of in ((SILHOUETTE, SILHOUETTE), (PURITY, PURITY), (RECALL, PROBE)):
                found[name, emotion] = self.mean(self.of(emotion, self.values[of]), seed)
        return found

    def of(self, emotion: str, values: Float64[np.ndarray, "modules clips"]) -> Float64[np.ndarray, "modules clips"]:
        """The same with NaN at clips of other emotions."""
        return np.where(np.array(self.labels) == emotion, values, np.nan)

    def mean(self, values: Float64[np.ndarray, "*modules clips"], seed: int) -> Band:
        """Mean over the clips that have a value in any module; a module without values is undefined."""
        kept = np.flatnonzero(np.isfinite(values).reshape(-1, len(self.clips)).any(axis=0))
        if not kept.size:
            nothing = np.full(values.shape[:-1], np.nan)
            return Band(nothing, nothing, nothing, 0)
        return mean_interval(np.moveaxis(values[..., kept], -1, 0), [self.clips[i].speaker for i in kept], seed)


def scores(
    request: AnalysisRequest,
    model: ModelInfo,
    clips: tuple[Clip, ...],
    points: Mapping[str, Float64[np.ndarray, "clips _"]],
) -> Scores:
    """Silhouettes, neighbours and probes of every module; `points` has standardised rows of these clips."""
    everybody = sorted(distinct(request.clips), key=lambda clip: clip.clip_id)
    names = [_emotion(model, clip) for clip in everybody]
    classes, speakers = sorted(set(names) - {""}), sorted({clip.speaker for clip in everybody if clip.speaker})
    label = np.array([classes.index(name) if name else UNLABELLED for name in names], dtype=np.int64)
    speaker = np.array([speakers.index(c.speaker) if c.speaker else UNLABELLED for c in everybody], dtype=np.int64)
    dealt = shuffled(label, speaker, request.seed)  # over all of them: every adapter's control learns the same
    place = {clip.clip_id: i for i, clip in enumerate(everybody)}
    kept = np.array([place[clip.clip_id] for clip in clips], dtype=np.int64)
    label, speaker, dealt = label[kept], speaker[kept], dealt[kept]

    def all_of(rows: Float64[np.ndarray, "clips _"]) -> dict[str, Float64[np.ndarray, " clips"]]:
        if not varies(rows):
            return dict.fromkeys((SILHOUETTE, PURITY, PROBE, SHUFFLED), np.full(len(clips), np.nan))
        return {
            SILHOUETTE: silhouettes(rows, label),
            PURITY: purity(rows, label, speaker),
            PROBE: probe(rows, label, speaker),
            SHUFFLED: probe(rows, dealt, speaker),
        }

    each = [all_of(points[module.name]) for module in model.lora]
    values = {name: np.stack([one[name] for one in each]) for name in (SILHOUETTE, PURITY, PROBE, SHUFFLED)}
    return Scores(model, model.lora, clips, _named(classes, label), _named(classes, dealt), values)


def balanced(
    right: Float64[np.ndarray, "modules clips"], labels: tuple[str, ...]
) -> Float64[np.ndarray, "modules clips"]:
    """Weighted so that the mean over clips with a value is the mean of the classes' own means: UAR of right answers."""
    kept = np.isfinite(right).any(axis=0)
    classes, place, sizes = np.unique(np.array(labels)[kept], return_inverse=True, return_counts=True)
    weights = np.full(len(labels), np.nan)
    weights[kept] = kept.sum() / (len(classes) * sizes[place]) if kept.any() else np.nan
    return right * weights


def _emotion(model: ModelInfo, clip: Clip) -> str:
    """Its label where that is among the model's classes, else nothing."""
    return canonical(clip.label) if clip.label and class_index(clip.label, model.labels) is not None else ""


def _named(classes: list[str], index: Int[np.ndarray, " clips"]) -> tuple[str, ...]:
    return tuple("" if i == UNLABELLED else classes[i] for i in index)
