"""How much each layer's attention and MLP write into the residual stream (Ma, Sang, Li, section 3.2, Fig. 1)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from core.analyses.landmarks import NONE_REASONS, strongest_layer
from core.analyses.reading import (
    comparisons,
    forward_passes,
    forward_records,
    missing_note,
    repeat_note,
    shared_clips,
    undefined_note,
)
from core.analyses.request import AnalysisRequest, Estimate, Note, Records, Row, Variant
from core.analyses.statistics import Band, mean_interval, speaker_note
from core.analyses.table import curve_rows, estimate_row
from core.corpora.clip import Clip
from core.models.info import ModelInfo
from core.store.forward import COMPONENTS, FRAMES

ROUNDING = 1e-4  # of the largest contribution: no difference, since batches of another size give other last digits

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

    def rows(self, template: Row, prefix: str = "") -> Iterator[Row]:
        """One row a component and layer (or point); `prefix` goes in front of the statistic."""
        for statistic in ("relative", "cosine"):
            band: Band = getattr(self, statistic)
            for i, component in enumerate(COMPONENTS):
                yield from curve_rows(template, band.part(i), component=component, statistic=prefix + statistic)
        yield from curve_rows(template, self.residual_norm, statistic=f"{prefix}residual_norm")


@dataclass(frozen=True)
class ModelContributions:
    """One model's contributions clip by clip (means over the chosen frames), and their means over clips.

    padding: over all frames minus over those that hold audio, paired clip by clip, whatever frames were chosen.
    strongest: the layer whose sum writes most; None where that is undefined.
    """

    model: ModelInfo
    clips: tuple[Clip, ...]
    relative: Float64[np.ndarray, "clips 3 layers"]
    cosine: Float64[np.ndarray, "clips 3 layers"]
    residual_norm: Float64[np.ndarray, "clips points"]
    mean: ContributionCurves
    padding: ContributionCurves
    strongest: Estimate | None

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
    """Model minus reference, paired clip by clip over the clips that both have; `strongest` is where the sum differs
    most in either direction, None where it does not."""

    model: str
    reference: str
    mean: ContributionCurves
    strongest: Estimate | None


@dataclass(frozen=True)
class Contributions:
    """Models with at least one record, and the differences that are defined."""

    variant: Variant
    models: tuple[ModelContributions, ...]
    differences: tuple[ContributionDifference, ...]
    notes: tuple[Note, ...]

    def rows(self) -> Iterator[Row]:
        for one in self.models:
            template = Row("contributions", self.variant, one.model.name)
            yield from one.mean.rows(template)
            yield from one.padding.rows(template, "padding_")
            yield estimate_row(replace(template, component="landmark", statistic="strongest"), one.strongest)
        for delta in self.differences:
            template = Row("contributions", self.variant, delta.model, versus=delta.reference)
            yield from delta.mean.rows(template)
            yield estimate_row(replace(template, component="landmark", statistic="strongest"), delta.strongest)


def compute(records: Records, request: AnalysisRequest) -> Contributions:
    """Means over clips of each layer's contributions; the three variants agree (only `frames` matters)."""
    models: dict[str, ModelContributions] = {}
    notes = [repeat_note(request)]
    for model in request.models:
        one, undefined = _one_model(records, request, model)
        notes += [missing_note(request, model, one.clips if one else ()), undefined]
        if one:
            models[model.name] = one
            notes += [speaker_note([clip.speaker for clip in one.clips]), _none_note(model.name, one)]
    differences = []
    pairs, reasons = comparisons(request)
    for model, reference in pairs:
        mine, theirs = models.get(model.name), models.get(reference.name)
        delta = _difference(mine, theirs, request.seed) if mine and theirs else None
        about = f"{model.name} - {reference.name}"
        if delta is not None:
            differences.append(delta)
            notes.append(_none_note(about, delta))
        else:
            notes.append(Note(about, "No clip has a record under both."))
    found = dict.fromkeys(note for note in (*notes, *reasons) if note is not None)
    return Contributions(request.variant, tuple(models.values()), tuple(differences), tuple(found))


def _none_note(about: str, found: ModelContributions | ContributionDifference) -> Note | None:
    return Note(f"{about} strongest", f"None, because {NONE_REASONS['strongest']}.") if not found.strongest else None


def _one_model(
    records: Records, request: AnalysisRequest, model: ModelInfo
) -> tuple[ModelContributions | None, Note | None]:
    """The model's numbers, None without any record; and which clips' own are undefined."""
    clips, relative, cosine, norm = [], [], [], []
    for clip, record in forward_records(records, request, model):
        clips.append(clip)
        relative.append(record.relative)
        cosine.append(record.cosine)
        norm.append(record.residual_norm)
    if not clips:
        return None, None
    both = np.stack(relative), np.stack(cosine), np.stack(norm)  # over all frames, over those that hold audio
    own = [array[:, FRAMES.index(request.frames)] for array in both]
    padding = [array[:, 0] - array[:, 1] for array in both]
    mean = _means(own, clips, request.seed)
    one = ModelContributions(
        model,
        tuple(clips),
        relative=own[0],
        cosine=own[1],
        residual_norm=own[2],
        mean=mean,
        padding=_means(padding, clips, request.seed),
        strongest=_strongest(mean, mean),
    )
    return one, undefined_note(model, clips, *both)


def _difference(mine: ModelContributions, theirs: ModelContributions, seed: int) -> ContributionDifference | None:
    i, j = shared_clips(mine.clips, theirs.clips)
    if not i:
        return None
    deltas = [
        mine.relative[i] - theirs.relative[j],
        mine.cosine[i] - theirs.cosine[j],
        mine.residual_norm[i] - theirs.residual_norm[j],
    ]
    curves = _means(deltas, [mine.clips[k] for k in i], seed)
    return ContributionDifference(mine.model.name, theirs.model.name, curves, _strongest(curves, mine.mean))


def _strongest(curves: ContributionCurves, scale: ContributionCurves) -> Estimate | None:
    sums, of = (np.abs(one.relative.value[COMPONENTS.index("sum")]) for one in (curves, scale))
    layer = strongest_layer(sums, ROUNDING * float(of.max()))
    return None if layer is None else Estimate(float(layer), n=curves.relative.n)


def _means(arrays: Sequence[Float64[np.ndarray, "clips ..."]], clips: Sequence[Clip], seed: int) -> ContributionCurves:
    """Of relative, cosine and residual norm, clip by clip."""
    speakers = [clip.speaker for clip in clips]
    return ContributionCurves(*(mean_interval(values, speakers, seed) for values in arrays))
