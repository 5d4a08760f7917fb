"""Numbers, ticks, panels and exports shared by all figures."""

import plotly.graph_objects as go
import plotly.io as pio
import pytest

from core.figures.layout import Panels, apply_layout, depth_ticks, ellipsis, for_export, number
from core.figures.theme import INK


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.500"),
        (0, "0.00"),
        (12.345, "12.3"),
        (345.6, "346"),
        (12345.0, "12\u2009300"),
        (-0.01234, "-0.0123"),
        (0.0000123, "1.23e-05"),
        (float("nan"), "undefined"),
    ],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize("last", [*range(1, 50), 64, 100])
@pytest.mark.parametrize("most", [4, 6, 10])
def test_depth_ticks_are_few_whole_numbers_with_both_ends(last: int, most: int) -> None:
    ticks = depth_ticks(last, most)
    assert ticks[0] == 0
    assert ticks[-1] == last
    assert ticks == sorted(set(ticks))
    assert len(ticks) <= most + 2


def test_depth_ticks_of_whisper() -> None:
    assert depth_ticks(6) == [0, 1, 2, 3, 4, 5, 6]
    assert depth_ticks(32) == [0, 8, 16, 24, 32]


def test_ellipsis_keeps_both_ends() -> None:
    assert ellipsis("short", 10) == "short"
    assert ellipsis("whisper-base-r32", 9) == "whis…-r32"


@pytest.mark.parametrize(
    ("count", "stacked", "columns", "rows"), [(1, 0, 1, 1), (4, 0, 4, 1), (5, 0, 3, 2), (4, 1, 1, 4)]
)
def test_panels_tile_without_overlap(count: int, stacked: int, columns: int, rows: int) -> None:
    panels = Panels(count, 200, bool(stacked))
    assert (panels.columns, panels.rows) == (columns, rows)
    layout = panels.figure().layout
    boxes = []
    for i in range(count):
        suffix = "" if i == 0 else str(i + 1)
        x, y = layout[f"xaxis{suffix}"].domain, layout[f"yaxis{suffix}"].domain
        assert (y[1] - y[0]) * panels.plot_height == pytest.approx(200)
        boxes.append((x, y))
    for i, (x, y) in enumerate(boxes):
        for other_x, other_y in boxes[:i]:
            assert x[0] >= other_x[1] or y[1] <= other_y[0]


def test_layout_is_transparent_fixed_and_keeps_the_legend_out_of_the_plot() -> None:
    fig = apply_layout(go.Figure(), 300, legend_rows=1)
    assert fig.layout.height == 300
    assert fig.layout.paper_bgcolor == fig.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert (fig.layout.legend.orientation, fig.layout.legend.yref, fig.layout.legend.y) == ("h", "container", 1)
    assert fig.layout.margin.t >= 26


def test_ink_is_a_colour_streamlit_replaces() -> None:
    """The day Streamlit changes its placeholder, dark-theme text would be black on black: this fails first."""
    theme = pytest.importorskip("streamlit.elements.lib.streamlit_plotly_theme")
    assert theme.GRAY_90 == INK


def test_export_has_background_and_readable_text_in_both_themes() -> None:
    fig = apply_layout(go.Figure(go.Scatter(y=[1, 2])), 300)
    for dark, background in ((False, "#ffffff"), (True, "#15171c")):
        copy = for_export(fig, dark=dark)
        assert copy.layout.paper_bgcolor == background
        assert INK not in copy.to_json()
    assert fig.layout.paper_bgcolor == "rgba(0,0,0,0)", "the figure itself is left alone"


def test_figures_do_not_take_streamlits_placeholder_template() -> None:
    pytest.importorskip("streamlit.elements.lib.streamlit_plotly_theme").configure_streamlit_plotly_theme()
    before = pio.templates.default
    try:
        pio.templates.default = "streamlit"
        fig = apply_layout(go.Figure(go.Heatmap(z=[[1]])), 300)
        assert "#000011" not in fig.to_json()
    finally:
        pio.templates.default = before
