"""Rows as columns: nothing is lost on the way into the store and back, and figures pick what they ask for."""

import math
from dataclasses import replace

import numpy as np
import pytest

from core.analyses.request import Note, Row
from core.analyses.tidy import TEXTS, VALUES, Curve, Table

ROWS = [
    Row("lens", "published", "LoRA r=8", layer=2, statistic="kl", value=0.25, ci_low=0.1, ci_high=0.4, n=8),
    Row("lens", "published", "LoRA r=8", layer=0, statistic="kl", value=1.5, n=8),
    Row("lens", "published", "LoRA r=8", layer=1, statistic="kl", value=None, n=7),
    Row("lens", "published", "LoRA r=8", versus="Frozen", layer=0, statistic="kl", value=-1 / 3, n=8),
    Row("lens", "published", "Frozen", component="landmark", statistic="kl_min", value=3.0, n=8),
    Row("lens", "published", "Frozen", layer=0, component="Ärger, laut", statistic="prob", clip_id="a" * 64, value=0.0),
    Row("lens", "published", "Frozen", layer=10, module="10.v_proj", statistic="", value=1e-300, n=0),
]
NOTES = (Note("LoRA r=8", "Why it is so."), Note("clips", 'With "quotes", commas\nand lines.'))


@pytest.fixture
def table() -> Table:
    return Table.of(iter(ROWS), NOTES)


def test_rows_come_back_as_they_were(table: Table) -> None:
    assert list(table.rows()) == ROWS and len(table) == len(ROWS)
    again = Table.from_arrays({name: array.copy() for name, array in table.to_arrays().items()})
    assert list(again.rows()) == ROWS
    assert again.notes == NOTES and again.words == table.words


def test_an_empty_table_comes_back_too() -> None:
    again = Table.from_arrays(Table.of(()).to_arrays())
    assert (list(again.rows()), again.notes, len(again)) == ([], (), 0)
    assert len(again.curve(model="LoRA r=8")) == 0 and again.curve().n == 0
    assert again.one() is None and again.distinct("model") == []


def test_numbers_that_are_not_finite_become_none() -> None:
    rows = [replace(ROWS[0], value=value) for value in (math.nan, math.inf, -math.inf)]
    assert [row.value for row in Table.of(rows).rows()] == [None] * 3


def test_a_missing_column_is_noticed(table: Table) -> None:
    arrays = table.to_arrays()
    for name in (*TEXTS, *VALUES, "layer", "n", "words", "notes"):
        with pytest.raises(KeyError):
            Table.from_arrays({other: array for other, array in arrays.items() if other != name})


def test_columns_of_different_length_are_noticed(table: Table) -> None:
    with pytest.raises(ValueError, match=r"columns of \[6, 7\] rows"):
        Table(table.words, {**table.columns, "value": table.columns["value"][1:]})


def test_rows_are_picked_by_value_by_any_of_several_and_by_emptiness(table: Table) -> None:
    assert list(table.pick(model="Frozen").rows()) == ROWS[4:]
    assert list(table.pick(model=("Frozen", "LoRA r=8"), statistic="kl").rows()) == ROWS[:4]
    assert list(table.pick(statistic="kl", versus=None).rows()) == ROWS[:3]
    assert list(table.pick(layer=0).rows()) == [ROWS[1], ROWS[3], ROWS[5]]
    assert list(table.pick(layer=None).rows()) == [ROWS[4]]
    assert list(table.pick(statistic="").rows()) == [ROWS[6]]
    assert list(table.pick(model=()).rows()) == list(table.pick(model="nobody").rows()) == []
    assert list(table.pick().rows()) == ROWS
    assert table.pick(model="Frozen").notes == NOTES
    # a number in a text column's place is no word: what is kept as code 0 is not what 0 asks for
    assert table.one(model="LoRA r=8", layer=1) == ROWS[2]


def test_a_curve_is_in_the_order_of_depth_with_gaps_where_undefined(table: Table) -> None:
    curve = table.curve(model="LoRA r=8", statistic="kl", versus=None)
    assert isinstance(curve, Curve) and len(curve) == 3
    np.testing.assert_array_equal(curve.at, [0, 1, 2])
    np.testing.assert_array_equal(curve.value, [1.5, np.nan, 0.25])
    np.testing.assert_array_equal(curve.low, [np.nan, np.nan, 0.1])
    np.testing.assert_array_equal(curve.high, [np.nan, np.nan, 0.4])
    assert curve.n == 8
    assert len(table.curve(component="landmark")) == 0, "a row without a layer is on no curve"
    assert table.curve(component="landmark").n == 8


def test_distinct_words_come_in_the_order_of_the_rows(table: Table) -> None:
    assert table.distinct("model") == ["LoRA r=8", "Frozen"]
    assert table.distinct("versus") == ["Frozen"]
    assert table.pick(model="Frozen").distinct("statistic") == ["kl_min", "prob", ""]
    assert table.texts("versus")[3] == "Frozen" and table.texts("versus")[0] is None
