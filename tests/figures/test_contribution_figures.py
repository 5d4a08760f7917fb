"""The Contributions page's charts and its answer, from made-up rows whose numbers are known."""

import re
from dataclasses import replace

import numpy as np
import pytest

from core.analyses.request import Row
from core.analyses.tidy import Table
from core.figures import contributions as figures
from core.figures.view import View
from core.models.info import ModelInfo
from tests.analyses.fabricate import make_model

LAYERS = 3


def rows(model: str, versus: str | None, values: list[float], half: float | None, component: str) -> list[Row]:
    bounds = [(None, None) if half is None else (value - half, value + half) for value in values]
    return [
        Row("contributions", "published", model, versus, layer, None, component, "relative", None, value, *bound, 8)
        for layer, (value, bound) in enumerate(zip(values, bounds, strict=True))
    ]


@pytest.fixture
def models() -> tuple[ModelInfo, ...]:
    return tuple(make_model(name=name, layers=LAYERS) for name in ("frozen", "r8"))


def view(models: tuple[ModelInfo, ...], found: list[Row], **more: object) -> View:
    tables = {"": {"contributions": Table.of(found)}}
    return View(models, models[0], "published", "all", **{"tables": tables, "total": 8, "done": True} | more)


def test_the_answer_names_the_largest_difference_and_the_layers_without_one(models: tuple[ModelInfo, ...]) -> None:
    found = rows("r8", "frozen", [0.01, 0.3, -0.1], 0.05, "attention") + rows("r8", "frozen", [0.0] * 3, 0.01, "mlp")
    text = figures.answer(view(models, found))
    assert "Attention at layer 1 writes more than frozen's: **r8** +0.300 [+0.250, +0.350]" in text
    assert "8 clips" in text
    assert "No difference is seen in layer 0." in text


def test_less_is_said_as_less_and_an_interval_that_holds_zero_is_said(models: tuple[ModelInfo, ...]) -> None:
    found = rows("r8", "frozen", [0.0, -0.2, 0.1], 0.4, "mlp")
    text = figures.answer(view(models, found))
    assert "MLP at layer 1 writes less than frozen's: **r8** −0.200" in text
    assert "interval holds zero" in text


def test_without_intervals_nothing_is_claimed_of_layers(models: tuple[ModelInfo, ...]) -> None:
    text = figures.answer(view(models, rows("r8", "frozen", [0.0, 0.2, 0.1], None, "mlp")))
    assert text.endswith("There are no intervals.")


def test_one_model_alone_says_where_it_writes_most(models: tuple[ModelInfo, ...]) -> None:
    alone = view(models[:1], rows("frozen", None, [0.1, 0.3, 0.2], 0.05, "sum"))
    text = figures.answer(alone)
    assert "**frozen** writes most at layer 1: a relative contribution of 0.300 [0.250, 0.350], 8 clips" in text
    assert "nothing to compare" in text
    drawing = figures.main(alone, "relative")
    assert "lower row" not in drawing.how_to_read and "**" not in drawing.alt


def test_nothing_known_nothing_said_but_the_frame_is_there(models: tuple[ModelInfo, ...]) -> None:
    empty = view(models, [], done=False)
    assert figures.answer(empty) == ""
    full = view(models, rows("frozen", None, [0.1, 0.2, 0.3], 0.05, "sum"))
    for draw in (lambda v: figures.main(v, "relative"), figures.norms, lambda v: figures.padding(v, "relative")):
        before, after = draw(empty).figure.layout, draw(full).figure.layout
        assert before.height == after.height
        assert before.margin == after.margin


def test_curves_are_the_rows_and_bands_their_intervals(models: tuple[ModelInfo, ...]) -> None:
    drawing = figures.main(view(models, rows("r8", None, [0.1, 0.2, 0.4], 0.05, "sum")), "relative")
    line = next(one for one in drawing.figure.data if one.mode == "lines+markers" and one.name == "r8" and len(one.y))
    assert list(line.x) == [0, 1, 2]
    assert list(line.y) == [0.1, 0.2, 0.4]
    assert "0.200 [0.150, 0.250]" in line.customdata[1]
    band = next(one for one in drawing.figure.data if one.fill == "toself")
    assert max(band.y) == pytest.approx(0.45)
    assert min(band.y) == pytest.approx(0.05)
    assert len(drawing.numbers[""]) == LAYERS


def test_one_model_has_no_row_of_differences(models: tuple[ModelInfo, ...]) -> None:
    alone = view(models[:1], rows("frozen", None, [0.1, 0.2, 0.3], 0.05, "sum"))
    titles = [note.text for note in figures.main(alone, "cosine").figure.layout.annotations]
    assert not any("−" in title for title in titles)


@pytest.mark.parametrize(("count", "kind"), [(3, "scatter"), (9, "heatmap")])
def test_a_split_is_lines_and_many_groups_are_rows_of_colour(
    models: tuple[ModelInfo, ...], count: int, kind: str
) -> None:
    names = [f"S{i}" for i in range(count)]
    tables = {
        name: {"contributions": Table.of(rows("r8", "frozen", [0.1 * i, 0.2, 0.3], 0.01, "sum"))}
        for i, name in enumerate(names)
    }
    split = replace(view(models, []), tables=tables, by="speaker")
    drawing = figures.main(split, "relative", "sum", difference=True)
    assert {one.type for one in drawing.figure.data} == {kind}
    assert list(drawing.numbers) == names
    if kind == "heatmap":
        heat = drawing.figure.data[0]
        assert np.array(heat.z)[:, 0] == pytest.approx([0.1 * i for i in range(count)])
        assert drawing.figure.layout.coloraxis.cmin == -drawing.figure.layout.coloraxis.cmax, "zero is in the middle"


def test_every_word_is_there(models: tuple[ModelInfo, ...]) -> None:
    for drawing in (figures.main(view(models, []), "cosine"), figures.norms(view(models, []))):
        assert drawing.alt and drawing.how_to_read and drawing.formula_note
        assert re.search(r"\\frac|\\sum", drawing.formula)
