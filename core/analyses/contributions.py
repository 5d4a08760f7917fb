"""How much each layer's attention and MLP write into the residual stream (Ma, Sang, Li, section 3.2, Fig. 1)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from core.analyses.reading import (
    comparisons,
    forward_passes,
    forward_records,
    missing_note,
    repeat_note,
    shared_clips,
    undefined_note,
)
from core.analyses.request import AnalysisRequest, Note, Records, Row, Variant
from core.analyses.statistics import Band, mean_interval, speaker_note
from core.analyses.table import curve_rows
from core.corpora.clip import Clip
from core.models.info import ModelInfo
from core.store.forward import COMPONENTS, FRAMES

needs = forward_passes


@dataclass(frozen=True)
class ContributionCurves:
    """Means over clips. Components are attention, MLP and their sum; L layers, points 0..L.

    relative        ||c|| / ||h|| of a component c and the residual stream h that its layer reads, (3, L)
    cosine          cos(c, h), (3, L)
    residual_norm   ||h||, (L + 1)
    """

    relative: Band
    cosine: Band
    residual_norm: Band

    def __post_init__(self) -> None:
        points = self.residual_norm.value.shape[0]
        for name in ("relative", "cosine"):
            shape = getattr(self, name).value.shape
            if shape != (len(COMPONENTS), points - 1):
                raise ValueError(f"{name} has shape {shape}, expected {(len(COMPONENTS), points - 1)}")


@dataclass(frozen=True)
class ModelContributions:
    """One model's contributions clip by clip (means over the chosen frames), and their means over clips."""

    model: ModelInfo
    clips: tuple[Clip, ...]
    relative: Float64[np.ndarray, "clips 3 layers"]
    cosine: Float64[np.ndarray, "clips 3 layers"]
    residual_norm: Float64[np.ndarray, "clips points"]
    mean: ContributionCurves

    def __post_init__(self) -> None:
        clips, layers = len(self.clips), self.model.shape.layers
        expected = {
            "relative": (clips, len(COMPONENTS), layers),
            "cosine": (clips, len(COMPONENTS), layers),
            "residual_norm": (clips, layers + 1),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected {shape}")


@dataclass(frozen=True)
class ContributionDifference:
    """Model minus reference, paired clip by clip over the clips that both have."""

    model: str
    reference: str
    mean: ContributionCurves


@dataclass(frozen=True)
class Contributions:
    """Models with at least one record, and the differences that are defined."""

    variant: Variant
    models: tuple[ModelContributions, ...]
    differences: tuple[ContributionDifference, ...]
    notes: tuple[Note, ...]

    def rows(self) -> Iterator[Row]:
        for one in self.models:
            yield from self._rows(one.mean, Row("contributions", self.variant, one.model.name))
        for delta in self.differences:
            template = Row("contributions", self.variant, delta.model, versus=delta.reference)
            yield from self._rows(delta.mean, template)

    def _rows(self, curves: ContributionCurves, template: Row) -> Iterator[Row]:
        for statistic in ("relative", "cosine"):
            band: Band = getattr(curves, statistic)
            for i, component in enumerate(COMPONENTS):
                yield from curve_rows(template, band.part(i), component=component, statistic=statistic)
        yield from curve_rows(template, curves.residual_norm, statistic="residual_norm")


def compute(records: Records, request: AnalysisRequest) -> Contributions:
    """Means over clips of each layer's contributions; the three variants agree (only `frames` matters)."""
    models = {}
    notes = [repeat_note(request)]
    for model in request.models:
        one = _one_model(records, request, model)
        notes.append(missing_note(request, model, one.clips if one else ()))
        if one:
            models[model.name] = one
            notes.append(undefined_note(model, one.clips, one.relative, one.cosine, one.residual_norm))
            notes.append(speaker_note([clip.speaker for clip in one.clips]))
    differences = []
    pairs, reasons = comparisons(request)
    for model, reference in pairs:
        mine, theirs = models.get(model.name), models.get(reference.name)
        delta = _difference(mine, theirs, request.seed) if mine and theirs else None
        if delta is not None:
            differences.append(delta)
        else:
            reasons.append(Note(f"{model.name} - {reference.name}", "No clip has a record under both."))
    found = dict.fromkeys(note for note in (*notes, *reasons) if note is not None)
    return Contributions(request.variant, tuple(models.values()), tuple(differences), tuple(found))


def _one_model(records: Records, request: AnalysisRequest, model: ModelInfo) -> ModelContributions | None:
    chosen = FRAMES.index(request.frames)
    clips, relative, cosine, norm = [], [], [], []
    for clip, record in forward_records(records, request, model):
        clips.append(clip)
        relative.append(record.relative[chosen])
        cosine.append(record.cosine[chosen])
        norm.append(record.residual_norm[chosen])
    if not clips:
        return None
    arrays = (np.stack(relative), np.stack(cosine), np.stack(norm))
    return ModelContributions(model, tuple(clips), *arrays, _means(*arrays, clips, request.seed))


def _difference(mine: ModelContributions, theirs: ModelContributions, seed: int) -> ContributionDifference | None:
    i, j = shared_clips(mine.clips, theirs.clips)
    if not i:
        return None
    deltas = (
        mine.relative[i] - theirs.relative[j],
        mine.cosine[i] - theirs.cosine[j],
        mine.residual_norm[i] - theirs.residual_norm[j],
    )
    curves = _means(*deltas, [mine.clips[k] for k in i], seed)
    return ContributionDifference(mine.model.name, theirs.model.name, curves)


def _means(
    relative: Float64[np.ndarray, "clips 3 layers"],
    cosine: Float64[np.ndarray, "clips 3 layers"],
    residual_norm: Float64[np.ndarray, "clips points"],
    clips: list[Clip],
    seed: int,
) -> ContributionCurves:
    speakers = [clip.speaker for clip in clips]
    return ContributionCurves(*(mean_interval(values, speakers, seed) for values in (relative, cosine, residual_norm)))
