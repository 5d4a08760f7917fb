"""Colours, markers and line styles: one place for every chart.

Three things are coded, and never by the same means twice in a chart:

* models by colour: frozen grey, ranks along one ordered palette, fully fine-tuned ochre; untrained is dashed with open
  markers;
* emotions by colour and marker;
* attention, MLP and their sum by line style and marker.

Contrast (WCAG 2.1, 1.4.11 asks 3:1 for the parts of a chart). Every colour here reaches 3:1 against the dark
background. Against white, teal r=8 (2.8), happiness (2.2) and calm (2.3) do not, so each style has an `edge`, the same
hue darkened to 3:1 or more, which outlines its markers: the outline carries the shape on white, the fill on dark.
"""

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from plotly import colors

from core.emotions import canonical
from core.models.info import Role

Dash = Literal["solid", "dash", "dot", "longdashdot"]

LIGHT_BACKGROUND = "#ffffff"  # the same values as .streamlit/config.toml; a test compares them
DARK_BACKGROUND = "#15171c"
MIN_CONTRAST = 3.0

# Readable on both backgrounds at once; for grid lines, separators and shading, which no theme recolours.
GRID = "rgba(128,128,128,0.22)"
RULE = "rgba(128,128,128,0.95)"
SHADE = "rgba(128,128,128,0.10)"
HATCH = "rgba(128,128,128,0.45)"

# Text. Streamlit's charts know this very value as "strong text of the page's theme" and replace it in the browser, so
# it follows a switch between light and dark; anywhere else it is what it says, near-black. (Streamlit's own choice
# for axes is a grey of 3.7:1 on white; text should have 4.5:1.)
INK = "#000037"

PROBABILITY_SCALE = "Cividis"  # perceptually uniform, and made for colour-blind readers
# Sound level, as ink on the page: silence is the background of whichever theme, quiet beside what carries the result.
LEVEL_SCALE = ((0.0, "rgba(128,128,128,0)"), (1.0, INK))


@dataclass(frozen=True, slots=True)
class Style:
    """How one thing is drawn. `edge` outlines markers; `symbol` and `dash` are Plotly's names."""

    color: str
    edge: str
    symbol: str
    dash: Dash = "solid"


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio of two `#rrggbb` colours, 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _hex(channels: Iterable[float]) -> str:
    return "#" + "".join(f"{round(one):02x}" for one in channels)


def _luminance(color: str) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(color))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _mix(one: str, other: str, share: float) -> str:
    """`one` at share 0, `other` at share 1, straight in sRGB."""
    pairs = zip(_channels(one), _channels(other), strict=True)
    return _hex(a + (b - a) * share for a, b in pairs)


def _edge(color: str) -> str:
    """`color` darkened until it stands out from the light background."""
    return next(
        darker
        for step in range(100)
        if contrast(darker := _mix(color, "#000000", step / 100), LIGHT_BACKGROUND) >= MIN_CONTRAST
    )


def with_alpha(color: str, alpha: float) -> str:
    """`#rrggbb` as Plotly's `rgba(…)`."""
    red, green, blue = _channels(color)
    return f"rgba({red},{green},{blue},{alpha:g})"


def inks_on(shares: Sequence[float]) -> list[str]:
    """Black or white, whichever reads better on `PROBABILITY_SCALE` at each share, 0 to 1: always 4.5:1 or more."""
    grounds = [_hex(colors.unlabel_rgb(one)) for one in colors.sample_colorscale(PROBABILITY_SCALE, shares)]
    return [max("#000000", "#ffffff", key=lambda ink: contrast(ink, ground)) for ground in grounds]


def _style(color: str, symbol: str, dash: Dash = "solid") -> Style:
    color = color.lower()
    return Style(color, _edge(color), symbol, dash)


# --- models ---------------------------------------------------------------------------------------------------------

FROZEN_COLOR = "#808080"
FULL_COLOR = "#9a7b1f"
# 8, 32 and 64 are the paper's ranks; the two outer anchors only give lower and higher ranks somewhere to go.
RANK_ANCHORS = ((1, "#5c8a2e"), (8, "#44aa99"), (32, "#5b6fd8"), (64, "#aa4499"), (256, "#bd3a5c"))
_SIBLING_SYMBOLS = ("circle", "square", "diamond", "cross", "star")


def rank_color(rank: int) -> str:
    """Colour of a rank, linear in log rank between the anchors, held beyond the outer ones."""
    if rank < 1:
        raise ValueError(f"rank is {rank}, expected 1 or more")
    for (low, start), (high, end) in pairwise(RANK_ANCHORS):
        if rank <= high:
            return _mix(start, end, math.log(rank / low) / math.log(high / low))
    return RANK_ANCHORS[-1][1]


def model_style(role: Role, rank: int | None = None, sibling: int = 0) -> Style:
    """Style of a model; `sibling` counts the models of the same role and rank drawn before it (they share a colour)."""
    symbol = _SIBLING_SYMBOLS[sibling % len(_SIBLING_SYMBOLS)]
    if role is Role.FROZEN:
        return _style(FROZEN_COLOR, symbol)
    if role is Role.FULL:
        return _style(FULL_COLOR, symbol)
    color = rank_color(rank) if rank is not None else FROZEN_COLOR
    return _style(color, symbol + "-open", "dash") if role is Role.UNTRAINED else _style(color, symbol)


def model_styles(models: Sequence[tuple[Role, int | None]]) -> tuple[Style, ...]:
    """One style per (role, rank); models that would look the same get their own markers."""
    return tuple(model_style(*model, sibling=models[:i].count(model)) for i, model in enumerate(models))


# --- components -----------------------------------------------------------------------------------------------------

_COMPONENTS: dict[str, tuple[Dash, str]] = {
    "attention": ("solid", "circle"),
    "mlp": ("dot", "square"),
    "sum": ("longdashdot", "diamond"),
    "lora": ("dash", "triangle-up"),
    "residual": ("longdashdot", "star"),
}


def component_style(model: Style, component: str) -> Style:
    """The model's colour with the component's line and marker; open markers still say untrained."""
    dash, symbol = _COMPONENTS[component]
    return replace(model, dash=dash, symbol=symbol + ("-open" if model.symbol.endswith("-open") else ""))


# --- emotions -------------------------------------------------------------------------------------------------------

_EMOTIONS = {
    "anger": _style("#D55E00", "triangle-up"),
    "happiness": _style("#E69F00", "circle"),
    "neutral": _style("#8C8C8C", "square"),
    "sadness": _style("#0072B2", "triangle-down"),
    "excitement": _style("#B8860B", "hexagon"),
    "fear": _style("#8E63C9", "diamond"),
    "disgust": _style("#2E8B3D", "cross"),
    "surprise": _style("#CC79A7", "star"),
    "frustration": _style("#A6513F", "x"),
    "calm": _style("#56B4E9", "pentagon"),
}
_OTHERS = tuple(
    _style(color, symbol)
    for color, symbol in (
        ("#009E73", "diamond-tall"),
        ("#7A7A00", "triangle-left"),
        ("#9B4F96", "triangle-right"),
        ("#3F88A8", "octagon"),
        ("#B5651D", "bowtie"),
        ("#6B8E23", "star-square"),
    )
)


OTHER_CLASSES = _style("#999933", "hourglass", "dot")  # a sum over several classes


def emotion_style(name: str) -> Style:
    """Style of a class by its name, in any spelling `core.emotions` knows; an unknown name always gets the same one."""
    return emotion_styles([name])[canonical(name)]


def emotion_styles(names: Sequence[str]) -> dict[str, Style]:
    """Styles of the classes of one chart by canonical name; unknown ones step aside for each other while they can."""
    found: dict[str, Style] = {}
    for name in class_order(names):
        start = zlib.crc32(name.encode())
        turns = [_OTHERS[(start + turn) % len(_OTHERS)] for turn in range(len(_OTHERS))]
        free = (style for style in turns if style not in found.values())
        found[name] = _EMOTIONS.get(name) or next(free, turns[0])
    return found


def class_order(classes: Sequence[str]) -> tuple[str, ...]:
    """Canonical class names without repeats: the known emotions in one fixed order, then the others as they come."""
    names = dict.fromkeys(canonical(name) for name in classes)
    return tuple([name for name in _EMOTIONS if name in names] + [name for name in names if name not in _EMOTIONS])
