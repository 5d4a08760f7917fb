"""The clip over time: waveform, log-mel spectrogram and each model's per-frame lens on one time axis."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from core.emotions import canonical
from core.figures.clip.frames import bin_frames, wave_trace
from core.figures.clip.views import AudioTrack, ClipView, classes, need_views, styles
from core.figures.layout import AXIS, LEGEND_ROW, apply_layout, axis, color_bar, depth_ticks, panel_label, titles
from core.figures.theme import (
    HATCH,
    LEVEL_SCALE,
    PROBABILITY_SCALE,
    SHADE,
    Style,
    emotion_styles,
    with_alpha,
)

_GAP = 28  # pixels above each row for its label
_WAVE, _MEL = 64, 110
_BAR = 62
_FAINT = 0.12  # opacity of the least certain cell


def audio_view(
    track: AudioTrack,
    views: Sequence[ClipView],
    *,
    show: Literal["argmax"] | str = "argmax",
    whole_window: bool = True,
    row: int | None = None,
) -> go.Figure:
    """Waveform, log-mel spectrogram and below them one layer x time heatmap per model, all over the same seconds.

    `show` is a class name for its probability (0..1, same scale for all models), or "argmax" for the most probable
    class, the fainter the closer to chance. `whole_window` false cuts the time axis shortly after the audio's end.
    The padding, if in view, is hatched and named. Where more than `frames.MAX_COLUMNS` lens frames or spectrogram
    columns are in view, neighbours are averaged (the argmax is then that of the averages). `row` is a lens row's height
    in pixels.
    """
    need_views(views)
    show = canonical(show)
    end = track.window_seconds if whole_window else min(track.window_seconds, 1.08 * track.audio_seconds)
    lens = row or max(96, 26 + 4 * max(view.last + 1 for view in views))
    looks = emotion_styles(classes(views))
    fig = _rows([_WAVE, _MEL, *[lens] * len(views)])
    _add_wave(fig, track)
    _add_mel(fig, track)
    named = titles([v.model for v in views], [s.color for s in styles(views)], 36)
    for i, view in enumerate(views):
        _add_lens(fig, i + 2, view, show, end, looks)
        panel_label(fig, i + 2, named[i], shift=3, size=13)
    panel_label(fig, 0, "<b>waveform</b>", shift=3, size=13)
    panel_label(fig, 1, "<b>log-mel spectrogram</b>", shift=3, size=13)
    _add_padding(fig, track, end, rows=len(views) + 2)
    if show == "argmax":
        _add_legend(fig, looks)
    plot = _WAVE + _MEL + lens * len(views) + _GAP * (len(views) + 1)
    _color_bars(fig, track, plot, show)
    legend = 2 if show == "argmax" else 0
    fig.update_xaxes(range=[0, end], title={"text": "time (s)"}, showgrid=False)
    height = legend * LEGEND_ROW + _GAP + 4 + plot + AXIS + _BAR
    return apply_layout(fig, height, legend_rows=legend, top=_GAP, bottom=AXIS + _BAR, left=58)


def _rows(heights: Sequence[int]) -> go.Figure:
    """An empty figure with one x axis at the bottom and a y axis per row, so one time axis serves all rows."""
    fig = go.Figure()
    total = sum(heights) + _GAP * (len(heights) - 1)
    top = 1.0
    for i, height in enumerate(heights):
        bottom = max(0.0, top - height / total)
        fig.layout[axis("yaxis", i)] = {"domain": [bottom, top], "anchor": "x"}
        top = bottom - _GAP / total
    fig.layout.xaxis = {"domain": [0, 1], "anchor": axis("y", len(heights) - 1)}
    return fig


def _add_wave(fig: go.Figure, track: AudioTrack) -> None:
    fig.add_trace(wave_trace(track.low, track.high, track.audio_seconds))
    reach = max(1e-6, float(np.abs([track.low, track.high]).max()))
    mark = float(f"{0.8 * reach:.1g}")
    fig.layout.yaxis.update(range=[-1.05 * reach, 1.05 * reach], tickvals=[-mark, 0, mark], title={"text": "amplitude"})


def _add_mel(fig: go.Figure, track: AudioTrack) -> None:
    binned, k = bin_frames(track.mel_db[:, :, None])
    bands, columns, _ = binned.shape
    step = k * track.seconds_per_column
    fig.add_heatmap(
        x0=step / 2,
        dx=step,
        z=binned[:, :, 0].astype(np.float32),
        customdata=np.repeat(track.mel_hz[:, None], columns, axis=1).astype(np.float32),
        yaxis="y2",
        coloraxis="coloraxis2",
        name="log-mel",
        hovertemplate="%{x:.2f} s<br>%{customdata:.3s}Hz<br>%{z:.3g} dB<extra></extra>",
    )
    marks: list[int] = []
    for khz in (0.1, 0.25, 0.5, 1, 2, 4, 8):
        band = int(np.abs(track.mel_hz - 1000 * khz).argmin())
        near = abs(track.mel_hz[band] - 1000 * khz) < 150 * khz
        if near and (not marks or band - marks[-1] >= 0.14 * bands):
            marks.append(band)
    fig.layout.yaxis2.update(
        tickvals=marks,
        ticktext=[f"{track.mel_hz[mark] / 1000:.1g}" for mark in marks],
        title={"text": "kHz"},
        showgrid=False,
        range=[-0.5, bands - 0.5],
    )


def _add_lens(fig: go.Figure, i: int, view: ClipView, show: str, end: float, looks: Mapping[str, Style]) -> None:
    fig.layout[axis("yaxis", i)].update(
        range=[-0.5, view.last + 0.5], tickvals=depth_ticks(view.last, 4), title={"text": "point"}, showgrid=False
    )
    if view.frames is None or view.seconds_per_frame is None or view.note:
        panel_label(fig, i, view.note or "no per-frame reading", x=1, shift=3, size=12)
        return
    count = min(view.frames.shape[1], max(1, round(end / view.seconds_per_frame)))
    values, k = bin_frames(view.frames[:, :count])
    bins = values.shape[1]
    # Edges, not centres: the last bin may be shorter than the others.
    edges = np.minimum(np.arange(bins + 1) * k, count) * view.seconds_per_frame
    common: dict[str, Any] = {"x": edges, "yaxis": axis("y", i), "name": view.model, "hoverongaps": False}
    where = f"<b>{view.model}</b><br>%{{x:.2f}} s, point %{{y}}<br>"
    if show != "argmax":
        index = view.of(show)
        if index is None:
            panel_label(fig, i, f"this model has no class {show}", x=1, shift=3, size=12)
            return
        z = values[:, :, index].astype(np.float32)
        fig.add_heatmap(z=z, coloraxis="coloraxis", hovertemplate=f"{where}{show} %{{z:.3g}}<extra></extra>", **common)
        return
    best, chance = values.argmax(axis=2), 1 / len(view.classes)
    sure = values.max(axis=2)
    hover = [[f"{view.names[c]} {p:#.3g}" for c, p in zip(b, s, strict=True)] for b, s in zip(best, sure, strict=True)]
    shade = np.clip((sure - chance) / (1 - chance), 0, 0.999)
    fig.add_heatmap(
        z=(best + shade).astype(np.float32),
        zmin=0,
        zmax=len(view.classes),
        colorscale=_class_scale(view.names, looks),
        showscale=False,
        hovertext=hover,
        hovertemplate=f"{where}%{{hovertext}}<extra></extra>",
        **common,
    )


def _class_scale(names: Sequence[str], looks: Mapping[str, Style]) -> list[tuple[float, str]]:
    """A colour scale over 0..C whose stretch c..c+1 runs from faint (chance) to full (certain) in class c's colour."""
    scale = []
    for c, name in enumerate(names):
        color = looks[name].color
        scale += [(c / len(names), with_alpha(color, _FAINT)), ((c + 1) / len(names), with_alpha(color, 1))]
    return scale


def _add_padding(fig: go.Figure, track: AudioTrack, end: float, rows: int) -> None:
    start = track.audio_seconds
    if end <= start:
        return
    for i in range(rows):
        low, high = fig.layout[axis("yaxis", i)].range
        fig.add_scatter(
            x=[start, end, end, start, start],
            y=[low, low, high, high, low],
            yaxis=axis("y", i),
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=SHADE,
            fillpattern={"shape": "/", "fgcolor": HATCH, "bgcolor": SHADE, "size": 7, "solidity": 0.18},
            hoverinfo="skip",
            showlegend=False,
            name="padding",
        )
    fig.add_annotation(
        text="padding",
        x=end if end - start < 0.2 * end else (start + end) / 2,
        xanchor="right" if end - start < 0.2 * end else "center",
        y=1,
        yref="y domain",
        yanchor="bottom",
        yshift=3,
        showarrow=False,
        font={"size": 12},
    )


def _add_legend(fig: go.Figure, looks: Mapping[str, Style]) -> None:
    """One square per class; heatmaps have no legend entries of their own."""
    for name, style in looks.items():
        fig.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=name,
            marker={"symbol": "square", "size": 13, "color": style.color, "line": {"color": style.edge, "width": 1}},
            hoverinfo="skip",
        )
    fig.update_layout(legend={"itemclick": False, "itemdoubleclick": False})


def _color_bars(fig: go.Figure, track: AudioTrack, plot: int, show: str) -> None:
    """Level and probability scales side by side below the time axis."""
    below = (AXIS + 2) / plot
    low = 10 * math.floor(np.nanmin(track.mel_db) / 10)
    high = max(low + 10, 10 * math.ceil(np.nanmax(track.mel_db) / 10))
    level = color_bar("level (dB)", below=below, ticks=(low, (low + high) / 2, high), share=0.46)
    fig.layout.coloraxis2 = {"colorscale": LEVEL_SCALE, "cmin": low, "cmax": high, "colorbar": level}
    if show != "argmax":
        bar = color_bar(f"probability of {show}", below=below, ticks=(0, 0.5, 1), x=1, share=0.46)
        fig.layout.coloraxis = {"colorscale": PROBABILITY_SCALE, "cmin": 0, "cmax": 1, "colorbar": bar}
        return
    fig.add_annotation(
        text="fainter = closer to chance",
        xref="paper",
        yref="paper",
        x=1,
        y=0,
        xanchor="right",
        yanchor="top",
        yshift=-AXIS - 6,
        showarrow=False,
        font={"size": 12},
    )
