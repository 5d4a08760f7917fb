"""Which adapters are held side by side, and what of the rows is theirs."""

from collections.abc import Sequence
from itertools import combinations

from core.analyses.tidy import Curve, Table
from core.figures.adapters import modules
from core.figures.view import View
from core.models.info import ModelInfo


def comparable(models: Sequence[ModelInfo]) -> tuple[ModelInfo, ...]:
    """The adapters over the first one's base, the lowest rank first; none where no model has LoRA."""
    found = [model for model in models if model.lora]
    same = [model for model in found if model.base_fingerprint == found[0].base_fingerprint]
    return tuple(sorted(same, key=lambda model: model.rank or 0))


def pairs(models: Sequence[ModelInfo]) -> tuple[tuple[ModelInfo, ModelInfo], ...]:
    """Each pair as its lower and its higher rank; the lowest with the highest comes first."""
    found = combinations(models, 2)
    place = {model.name: i for i, model in enumerate(models)}
    return tuple(sorted(found, key=lambda pair: place[pair[0].name] - place[pair[1].name]))


def curve(
    rows: Table, model: ModelInfo, target: str, statistic: str, of: str | None = None, versus: str | None = None
) -> Curve:
    """A statistic over the layers of a model's modules of one target; `of` an emotion, `versus` a lower rank."""
    picked = rows.pick(model=model.name, versus=versus, component=of, statistic=statistic)
    return picked.curve(module=modules(model, target))


def emotions(view: View) -> list[str]:
    """Canonical names of the emotions that have rows of their own."""
    return view.table("ranks").over_clips.pick(statistic=("silhouette", "rank_sensitivity")).distinct("component")
