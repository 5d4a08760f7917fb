"""What CKA gives: A against B per module, points against points, their null bands, and their rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from core.analyses.request import Note, Row, Variant
from core.analyses.statistics import Band
from core.analyses.table import curve_rows, estimate_row
from core.models.info import LoraModule

Kernel = Literal["linear", "rbf"]


@dataclass(frozen=True)
class Alignment:
    """CKA of two things in every module of an adapter: `component` "A-B", or "A-A" and "B-B" between two models.

    `null` is CKA of the same features with clips shuffled: its mean and middle 95 %; None where rows are frames.
    """

    model: str
    versus: str | None
    component: str
    gradient: bool
    kernel: Kernel
    modules: tuple[LoraModule, ...]
    cka: Band
    null: Band | None

    def __post_init__(self) -> None:
        for band in (self.cka, self.null):
            if band is not None and band.value.shape != (len(self.modules),):
                raise ValueError(f"CKA of {band.value.shape} for {len(self.modules)} modules")

    def rows(self, variant: Variant) -> Iterator[Row]:
        template = Row("cka", variant, self.model, versus=self.versus, component=self.component)
        # `released` has one kernel for each series, the others both for all
        name = ("grad_" if self.gradient else "") + _named("cka", self.kernel if variant != "released" else "linear")
        for statistic, band in ((name, self.cka), (f"{name}_null", self.null)):
            for i, module in enumerate(self.modules if band else ()):
                row = replace(template, layer=module.layer, module=module.name, statistic=statistic)
                yield estimate_row(row, band.at(i) if band else None)


@dataclass(frozen=True)
class Heatmap:
    """CKA of the residual stream at every point of one model (rows) with every point of another (columns).

    Its statistic names the estimator where it is not the variant's own.
    """

    model: str
    versus: str
    kernel: Kernel
    unbiased: bool
    cka: Band
    null: Band | None

    def __post_init__(self) -> None:
        if self.cka.value.ndim != 2 or (self.null is not None and self.null.value.shape != self.cka.value.shape):
            raise ValueError(f"a heatmap has shape {self.cka.value.shape}")

    def rows(self, variant: Variant) -> Iterator[Row]:
        name = _named("cka_layers", self.kernel)
        if self.unbiased != (variant == "corrected"):
            name += "_unbiased" if self.unbiased else "_biased"
        for statistic, band in ((name, self.cka), (f"{name}_null", self.null)):
            template = Row("cka", variant, self.model, versus=self.versus, statistic=statistic)
            for column in range(self.cka.value.shape[1] if band else 0):
                if band:
                    part = Band(band.value[:, column], band.low[:, column], band.high[:, column], band.n)
                    yield from curve_rows(template, part, module=str(column))


@dataclass(frozen=True)
class Similarity:
    """All of it. `unbiased` says which estimator."""

    variant: Variant
    unbiased: bool
    alignments: tuple[Alignment, ...]
    heatmaps: tuple[Heatmap, ...]
    notes: tuple[Note, ...]

    def rows(self) -> Iterator[Row]:
        for alignment in self.alignments:
            yield from alignment.rows(self.variant)
        for heatmap in self.heatmaps:
            yield from heatmap.rows(self.variant)


def _named(statistic: str, kernel: Kernel) -> str:
    return statistic if kernel == "linear" else f"{statistic}_rbf"
