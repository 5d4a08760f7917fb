"""What a training run wrote beside a checkpoint, as evaluation reads it. Needs no torch."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.corpora.leakage import Facts
from core.emotions import canonical
from core.errors import Refusal
from core.models.files import read_json
from core.models.info import ModelInfo, Role
from core.training.manifest import MANIFEST
from core.training.recipe import METHODS

_SAME = (
    "base_fingerprint",
    "method",
    "rank",
    "alpha",
    "targets",
    "layers",
    "recipe",
    "scheme",
    "source",
    "where",
)


@dataclass(frozen=True)
class Manifest:
    """One trained fold. `recipe` is equal for runs that differ in seed or fold alone."""

    directory: Path
    method: str
    rank: int
    base: str
    base_fingerprint: str
    labels: tuple[str, ...]
    recipe: str
    shuffled: bool
    seed: int
    scheme: str
    leaking: bool
    fold: str
    source: tuple[str, ...]
    where: str
    train: Facts
    validation: Facts
    test: Facts


def read_manifest(directory: Path) -> Manifest:
    """The manifest in a fold's directory; refuses one that is missing, damaged or lacks something."""
    path = directory / MANIFEST
    data = read_json(path)
    try:
        if data["method"] not in METHODS:
            raise ValueError(f"method {data['method']!r}")
        splits = {name: Facts.from_lists(data["splits"][name]) for name in ("train", "validation", "test")}
        return Manifest(
            directory=directory.resolve(),
            method=str(data["method"]),
            rank=int(data["rank"] or 0),
            base=str(data["base"]),
            base_fingerprint=str(data["base_fingerprint"]),
            labels=tuple(map(str, data["labels"])),
            recipe=_recipe(data),
            shuffled=bool(data["recipe"].get("shuffle_labels")),
            seed=int(data["seed"]),
            scheme=str(data["scheme"]),
            leaking=bool(data["leaking"]),
            fold=str(data["fold"]),
            source=tuple(map(str, data["source"])),
            where=str(data["where"] or ""),
            train=splits["train"],
            validation=splits["validation"],
            test=splits["test"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refusal(f"{path} is no whole training manifest ({error!r}): train the fold again.") from error


def manifest_of(model: ModelInfo) -> Manifest | None:
    """What lies beside a model's trained weights (of a Trainer's `checkpoint-*`, also beside that), None without.

    Refuses a damaged one.
    """
    trained = model.files.adapter or (model.files.head[0] if model.files.head else model.files.config)
    places = [trained.parent]
    if re.fullmatch(r"checkpoint-\d+", trained.parent.name):
        places.append(trained.parent.parent)
    if model.role is Role.UNTRAINED:
        return None
    return next((read_manifest(place) for place in places if (place / MANIFEST).is_file()), None)


def _recipe(data: Mapping[str, Any]) -> str:
    # a head to start from is another one for every seed and fold
    same = {name: data.get(name) for name in _SAME} | {"from_head": bool(data.get("head"))}
    same["labels"] = sorted(map(canonical, data["labels"]))
    return json.dumps(same, sort_keys=True)
