"""What the spectra give: of activations and gradients with intervals, of the weights, and their rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int

from core.analyses.request import Note, Row, Variant
from core.analyses.spectrum import STATISTICS, energy
from core.analyses.statistics import Band
from core.analyses.table import estimate_row, number
from core.models.info import LoraModule, ModelInfo

# Efficiency ratios in the paper: large-v2, r = 32; (mean SV90 of the trained model, ratio), as far as it gives them.
PAPER_EFFICIENCY: Mapping[tuple[str, bool], tuple[float | None, float]] = {
    ("A", False): (2.9, 5.5),
    ("A", True): (None, 1.7),
    ("B", False): (1.5, 10.4),
    ("B", True): (None, 0.4),
}
SCALARS = (*STATISTICS, "norm")  # the columns of a Spectrum before its energies


@dataclass(frozen=True)
class Spectrum:
    """One stacked matrix (X_A, X_B or their gradients) of M modules: columns SCALARS, then energy(1) to energy(K).

    norm is the Frobenius norm. `mean` is over modules. Intervals: jackknife over speakers, NaN where there is none.
    """

    component: str
    gradient: bool
    modules: Band
    mean: Band

    def __post_init__(self) -> None:
        columns = self.modules.value.shape[1:]
        if self.mean.value.shape != columns or columns[0] <= len(SCALARS):
            raise ValueError(f"a spectrum of {self.modules.value.shape} has a mean of {self.mean.value.shape}")

    @property
    def energy(self) -> Float64[np.ndarray, "modules k"]:
        """Cumulative energy of each module, from k = 1."""
        return self.modules.value[:, len(SCALARS) :]

    def rows(self, template: Row, modules: tuple[LoraModule, ...]) -> Iterator[Row]:
        """One row a module and number, then the means over modules (their module is empty)."""
        names = (*SCALARS, *(f"energy:{k}" for k in range(1, self.energy.shape[1] + 1)))
        for i, name in enumerate(names):
            statistic = f"grad_{name}" if self.gradient else name
            one = replace(template, component=self.component, statistic=statistic)
            for m, module in enumerate(modules):
                yield estimate_row(replace(one, layer=module.layer, module=module.name), self.modules.at(m, i))
            yield estimate_row(one, self.mean.at(i))


@dataclass(frozen=True)
class WeightSpectra:
    """Spectra of M modules' weights: dW = scaling B A, the projection's own W, and W + dW. No clips, no intervals.

    values        singular values of each by module, largest first
    scalars       STATISTICS of each, M x 4
    overlap_left  share of dW's first k left singular directions inside W's first k, k = 1 to the module's rank
    overlap_right the same of right ones
    intruders     how many of the first 10 left singular vectors of W + dW are like none of W's (|cosine| < 0.5)
    """

    values: Mapping[str, tuple[Float64[np.ndarray, " _"], ...]]
    scalars: Mapping[str, Float64[np.ndarray, "modules 4"]]
    overlap_left: tuple[Float64[np.ndarray, " _"], ...]
    overlap_right: tuple[Float64[np.ndarray, " _"], ...]
    intruders: Int[np.ndarray, " modules"]

    def __post_init__(self) -> None:
        count = len(self.intruders)
        lengths = {len(self.overlap_left), len(self.overlap_right), *map(len, self.values.values())}
        if lengths | {len(table) for table in self.scalars.values()} != {count}:
            raise ValueError(f"weight spectra of {count} modules have parts of {sorted(lengths)}")

    def rows(self, template: Row, modules: tuple[LoraModule, ...]) -> Iterator[Row]:
        """One row a module and number; `singular:<k>`, `overlap_left:<k>` and so on of dW only."""
        for component, table in self.scalars.items():
            for m, module in enumerate(modules):
                one = replace(template, layer=module.layer, module=module.name, component=component)
                yield from _numbered(one, dict(zip(STATISTICS, table[m], strict=True)))
            mean = dict(zip(STATISTICS, table.mean(axis=0), strict=True))
            yield from _numbered(replace(template, component=component), mean)
        for m, module in enumerate(modules):
            one = replace(template, layer=module.layer, module=module.name, component="dW")
            yield from _numbered(one, {"intruders": float(self.intruders[m])})
            curves = {
                "singular": self.values["dW"][m],
                "energy": energy(self.values["dW"][m]),
                "overlap_left": self.overlap_left[m],
                "overlap_right": self.overlap_right[m],
            }
            for name, curve in curves.items():
                yield from _numbered(one, {f"{name}:{k}": value for k, value in enumerate(curve, 1)})


@dataclass(frozen=True)
class ModelSpectra:
    """One model's spectra. `trained` names the model whose untrained counterpart this is, else None."""

    model: ModelInfo
    trained: str | None
    weights: WeightSpectra
    spectra: tuple[Spectrum, ...]

    def spectrum(self, component: str, *, gradient: bool) -> Spectrum | None:
        """The one of these, where it could be computed."""
        return next((one for one in self.spectra if (one.component, one.gradient) == (component, gradient)), None)

    def rows(self, variant: Variant) -> Iterator[Row]:
        template = Row("spectra", variant, self.model.name)
        for one in self.spectra:
            yield from one.rows(template, self.model.lora)
        yield from self.weights.rows(template, self.model.lora)


@dataclass(frozen=True)
class Efficiency:
    """Mean SV90 of the untrained counterpart divided by the trained model's: how many times fewer directions."""

    model: str
    untrained: str
    component: str
    gradient: bool
    ratio: Band


@dataclass(frozen=True)
class Subspace:
    """phi(i, j) of two models' dW: how much of one's first i right singular directions lies in the other's first j."""

    model: str
    versus: str
    module: LoraModule
    phi: Float64[np.ndarray, "i j"]


@dataclass(frozen=True)
class Spectra:
    """Every model with LoRA and its untrained counterpart, their ratios, and pairs of adapters over one base."""

    variant: Variant
    models: tuple[ModelSpectra, ...]
    efficiency: tuple[Efficiency, ...]
    subspaces: tuple[Subspace, ...]
    notes: tuple[Note, ...]

    def rows(self) -> Iterator[Row]:
        for one in self.models:
            yield from one.rows(self.variant)
        for ratio in self.efficiency:
            row = Row("spectra", self.variant, ratio.model, versus=ratio.untrained, component=ratio.component)
            statistic = "grad_efficiency" if ratio.gradient else "efficiency"
            yield estimate_row(replace(row, statistic=statistic), ratio.ratio.at())
        for pair in self.subspaces:
            row = Row("spectra", self.variant, pair.model, versus=pair.versus, component="dW")
            row = replace(row, layer=pair.module.layer, module=pair.module.name)
            yield from _numbered(row, {f"subspace:{k}": phi for k, phi in enumerate(np.diag(pair.phi), 1)})
        for (model, versus), phi in self.subspace_means().items():
            row = Row("spectra", self.variant, model, versus=versus, component="dW")
            means = {f"subspace_mean:{i + 1}:{j + 1}": mean for (i, j), mean in np.ndenumerate(phi)}
            yield from _numbered(row, {name: mean for name, mean in means.items() if not np.isnan(mean)})

    def subspace_means(self) -> dict[tuple[str, str], Float64[np.ndarray, "i j"]]:
        """phi(i, j) of each pair of models: mean over the modules that both adapt, with ranks of at least i and j.

        NaN where no module has both ranks.
        """
        grids: dict[tuple[str, str], list[np.ndarray]] = {}
        for pair in self.subspaces:
            grids.setdefault((pair.model, pair.versus), []).append(pair.phi)
        return {names: _mean_grid(each) for names, each in grids.items()}


def _numbered(template: Row, values: Mapping[str, float]) -> Iterator[Row]:
    for statistic, value in values.items():
        yield replace(template, statistic=statistic, value=number(value))


def _mean_grid(grids: Sequence[Float64[np.ndarray, "_ _"]]) -> Float64[np.ndarray, "i j"]:
    """Place by place, of grids that all begin at (1, 1) but need not end alike."""
    stack = np.full((len(grids), *np.max([grid.shape for grid in grids], axis=0)), np.nan)
    for place, grid in zip(stack, grids, strict=True):
        place[: grid.shape[0], : grid.shape[1]] = grid
    count = (~np.isnan(stack)).sum(axis=0)
    return np.divide(np.nansum(stack, axis=0), count, out=np.full(count.shape, np.nan), where=count > 0)
