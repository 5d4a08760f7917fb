"""The clip to be patched: its waveform, on which a stretch of time is brushed."""

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from core.figures.clip.frames import envelope, wave_trace
from core.figures.layout import apply_layout
from core.figures.layout import number as three
from core.figures.theme import HATCH, RULE

_PLOT, _TICKS = 56, 22  # pixels
_BINS = 400


def span_view(samples: Float[np.ndarray, " samples"], rate: int, span: tuple[float, float] | None) -> go.Figure:
    """Waveform of the window; what lies outside the span is hatched. A drag along it chooses another one."""
    low, high = envelope(samples, _BINS)
    seconds = samples.size / rate
    reach = max(1e-6, float(np.abs([low, high]).max()))
    fig = go.Figure(wave_trace(low, high, seconds))
    # unseen markers: a browser selects points, and tells of a box only where there are some
    fig.add_scatter(
        x=np.linspace(0, seconds, _BINS),
        y=np.zeros(_BINS),
        mode="markers",
        marker={"size": 6, "opacity": 0},
        hovertemplate="%{x:.2f} s<extra></extra>",
        showlegend=False,
    )
    for x0, x1 in ((0.0, span[0]), (span[1], seconds)) if span else ():
        fig.add_shape(type="rect", x0=x0, x1=x1, y0=0, y1=1, yref="y domain", fillcolor=HATCH, line_width=0)
    for x in span or ():
        fig.add_shape(type="line", x0=x, x1=x, y0=0, y1=1, yref="y domain", line={"color": RULE, "width": 2})
    fig.update_yaxes(range=[-1.05 * reach, 1.05 * reach], showticklabels=False, showgrid=False, fixedrange=True)
    fig.update_xaxes(range=[0, seconds], ticksuffix=" s", showgrid=False, fixedrange=True)
    apply_layout(fig, _PLOT + _TICKS + 4, legend_rows=0, left=6, right=6, bottom=_TICKS)
    fig.update_layout(dragmode="select", selectdirection="h", newselection={"line": {"color": RULE, "width": 1}})
    return fig


def span_alt(seconds: float, span: tuple[float, float] | None) -> str:
    """One sentence: which stretch is patched."""
    which = f"{three(span[0])} s to {three(span[1])} s are" if span else "all of it is"
    return f"Waveform of {three(seconds)} s; {which} patched."
