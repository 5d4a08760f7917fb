"""A clip longer than the models' window: its waveform with the part they hear."""

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from core.figures.clip.frames import envelope, wave_trace
from core.figures.layout import apply_layout
from core.figures.layout import number as three
from core.figures.theme import HATCH, RULE, SHADE

_PLOT, _TICKS = 44, 22  # pixels


def window_view(samples: Float[np.ndarray, " samples"], rate: int, start_s: float, window_s: float) -> go.Figure:
    """Waveform of the whole clip; what lies outside the window is shaded, the window's edges are lines."""
    low, high = envelope(samples)
    total = samples.size / rate
    fig = go.Figure(wave_trace(low, high, total))
    end = min(total, start_s + window_s)
    for x0, x1 in ((0.0, start_s), (end, total)):
        fig.add_shape(type="rect", x0=x0, x1=x1, y0=0, y1=1, yref="y domain", fillcolor=HATCH, line_width=0)
    fig.add_shape(type="rect", x0=start_s, x1=end, y0=0, y1=1, yref="y domain", fillcolor=SHADE, line_width=0)
    for x in (start_s, end):
        fig.add_shape(type="line", x0=x, x1=x, y0=0, y1=1, yref="y domain", line={"color": RULE, "width": 2})
    reach = max(1e-6, float(np.abs([low, high]).max()))
    fig.update_yaxes(range=[-1.05 * reach, 1.05 * reach], showticklabels=False, showgrid=False)
    fig.update_xaxes(range=[0, total], ticksuffix=" s", showgrid=False)
    return apply_layout(fig, _PLOT + _TICKS + 4, legend_rows=0, left=6, right=6, bottom=_TICKS)


def window_view_alt(total_s: float, start_s: float, window_s: float) -> str:
    """One sentence: which part of the clip the models hear."""
    end = min(total_s, start_s + window_s)
    return f"Waveform of {three(total_s)} s; the models hear {three(start_s)} s to {three(end)} s."
