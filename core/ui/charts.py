"""A chart with the quiet row under it: how to read it, formula, numbers, download, reproduce."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from core.figures.layout import CONFIG, for_export
from core.ui import image
from core.ui.keys import Key

# The camera button is there to be pressed by core/ui/image.py, not to be seen.
_CONFIG = {**CONFIG, "displayModeBar": True, "modeBarButtons": [["toImage"]], "toImageButtonOptions": {"format": "png"}}
_TABLE_HEIGHT = 320
Pick = Callable[[int, int], None]  # takes a marker's trace and its place in the trace
Lasso = Callable[[Sequence[tuple[int, int]]], None]  # takes these of all markers inside


@dataclass(frozen=True)
class Reproduce:
    """The address that shows this again, and the command that computes its numbers (or why there is none)."""

    address: str
    command: str
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A figure and what stands under it. `table` and `csv` are made only when somebody asks for them.

    `filename` goes without its ending; `csv` are the rows of the command line's file.
    """

    key: Key
    figure: go.Figure
    alt: str
    how_to_read: str
    formula: str
    formula_note: str
    table: Callable[[], Sequence[Mapping[str, object]]]
    csv: Callable[[], str]
    filename: str
    reproduce: Reproduce


def show(chart: Chart, on_pick: Pick | None = None, on_lasso: Lasso | None = None) -> None:
    """Draw the chart and its quiet row. `on_pick` is told which marker was pressed, `on_lasso` which ones were drawn
    around, before the page runs again; a chart has one of the two at most."""
    chosen = partial(_picked, chart.key, on_pick) if on_pick else None
    chosen = partial(_lassoed, chart.key, on_lasso) if on_lasso else chosen
    st.plotly_chart(
        chart.figure,
        key=chart.key,
        config=_CONFIG,
        alt=chart.alt,
        theme="streamlit",
        on_select=chosen or "ignore",
        selection_mode="lasso" if on_lasso else "points",
    )
    with st.container(horizontal=True, key=f"quiet_{chart.key}"):
        with _drawer("How to read it"):
            st.write(chart.how_to_read)
        with _drawer("Formula"):
            st.latex(chart.formula)
            st.caption(chart.formula_note)
        numbers = _drawer("Numbers", key=f"numbers_{chart.key}", on_change="rerun")
        if numbers.open:
            numbers.dataframe(chart.table(), hide_index=True, height=_TABLE_HEIGHT)
        with _drawer("Download"):
            _downloads(chart)
        with _drawer("Reproduce"):
            st.caption("This view")
            st.code(chart.reproduce.address, language=None, wrap_lines=True)
            st.caption("The same numbers from the command line")
            if chart.reproduce.command:
                st.code(chart.reproduce.command, language="bash", wrap_lines=True)
            if chart.reproduce.note:
                st.caption(chart.reproduce.note)


def _picked(key: Key, on_pick: Pick) -> None:
    points = st.session_state[key].selection.points
    if points:
        on_pick(points[0]["curve_number"], points[0]["point_index"])


def _lassoed(key: Key, on_lasso: Lasso) -> None:
    on_lasso([(point["curve_number"], point["point_index"]) for point in st.session_state[key].selection.points])


def _drawer(label: str, **more):  # type: ignore[no-untyped-def]  # Streamlit names no public type for it
    return st.popover(label, type="tertiary", **more)


def _downloads(chart: Chart) -> None:
    image.buttons(chart.key, chart.filename)
    st.download_button(
        "CSV, as the command line writes it",
        chart.csv,
        f"{chart.filename}.csv",
        "text/csv",
        key=f"csv_{chart.key}",
        on_click="ignore",
        width="stretch",
    )
    st.download_button(
        "HTML, works offline",
        lambda: for_export(chart.figure).to_html(include_plotlyjs=True, config={"displaylogo": False}),
        f"{chart.filename}.html",
        "text/html",
        key=f"html_{chart.key}",
        on_click="ignore",
        width="stretch",
    )
