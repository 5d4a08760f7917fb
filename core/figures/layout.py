"""What all charts share in layout: fonts, margins, legends, axes, panels, number formats.

Showing a figure in Streamlit: `st.plotly_chart(fig, theme="streamlit", config=CONFIG, alt=…, key=…)`.
With `theme="streamlit"` the browser takes fonts and hover colours from the page's theme and switches them with it,
while everything set on the figure itself stays: our trace colours, heights, margins, transparent background and grid.
Text is `theme.INK`, which the browser replaces by the theme's strong text colour. (`theme=None` would need one grey for
text on both backgrounds; none reaches 4.5:1 on white and on the dark one.) For a file, `for_export` gives the figure a
solid background and the text colour that goes with it.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from core.figures.theme import DARK_BACKGROUND, GRID, INK, LIGHT_BACKGROUND

CONFIG = {"displaylogo": False, "displayModeBar": False, "scrollZoom": False, "responsive": True}
FONT = '"Source Sans", "Source Sans Pro", "Noto Sans", sans-serif'
LIGHT_TEXT, DARK_TEXT = "#1f2328", "#e8eaed"

# Pixels.
LEFT, RIGHT = 54, 10
WIDE_LEFT = 84  # room for class names; charts under each other share it so that their depth axes line up
LEGEND_ROW = 26
TITLE = 40  # a panel's title and the line of small labels under it
AXIS = 46  # tick labels and axis title below the plot

# A template of our own: inside Streamlit the default one holds placeholder colours that would spoil an exported file.
TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": FONT, "size": 13, "color": INK},
        "hoverlabel": {"font": {"size": 13}, "align": "left"},
    }
)


def number(value: float) -> str:
    """Three significant digits, thin spaces between thousands; `number(0.5)` is `0.500`."""
    if not math.isfinite(value):
        return "undefined"
    size = abs(value)
    if size and size < 1e-4:
        return f"{value:.2e}"
    digits = 0 if size >= 1000 else None
    if digits == 0:
        step = 10 ** (math.floor(math.log10(size)) - 2)
        return f"{round(value / step) * step:,}".replace(",", "\u2009")
    return f"{value:#.3g}".rstrip(".")


def ellipsis(text: str, characters: int) -> str:
    """`text`, its middle left out where it is longer than `characters`: names of models differ at both ends."""
    if len(text) <= characters:
        return text
    head = (characters - 1) // 2
    return f"{text[:head]}…{text[-(characters - 1 - head) :]}"


def depth_ticks(last: int, most: int = 6) -> list[int]:
    """Whole numbers from 0 to `last`, both among them, about `most` of them."""
    steps = [step for step in (1, 2, 4, 5, 8, 10, 16, 20, 40) if last / step <= most] or [math.ceil(last / most)]
    step = next((s for s in steps[:2] if last % s == 0), steps[0])
    ticks = list(range(0, last + 1, step))
    if ticks[-1] != last:
        if last - ticks[-1] < step / 2 and len(ticks) > 1:
            ticks.pop()
        ticks.append(last)
    return ticks


def apply_layout(
    fig: go.Figure,
    height: int,
    *,
    legend_rows: int = 1,
    top: int = 0,
    bottom: int = AXIS,
    left: int = LEFT,
    right: int = RIGHT,
) -> go.Figure:
    """Fixed height and margins in pixels, transparent background, grid, hover, legend.

    The legend lies in its own rows at the very top, above `top` pixels of panel titles, so it never covers data and
    the plot never moves; 0 rows for none.
    """
    fig.update_layout(
        template=TEMPLATE,
        height=height,
        margin={"l": left, "r": right, "t": legend_rows * LEGEND_ROW + top + 4, "b": bottom, "pad": 0},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="closest",
        hoverlabel={"namelength": -1},
        font={"color": INK},
        dragmode="zoom",
        showlegend=legend_rows > 0,
        legend={
            "orientation": "h",
            "xref": "container",
            "yref": "container",
            "x": 0.005,
            "xanchor": "left",
            "y": 1,
            "yanchor": "top",
            "title": {"text": ""},
            "bgcolor": "rgba(0,0,0,0)",
            "font": {"size": 13, "color": INK},
            "itemsizing": "trace",
            "tracegroupgap": 0,
            "traceorder": "normal",
        },
    )
    text = {"gridcolor": GRID, "zeroline": False, "automargin": False, "tickfont": {"color": INK, "size": 12}}
    fig.update_xaxes(**text, title={"standoff": 8, "font": {"color": INK, "size": 13}})
    fig.update_yaxes(**text, title={"standoff": 6, "font": {"color": INK, "size": 13}})
    return fig


@dataclass(frozen=True)
class Panels:
    """A grid of equal panels, each `panel` pixels high with `TITLE` pixels above and `AXIS` below.

    `fixed_columns` side by side, else up to four and more in two rows; `stacked` puts all in one column. A row shares
    the y axis' labels.
    """

    count: int
    panel: int
    stacked: bool = False
    fixed_columns: int | None = None

    @property
    def columns(self) -> int:
        if self.stacked:
            return 1
        if self.fixed_columns is not None:
            return self.fixed_columns
        return self.count if self.count <= 4 else min(4, -(-self.count // 2))

    @property
    def rows(self) -> int:
        return -(-self.count // self.columns)

    @property
    def narrow(self) -> bool:
        """Whether a panel has only some 200 pixels of width."""
        return self.columns > 2

    @property
    def plot_height(self) -> int:
        """Height in pixels between the margins."""
        return self.panel * self.rows + (AXIS + TITLE) * (self.rows - 1)

    def figure(self) -> go.Figure:
        """An empty figure with one pair of axes (`x`, `y`), (`x2`, `y2`), … per panel and their domains set."""
        fig = go.Figure()
        gap = 0.025
        width = (1 - gap * (self.columns - 1)) / self.columns
        for i in range(self.count):
            row, column = divmod(i, self.columns)
            left = column * (width + gap)
            top = 1 - row * (self.panel + AXIS + TITLE) / self.plot_height
            fig.layout[axis("xaxis", i)] = {"domain": (left, min(1.0, left + width)), "anchor": axis("y", i)}
            fig.layout[axis("yaxis", i)] = {
                "domain": (max(0.0, top - self.panel / self.plot_height), top),
                "anchor": axis("x", i),
                "showticklabels": column == 0,
                "matches": None if i == 0 else "y",
            }
        return fig

    def leading(self) -> range:
        """The first panel of each row, which carries the y axis' title."""
        return range(0, self.count, self.columns)

    def title_characters(self) -> int:
        """How long a title may be before it runs into the next panel's on a small laptop."""
        return 36 if self.columns == 1 else max(18, 76 // self.columns)


def color_bar(title: str, *, below: float, ticks: Sequence[float], x: float = 0, share: float = 1) -> dict[str, object]:
    """A horizontal colour bar `below` plot heights under the plot, from the left (`x` 0) or the right (1) edge over a
    `share` of the width. Beside the panels it would cost a phone a third of its width."""
    return {
        "orientation": "h",
        "title": {"text": title, "side": "top", "font": {"color": INK, "size": 13}},
        "thickness": 10,
        "len": share,
        "x": x,
        "xanchor": "right" if x else "left",
        "xpad": 0,
        "y": -below,
        "yanchor": "top",
        "tickvals": list(ticks),
        "tickfont": {"color": INK, "size": 12},
        "outlinewidth": 1,
        "outlinecolor": GRID,
    }


def axis(kind: str, index: int) -> str:
    """Plotly's name of the axis of panel `index`: `axis("x", 0)` is `x`, `axis("yaxis", 1)` is `yaxis2`."""
    return kind if index == 0 else f"{kind}{index + 1}"


def panel_label(fig: go.Figure, index: int, text: str, *, x: float = 0, shift: int = 20, size: int = 14) -> None:
    """A label above panel `index`, `shift` pixels over its upper edge; `x` is a share of the panel's width."""
    fig.add_annotation(
        text=text,
        xref=f"{axis('x', index)} domain",
        yref=f"{axis('y', index)} domain",
        x=x,
        y=1,
        xanchor="left" if x == 0 else "right",
        yanchor="bottom",
        yshift=shift,
        showarrow=False,
        font={"size": size},
    )


def swatch(color: str, text: str) -> str:
    """`text` behind a small square of the model's colour."""
    return f"<span style='color:{color}'>■</span> <b>{text}</b>"


def titles(names: Sequence[str], colors: Sequence[str], characters: int) -> list[str]:
    """Panel titles: each model's name, cut to length, behind its colour."""
    return [swatch(color, ellipsis(name, characters)) for name, color in zip(names, colors, strict=True)]


def for_export(fig: go.Figure, *, dark: bool = False, width: int = 1100) -> go.Figure:
    """A copy with solid background and text colour, for PNG, SVG and HTML files that have no page around them."""
    background, text = (DARK_BACKGROUND, DARK_TEXT) if dark else (LIGHT_BACKGROUND, LIGHT_TEXT)
    copy = go.Figure(json.loads(fig.to_json().replace(INK, text)))
    return copy.update_layout(paper_bgcolor=background, plot_bgcolor=background, width=width)
