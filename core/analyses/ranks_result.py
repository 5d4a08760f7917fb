"""What comparing ranks gives: maps of clips, how far emotions lie apart, and their rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float64

from core.analyses.request import Note, Row, Variant
from core.analyses.statistics import Band
from core.analyses.table import estimate_row, number
from core.corpora.clip import Clip
from core.models.info import LoraModule

COLUMNS = ("tsne_1", "tsne_2", "pca_1", "pca_2")
ORDER = ("neutral", "sadness", "anger", "happiness")  # the paper's: rank matters more from one to the next


@dataclass(frozen=True)
class Maps:
    """Where one adapter's clips lie in the plane, by module: clips x COLUMNS."""

    model: str
    clips: tuple[Clip, ...]
    modules: tuple[LoraModule, ...]
    places: tuple[Float64[np.ndarray, "clips 4"], ...]

    def rows(self, variant: Variant) -> Iterator[Row]:
        for module, places in zip(self.modules, self.places, strict=True):
            template = Row("ranks", variant, self.model, layer=module.layer, module=module.name)
            for clip, place in zip(self.clips, places, strict=True):
                for statistic, value in zip(COLUMNS, place, strict=True):
                    yield replace(template, statistic=statistic, clip_id=clip.clip_id, value=number(value))


@dataclass(frozen=True)
class Separation:
    """How far emotions lie apart in every module of an adapter, or that minus the same of `versus`.

    `bands` by statistic and emotion (None: all of them), each over modules.
    """

    model: str
    versus: str | None
    modules: tuple[LoraModule, ...]
    bands: Mapping[tuple[str, str | None], Band]

    def __post_init__(self) -> None:
        for (statistic, _), band in self.bands.items():
            if band.value.shape != (len(self.modules),):
                raise ValueError(f"{statistic} of {band.value.shape} for {len(self.modules)} modules")

    def rows(self, variant: Variant) -> Iterator[Row]:
        for (statistic, emotion), band in self.bands.items():
            template = Row("ranks", variant, self.model, self.versus, component=emotion, statistic=statistic)
            for i, module in enumerate(self.modules):
                yield estimate_row(replace(template, layer=module.layer, module=module.name), band.at(i))


@dataclass(frozen=True)
class Sensitivity:
    """What the highest rank gains over the lowest: the silhouettes' difference, mean over modules, by emotion."""

    model: str
    versus: str
    emotions: Mapping[str, Band]

    @property
    def verdict(self) -> str:
        """Whether the paper's order holds, in one sentence."""
        claim = " < ".join(ORDER)
        missing = [name for name in ORDER if name not in self.emotions or not self.emotions[name].n]
        if missing:
            return f"The paper's order ({claim}) cannot be checked: no value for {', '.join(missing)}."
        values = [float(self.emotions[name].value) for name in ORDER]
        found = " < ".join(sorted(ORDER, key=lambda name: float(self.emotions[name].value)))
        if all(low < high for low, high in pairwise(values)):
            return f"The paper's order ({claim}) holds."
        return f"The paper's order ({claim}) does not hold: here it is {found}."

    def rows(self, variant: Variant) -> Iterator[Row]:
        for emotion, band in self.emotions.items():
            row = Row("ranks", variant, self.model, self.versus, component=emotion, statistic="rank_sensitivity")
            yield estimate_row(row, band.at())


@dataclass(frozen=True)
class Ranks:
    """Every adapter's maps and separation, differences between each two, and between highest and lowest rank."""

    variant: Variant
    maps: tuple[Maps, ...]
    separation: tuple[Separation, ...]
    sensitivity: Sensitivity | None
    notes: tuple[Note, ...]

    def rows(self) -> Iterator[Row]:
        for maps in self.maps:
            yield from maps.rows(self.variant)
        for separation in self.separation:
            yield from separation.rows(self.variant)
        if self.sensitivity:
            yield from self.sensitivity.rows(self.variant)
