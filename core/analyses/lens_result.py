"""What the logit lens gives: per model, per clip, and over clips; and its rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int

from core.analyses.reading import UNLABELLED
from core.analyses.request import Estimate, Frames, Note, Row, Variant
from core.analyses.statistics import Band
from core.analyses.table import curve_rows, estimate_row, number
from core.corpora.clip import Clip
from core.models.info import ModelInfo


@dataclass(frozen=True)
class LensClips:
    """One model's lens clip by clip: n clips, points 0..L, C classes in the model's own order.

    truth           index of the clip's label, UNLABELLED (-1) where there is none
    probabilities   softmax of the lens logits averaged over the chosen frames
    final           the model's own prediction, over all frames
    kl              KL between the two in the variant's direction, nats
    saturation      per-clip landmark, a point; NaN where none
    critical        per-clip landmark, a point; NaN where none (or unlabelled)
    """

    clips: tuple[Clip, ...]
    truth: Int[np.ndarray, " clips"]
    probabilities: Float64[np.ndarray, "clips points classes"]
    final: Float64[np.ndarray, "clips classes"]
    kl: Float64[np.ndarray, "clips points"]
    saturation: Float64[np.ndarray, " clips"]
    critical: Float64[np.ndarray, " clips"]

    def __post_init__(self) -> None:
        clips, points, classes = self.probabilities.shape
        if len(self.clips) != clips:
            raise ValueError(f"{clips} rows of probabilities for {len(self.clips)} clips")
        expected = {"truth": (clips,), "final": (clips, classes), "kl": (clips, points)}
        for name, shape in (expected | {"saturation": (clips,), "critical": (clips,)}).items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected {shape}")

    @cached_property  # it is asked for clip by clip
    def speakers(self) -> tuple[str | None, ...]:
        return tuple(clip.speaker for clip in self.clips)

    def take(self, positions: Sequence[int]) -> "LensClips":
        """The same for some of the clips, in the order asked for."""
        arrays = {f.name: getattr(self, f.name)[list(positions)] for f in fields(self) if f.name != "clips"}
        return LensClips(clips=tuple(self.clips[i] for i in positions), **arrays)

    @property
    def agrees(self) -> Float64[np.ndarray, "clips points"]:
        """1 where a point's top class is the model's prediction, else 0; NaN where either is undefined."""
        same = self.probabilities.argmax(axis=2) == self.final.argmax(axis=1)[:, None]
        return np.where(np.isnan(self.kl), np.nan, same)  # argmax takes a NaN for the top class, KL shows it

    @property
    def labelled(self) -> Int[np.ndarray, " labelled"]:
        """Positions of the clips that have a label among the model's classes."""
        return np.flatnonzero(self.truth != UNLABELLED)

    @property
    def correct(self) -> Float64[np.ndarray, "labelled points"]:
        """1 where a point's top class is the label, else 0, NaN where undefined; labelled clips only."""
        probabilities = self.probabilities[self.labelled]
        same = probabilities.argmax(axis=2) == self.truth[self.labelled, None]
        return np.where(np.isnan(probabilities).any(axis=2), np.nan, same)

    @property
    def of_label(self) -> Float64[np.ndarray, "labelled points"]:
        """The label's probability; labelled clips only."""
        return self.probabilities[self.labelled, :, self.truth[self.labelled]]


@dataclass(frozen=True)
class LensCurves:
    """Over clips, at each point: mean KL (nats), share that agrees with the prediction, and where there are labels
    the share that is right, the mean of the classes' recalls, and the label's mean probability."""

    kl: Band
    overlap: Band
    accuracy: Band | None = None
    uar: Band | None = None
    label_prob: Band | None = None

    def rows(self, template: Row) -> Iterator[Row]:
        for statistic in ("kl", "overlap", "accuracy", "uar", "label_prob"):
            band: Band | None = getattr(self, statistic)
            if band is not None:
                yield from curve_rows(template, band, statistic=statistic)


@dataclass(frozen=True)
class ModelLens:
    """One model's lens. `mean_prob` is each class's mean probability over clips, classes x points; `cka_to_last` the
    linear CKA over clips of each point's residual stream with the last point's; `landmarks` holds those over clips by
    their statistic's name, None where there is none."""

    model: ModelInfo
    by_clip: LensClips
    curves: LensCurves
    mean_prob: Band
    cka_to_last: Float64[np.ndarray, " points"]
    landmarks: Mapping[str, Estimate | None]

    def __post_init__(self) -> None:
        expected = (len(self.by_clip.clips), self.model.shape.layers + 1, len(self.model.labels))
        if self.by_clip.probabilities.shape != expected:
            raise ValueError(f"probabilities have shape {self.by_clip.probabilities.shape}, expected {expected}")
        if self.mean_prob.value.shape != expected[:0:-1]:
            raise ValueError(f"mean_prob has shape {self.mean_prob.value.shape}, expected {expected[:0:-1]}")
        if self.cka_to_last.shape != expected[1:2]:
            raise ValueError(f"cka_to_last has shape {self.cka_to_last.shape}, expected {expected[1:2]}")

    def rows(self, template: Row) -> Iterator[Row]:
        yield from self.curves.rows(template)
        for i, label in enumerate(self.model.labels):
            yield from curve_rows(template, self.mean_prob.part(i), component=label, statistic="mean_prob")
        for point, value in enumerate(self.cka_to_last):
            n = len(self.by_clip.clips)
            yield replace(template, layer=point, statistic="cka_to_last", value=number(value), n=n)
        for statistic, estimate in self.landmarks.items():
            yield estimate_row(replace(template, component="landmark", statistic=statistic), estimate)
        yield from self._clip_rows(template)

    def _clip_rows(self, template: Row) -> Iterator[Row]:
        one = self.by_clip
        for i, clip in enumerate(one.clips):
            row = replace(template, clip_id=clip.clip_id)
            for point, probabilities in enumerate(one.probabilities[i]):
                yield replace(row, layer=point, statistic="kl_clip", value=number(one.kl[i, point]))
                for label, value in zip(self.model.labels, probabilities, strict=True):
                    yield replace(row, layer=point, component=label, statistic="prob", value=number(value))
            yield replace(row, component="landmark", statistic="saturation", value=number(one.saturation[i]))
            if one.truth[i] != UNLABELLED:
                yield replace(row, component="landmark", statistic="critical", value=number(one.critical[i]))


@dataclass(frozen=True)
class LensDifference:
    """Model minus reference, paired clip by clip over the clips that both have."""

    model: str
    reference: str
    curves: LensCurves


@dataclass(frozen=True)
class Lens:
    """Models with at least one record, and the differences that are defined."""

    variant: Variant
    frames: Frames
    models: tuple[ModelLens, ...]
    differences: tuple[LensDifference, ...]
    notes: tuple[Note, ...]

    def rows(self) -> Iterator[Row]:
        for one in self.models:
            yield from one.rows(Row("lens", self.variant, one.model.name))
        for delta in self.differences:
            yield from delta.curves.rows(Row("lens", self.variant, delta.model, versus=delta.reference))
