"""How a training went and how good it got, as the manifest beside the checkpoint says."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import Refusal
from core.evaluation.manifest import Manifest
from core.evaluation.runs import find_folds
from core.models.files import read_json
from core.training.manifest import MANIFEST

_LOSSES = ("train", "validation")


@dataclass(frozen=True)
class Epoch:
    """One epoch, numbered from 1; a loss that was not logged is None."""

    number: int
    train_loss: float | None
    validation_loss: float | None
    validation_uar: float
    validation_war: float


@dataclass(frozen=True)
class Result:
    """UAR and WAR over `n` clips."""

    n: int
    uar: float
    war: float


@dataclass(frozen=True)
class History:
    """One fold's training. `best` is the number of the epoch that was kept, `test` None where nothing was held out.

    `recipe` are the settings it was trained with.
    """

    manifest: Manifest
    epochs: tuple[Epoch, ...]
    best: int
    validation: Result
    test: Result | None
    held_out: str
    command: str
    seconds: float
    recipe: dict[str, Any]


@dataclass(frozen=True)
class Summary:
    """Mean and standard deviation (n - 1; None of a single fold) over folds and seeds of one recipe.

    `on_test` is False where a fold has no test clips: then all are over the validation clips that chose the epoch.
    """

    folds: int
    on_test: bool
    uar: float
    uar_sd: float | None
    war: float
    war_sd: float | None


def read_history(manifest: Manifest) -> History:
    """The rest of what lies in a fold's directory; refuses a manifest that does not say how training went."""
    path = manifest.directory / MANIFEST
    data = read_json(path)
    try:
        return History(
            manifest=manifest,
            epochs=tuple(_epoch(epoch) for epoch in data["epochs"]),
            best=int(data["best_epoch"]),
            validation=_result(data["results"]["validation"]),
            test=None if data["results"]["test"] is None else _result(data["results"]["test"]),
            held_out=str(data["held_out"]),
            command=str(data.get("command", "")),
            seconds=float(data.get("seconds", 0.0)),
            recipe={name: value for name, value in data["recipe"].items() if value is not None},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refusal(f"{path} does not say how training went ({error!r}): train the fold again.") from error


def siblings(history: History) -> tuple[History, ...]:
    """All folds and seeds of one recipe that lie in the same directory, this one among them, in the order of names."""
    found, _ = find_folds([history.manifest.directory.parent])
    same = [one for one in found if one.recipe == history.manifest.recipe]
    return tuple(history if one.directory == history.manifest.directory else read_history(one) for one in same)


def summarise(histories: Sequence[History]) -> Summary:
    """Of the folds of one recipe; at least one."""
    tests = [one.test for one in histories if one.test is not None]
    on_test = len(tests) == len(histories)
    results = tests if on_test else [one.validation for one in histories]
    uars, wars = [one.uar for one in results], [one.war for one in results]
    many = len(results) > 1
    return Summary(
        len(results),
        on_test,
        statistics.fmean(uars),
        statistics.stdev(uars) if many else None,
        statistics.fmean(wars),
        statistics.stdev(wars) if many else None,
    )


def _epoch(data: dict[str, Any]) -> Epoch:
    train, validation = (None if data.get(f"{part}_loss") is None else float(data[f"{part}_loss"]) for part in _LOSSES)
    return Epoch(int(data["epoch"]), train, validation, float(data["validation_uar"]), float(data["validation_war"]))


def _result(data: dict[str, Any]) -> Result:
    return Result(int(data["n"]), float(data["uar"]), float(data["war"]))
