"""Results as tidy rows, and rows as CSV: one number a row, the same columns in every file."""

import csv
import io
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

from core.analyses.request import COLUMNS, Estimate, Row
from core.analyses.statistics import Band


def number(value: float | None) -> float | None:
    """A finite float, or None for what is undefined (its reason is in the result's notes)."""
    return None if value is None or not math.isfinite(value) else float(value)


def estimate_row(template: Row, estimate: Estimate | None) -> Row:
    """The template with a value, its interval and n; without a value where there is none."""
    if estimate is None:
        return template
    low, high = number(estimate.low), number(estimate.high)
    return replace(template, value=number(estimate.value), ci_low=low, ci_high=high, n=estimate.n)


def curve_rows(template: Row, band: Band, **columns: str) -> Iterator[Row]:
    """One row a layer (or point) of a one-dimensional band, with `columns` set on top of the template's."""
    for layer in range(band.value.shape[0]):
        yield estimate_row(replace(template, layer=layer, **columns), band.at(layer))  # type: ignore[arg-type]


def csv_text(rows: Iterable[Row]) -> str:
    """Header and rows; numbers in the shortest form that reads back exactly, empty for None and NaN."""
    text = io.StringIO()
    _write(text, rows)
    return text.getvalue()


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """The same into a file, which appears whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            _write(file, rows)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _write(file: io.TextIOBase, rows: Iterable[Row]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    cells = attrgetter(*COLUMNS)  # astuple would copy every cell deeply
    writer.writerows([_cell(value) for value in cells(row)] for row in rows)


def _cell(value: object) -> str:
    if isinstance(value, float):  # also numpy's, whose repr is not a number
        return repr(float(value)) if math.isfinite(value) else ""
    return "" if value is None else str(value)
