"""What interventions do, over clips: numbers of whole runs and of layers, and their rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from core.analyses.causal_measures import Estimates, means
from core.analyses.request import Estimate, Note, Row, Variant
from core.analyses.statistics import Speakers
from core.analyses.table import estimate_row
from core.interventions import Pairing
from core.models.info import ModelInfo

Name = tuple[str, str]  # component and statistic


@dataclass(frozen=True)
class Effects:
    """One model's numbers by component and statistic: of whole runs, and layer by layer (None where no clip has one).

    `versus` is between which runs was patched; None where single layers were switched.
    """

    model: ModelInfo
    versus: Pairing | None = None
    whole: dict[Name, Estimate] = field(default_factory=dict)
    layers: dict[Name, Estimates] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for (component, statistic), found in self.layers.items():
            if len(found) != self.model.shape.layers:
                raise ValueError(f"{component} {statistic} has {len(found)} of {self.model.shape.layers} layers")

    def rows(self, variant: Variant) -> Iterator[Row]:
        template = Row("causal", variant, self.model.name, self.versus)
        for (component, statistic), estimate in self.whole.items():
            yield estimate_row(replace(template, component=component, statistic=statistic), estimate)
        for (component, statistic), found in self.layers.items():
            for layer, one in enumerate(found):
                if one is not None:
                    yield estimate_row(replace(template, layer=layer, component=component, statistic=statistic), one)


def over_clips(
    model: ModelInfo,
    versus: Pairing | None,
    whole: Mapping[Name, np.ndarray],
    layers: Mapping[Name, np.ndarray],
    speakers: Speakers,
    seed: int,
) -> Effects:
    """Means over clips: of one value a clip in `whole`, of clips x layers in `layers`; NaN where there is none. What no
    clip has anywhere is left out.
    """
    runs = {name: means(values[:, None], speakers, seed)[0] for name, values in whole.items()}
    found = {name: means(values, speakers, seed) for name, values in layers.items()}
    return Effects(
        model,
        versus,
        {name: one for name, one in runs.items() if one is not None},
        {name: each for name, each in found.items() if any(each)},
    )


@dataclass(frozen=True)
class Causal:
    """Every model's single layers and patching, as far as they were asked for and can be."""

    variant: Variant
    effects: tuple[Effects, ...]
    notes: tuple[Note, ...]

    def rows(self) -> Iterator[Row]:
        for one in self.effects:
            yield from one.rows(self.variant)
