"""Rows as columns: what the cache keeps of a result, and what figures and answers pick their numbers from."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int

from core.analyses.request import COLUMNS, Note, Row

TEXTS = ("analysis", "variant", "model", "versus", "module", "component", "statistic", "clip_id")
WHOLES = ("layer", "n")
VALUES = ("value", "ci_low", "ci_high")
EMPTY = -1  # in columns of whole numbers
Wanted = str | int | tuple[str, ...] | None  # of a column: this, any of these, or nothing in it


@dataclass(frozen=True, eq=False)
class Curve:
    """Values at increasing layers (or points) with their 95 % bounds (NaN where there is none), over `n` clips."""

    at: Int[np.ndarray, " k"]
    value: Float64[np.ndarray, " k"]
    low: Float64[np.ndarray, " k"]
    high: Float64[np.ndarray, " k"]
    n: int

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of a result in their order, and its notes.

    Text columns hold indices into `words`, EMPTY where there is none; values are NaN where undefined.
    """

    words: tuple[str, ...]
    columns: Mapping[str, np.ndarray]
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.columns[name]) for name in (*TEXTS, *WHOLES, *VALUES)}
        if len(lengths) != 1:
            raise ValueError(f"columns of {sorted(lengths)} rows")

    @classmethod
    def of(cls, rows: Iterable[Row], notes: Sequence[Note] = ()) -> "Table":
        """The same rows as columns."""
        kept = list(rows)
        words: dict[str, int] = {}
        columns: dict[str, np.ndarray] = {}
        for name in TEXTS:
            texts = (getattr(row, name) for row in kept)
            codes = (EMPTY if text is None else words.setdefault(text, len(words)) for text in texts)
            columns[name] = np.fromiter(codes, dtype=np.int32, count=len(kept))
        for name in WHOLES:
            numbers = (getattr(row, name) for row in kept)
            columns[name] = np.array([EMPTY if one is None else one for one in numbers], dtype=np.int32)
        for name in VALUES:
            numbers = (getattr(row, name) for row in kept)
            columns[name] = np.array([np.nan if one is None else one for one in numbers], dtype=np.float64)
        return cls(tuple(words), columns, tuple(notes))

    def __len__(self) -> int:
        return len(self.columns["value"])

    @property
    def nbytes(self) -> int:
        """Of its columns."""
        return sum(column.nbytes for column in self.columns.values())

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {word: code for code, word in enumerate(self.words)}

    @cached_property
    def over_clips(self) -> "Table":
        """The rows that are no single clip's: all that most figures ask for, and few where there are many clips."""
        return self.pick(clip_id=None)

    def pick(self, **equal: Wanted) -> "Table":
        """The rows whose columns have these values."""
        kept = np.ones(len(self), dtype=bool)
        for name, wanted in equal.items():
            kept &= self._matches(name, wanted)
        return Table(self.words, {name: column[kept] for name, column in self.columns.items()}, self.notes)

    def _matches(self, name: str, wanted: Wanted) -> Bool[np.ndarray, " rows"]:
        column = self.columns[name]
        if wanted is None:
            return column == EMPTY
        if isinstance(wanted, int):
            return column == wanted
        words = [wanted] if isinstance(wanted, str) else wanted
        return np.isin(column, [self._codes[word] for word in words if word in self._codes])

    def texts(self, name: str) -> list[str | None]:
        """A text column, row by row."""
        return [None if code == EMPTY else self.words[code] for code in self.columns[name]]

    def distinct(self, name: str) -> list[str]:
        """What a text column holds, each once, in the order of the rows; empty ones left out."""
        return [text for text in dict.fromkeys(self.texts(name)) if text is not None]

    def curve(self, **equal: Wanted) -> Curve:
        """The picked rows that have a layer, in its order; empty where there are none."""
        rows = self.pick(**equal)
        order = np.argsort(rows.columns["layer"], kind="stable")
        order = order[rows.columns["layer"][order] != EMPTY]
        value, low, high = (rows.columns[name][order] for name in VALUES)
        n = rows.columns["n"]
        return Curve(rows.columns["layer"][order], value, low, high, max(int(n.max()), 0) if len(n) else 0)

    def one(self, **equal: Wanted) -> Row | None:
        """The first of the picked rows."""
        return next(self.pick(**equal).rows(), None)

    def rows(self) -> Iterator[Row]:
        """The rows again, None where a cell is empty or undefined."""
        cells: dict[str, list] = {name: self.texts(name) for name in TEXTS}
        cells |= {name: [None if one == EMPTY else one for one in self.columns[name].tolist()] for name in WHOLES}
        cells |= {name: [one if np.isfinite(one) else None for one in self.columns[name].tolist()] for name in VALUES}
        for row in zip(*(cells[name] for name in COLUMNS), strict=True):
            yield Row(*row)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat arrays for the store; `from_arrays` turns them back."""
        text = {"words": self.words, "notes": [[note.about, note.reason] for note in self.notes]}
        return {name: _as_bytes(one) for name, one in text.items()} | dict(self.columns)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Table":
        """A table from what `to_arrays` gave; KeyError where a column is missing."""
        words, notes = (json.loads(arrays[name].tobytes()) for name in ("words", "notes"))
        columns = {name: arrays[name] for name in (*TEXTS, *WHOLES, *VALUES)}
        return cls(tuple(words), columns, tuple(Note(*note) for note in notes))


def _as_bytes(value: object) -> np.ndarray:
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)
