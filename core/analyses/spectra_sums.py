"""Stacked activations and gradients as sums over clips, and the numbers of their singular values."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from core.analyses.adapters import finished_set, metrics, unlabelled_note
from core.analyses.reading import distinct, forward_records
from core.analyses.request import AnalysisRequest, Note, Records
from core.analyses.spectra_result import Spectrum
from core.analyses.spectrum import STATISTICS, energy, image_singular_values, padded, singular_values, statistics
from core.analyses.statistics import Band, Sums, jackknife_interval, jackknife_names
from core.corpora.clip import Clip
from core.models.info import ModelInfo
from core.store.forward import FRAMES, unpack_gram
from core.store.model import ModelRecord

SV90 = STATISTICS.index("sv90")  # its column
Values = list[Float64[np.ndarray, " _"]]  # singular values by module, in the model's order
Grams = Mapping[Hashable, np.ndarray]  # packed, by module


@dataclass(frozen=True)
class Measured:
    """One stacked matrix over modules: a row each and their mean, in a Spectrum's columns; and without each speaker."""

    component: str
    gradient: bool
    table: Float64[np.ndarray, "rows columns"]
    without: Mapping[str, Float64[np.ndarray, "rows columns"]]
    n: int

    def spectrum(self) -> Spectrum:
        band = jackknife_interval(self.table, list(self.without.values()), self.n)
        mean = Band(band.value[-1], band.low[-1], band.high[-1], self.n)
        return Spectrum(
            self.component, self.gradient, Band(band.value[:-1], band.low[:-1], band.high[:-1], self.n), mean
        )


def _measure(component: str, sums: Sums, values: Callable[[Grams], Values], *, gradient: bool) -> Measured:
    without = {name: _table(values(sums.total(name))) for name in sums.groups}
    return Measured(component, gradient, _table(values(sums.total())), without, sums.n)


def _table(values: Values) -> Float64[np.ndarray, "rows columns"]:
    scalars = [[*statistics(one), np.sqrt((one**2).sum())] for one in values]
    table = np.column_stack([np.array(scalars), padded([energy(one) for one in values])])
    return np.vstack([table, table.mean(axis=0)])


def activations(
    records: Records, request: AnalysisRequest, model: ModelInfo, weights: ModelRecord
) -> tuple[list[Measured], list[Clip]]:
    """X_A and X_B = X_A B^T, stacked over clips and the chosen frames, and the clips they are of."""
    chosen, metric = FRAMES.index(request.frames), metrics(weights)
    names = [module.name for module in model.lora]
    sums = Sums(jackknife_names(request.clips))
    used: list[Clip] = []
    for clip, record in forward_records(records, request, model):
        used.append(clip)
        sums.add(clip, {name: record.gram_a[name][chosen] for name in names})
    if not used:
        return [], used
    return [
        _measure("A", sums, lambda grams: [singular_values(unpack_gram(grams[m])) for m in names], gradient=False),
        _measure(
            "B",
            sums,
            lambda grams: [image_singular_values(unpack_gram(grams[m]), metric[m]) for m in names],
            gradient=False,
        ),
    ], used


def gradients(records: Records, request: AnalysisRequest, model: ModelInfo) -> tuple[list[Measured], list[Note | None]]:
    """G_A and G_B. G_B's Gram is of the whole set, so that its spectrum has no interval."""
    parts, record = finished_set(request, model, records)
    chosen = FRAMES.index(request.frames)
    names = [module.name for module in model.lora]
    sums = Sums(jackknife_names(request.clips))
    for part in parts:
        gradient = records.gradient(part)
        if gradient is None:
            continue
        kept = slice(gradient.audio_frames) if request.frames == "audio" else slice(None)
        sums.add(part.clip, {name: _packed_gram(gradient.g_a[name].values[kept]) for name in names})
    found = []
    if sums.n:
        values = lambda grams: [singular_values(unpack_gram(grams[m])) for m in names]  # noqa: E731
        found.append(_measure("A", sums, values, gradient=True))
    if record:
        table = _table([singular_values(record.gram_b(m, chosen)) for m in names])
        found.append(Measured("B", True, table, {}, record.n))
    missing = len(distinct(request.clips)) - len(parts)
    about = f"{model.name} gradients"
    return found, [
        unlabelled_note(request, model),
        Note(about, f"{missing} clips have no gradients and are left out.") if missing else None,
        None if record else Note(about, "The sum of B's over all clips is not there, so B's have no spectrum."),
        Note("gradients of B", "Their spectra have no intervals: they are kept as one sum over all clips."),
    ]


def _packed_gram(rows: Float64[np.ndarray, "frames rank"]) -> Float64[np.ndarray, " packed"]:
    return (rows.T @ rows)[np.triu_indices(rows.shape[1])]
