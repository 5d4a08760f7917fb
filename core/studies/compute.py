"""Records into tables: the part of a study that takes numpy and no torch, in whichever process."""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

from core.analyses.catalogue import ANALYSES
from core.analyses.request import AnalysisRequest, Result
from core.analyses.stored import StoredRecords
from core.analyses.tidy import Table
from core.engine.interface import Task
from core.store.key import Key, Kind, Precision
from core.store.store import Store
from core.studies.slices import Groups

_CORE = Path(__file__).parent.parent


R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Computed(Generic[R]):
    """Results by group and analysis, of whatever records there were; `lost` are tasks whose records were not there."""

    results: Mapping[str, Mapping[str, R]]
    lost: tuple[Task, ...]


Compute = Callable[[Sequence[str], Groups], Computed[R]]


def results(names: Sequence[str], groups: Groups, store: Store, precision: Precision) -> Computed[Result]:
    """Each analysis of each group."""
    found: dict[str, dict[str, Result]] = {}
    lost: dict[Task, None] = {}
    for group, request in groups.items():
        records = StoredRecords(store, precision, request.window_start)
        found[group] = {name: ANALYSES[name].compute(records, request) for name in names}
        lost |= dict.fromkeys(records.lost)
    return Computed(found, tuple(lost))


def tables(names: Sequence[str], groups: Groups, store: Store, precision: Precision) -> Computed[Table]:
    """The same as tables. What is complete is kept in the store, so that nobody computes it again."""
    found = results(names, groups, store, precision)
    made = {
        group: {name: Table.of(result.rows(), result.notes) for name, result in of.items()}
        for group, of in found.results.items()
    }
    for group, of in made.items() if not found.lost else ():
        for name, table in of.items():
            with contextlib.suppress(OSError, sqlite3.Error):  # on a full disk they are only computed again next time
                store.write(result_key(name, groups[group], precision), table.to_arrays())
    return Computed(made, found.lost)


def kept(
    names: Sequence[str], groups: Groups, store: Store, precision: Precision
) -> Mapping[str, Mapping[str, Table]] | None:
    """What `tables` left; None where something is missing."""
    found: dict[str, dict[str, Table]] = {}
    for group, request in groups.items():
        found[group] = {}
        for name in names:
            arrays = store.read(result_key(name, request, precision))
            if arrays is None:
                return None
            found[group][name] = Table.from_arrays(arrays)
    return found


def result_key(name: str, request: AnalysisRequest, precision: Precision) -> Key:
    """Key of a result: everything its rows and notes depend on, the code of the analyses among it."""
    models = [[model.fingerprint, model.name, model.role.value, model.group, model.labels] for model in request.models]
    clips, partners = (
        [[clip.clip_id, clip.name, clip.n_samples, clip.label, clip.speaker, clip.transcript] for clip in of]
        for of in (request.clips, request.partners)
    )
    apart = ("models", "clips", "partners")
    rest = {one.name: getattr(request, one.name) for one in fields(request) if one.name not in apart}
    spec = {"analysis": name, "code": _code(), "partners": _digest(partners), **rest}
    return Key(Kind.RESULT, _digest(models), _digest(clips), precision, spec)


@cache
def _code() -> str:
    """SHA-256 of the analyses' source, with what decides which class a label is: a result of other code is never taken
    for this one's.
    """
    total = hashlib.sha256()
    for file in (*sorted((_CORE / "analyses").glob("*.py")), _CORE / "emotions.py"):
        total.update(file.read_bytes())
    return total.hexdigest()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
