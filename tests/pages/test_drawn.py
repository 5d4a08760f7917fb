"""Figures that are kept: made once of the same numbers, and anew of others."""

from dataclasses import replace

import plotly.graph_objects as go

from core.analyses.request import Row
from core.analyses.tidy import Table
from core.figures.drawing import Drawing
from core.figures.view import View
from core.ui.drawn import drawn
from tests.analyses.fabricate import make_model


def test_a_drawing_is_made_once_and_never_taken_for_another() -> None:
    """A page must not show numbers, clips or a choice that it no longer has."""
    one = make_model()
    made = []

    def make(view: View, *what: str) -> Drawing:
        made.append(what)
        return Drawing(go.Figure(), view.tables[""], "", "", "", "")

    def table() -> Table:
        return Table.of([Row("ranks", "published", "LoRA", statistic="silhouette", value=0.5)])

    view = View((one,), one, "published", "all", {"": {"ranks": table()}})
    first = drawn(make, view, "t-SNE")
    assert drawn(make, replace(view), "t-SNE") is first and len(made) == 1
    others = (
        drawn(make, view, "PCA"),
        drawn(make, replace(view, tables={"": {"ranks": table()}}), "t-SNE"),  # equal, but who knows
        drawn(make, replace(view, tables={"anger": view.tables[""], "": view.tables[""]}), "t-SNE"),
        drawn(make, replace(view, narrow=True), "t-SNE"),
        drawn(make, replace(view, done=True), "t-SNE"),
    )
    assert len({id(drawing) for drawing in (first, *others)}) == len(made) == 6
