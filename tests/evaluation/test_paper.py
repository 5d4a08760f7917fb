"""The paper's own results: only what is publicly quoted, and what is left out is said."""

from dataclasses import replace
from itertools import product

import pytest

from core.evaluation import paper


def test_each_row_is_one_of_the_tables_and_there_once() -> None:
    cells = [(row.base, row.method) for row in paper.TABLE_1]
    assert len(set(cells)) == len(cells)
    assert set(cells) <= set(product(paper.BASES, paper.METHODS))
    assert all(0 < value < 1 for row in paper.TABLE_1 for value in (row.uar, row.uar_sd, row.war, row.war_sd))


def test_what_is_left_out_is_counted_until_nothing_is(monkeypatch: pytest.MonkeyPatch) -> None:
    every = [
        replace(paper.TABLE_1[0], base=base, method=method) for base, method in product(paper.BASES, paper.METHODS)
    ]
    monkeypatch.setattr(paper, "TABLE_1", every[:-1])
    assert paper.left_out() == "Of the paper's Table 1, 1 other row is not held here (LoRA; large-v3): see there."
    monkeypatch.setattr(paper, "TABLE_1", every[:1])
    assert paper.left_out().startswith("Of the paper's Table 1, 11 other rows are not held here (LoRA and Frozen; tiny")
    monkeypatch.setattr(paper, "TABLE_1", every)
    assert paper.left_out() == ""
