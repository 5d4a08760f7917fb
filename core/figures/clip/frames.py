"""Per-frame readings made smaller for the screen, in one sentence, and as rows."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from core.emotions import canonical
from core.figures.clip.views import AudioTrack, ClipView, Row, need_views
from core.figures.layout import number as three
from core.figures.theme import FROZEN_COLOR, with_alpha

MAX_COLUMNS = 750  # no screen shows more; four models of 33 x 1500 cells would be 200 000


def envelope(
    samples: Float[np.ndarray, " samples"], bins: int = MAX_COLUMNS
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Smallest and largest sample of each of `bins` equal stretches (fewer where there are fewer samples)."""
    starts = np.linspace(0, samples.size, min(bins, samples.size), endpoint=False).astype(int)
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def wave_trace(low: Float[np.ndarray, " bins"], high: Float[np.ndarray, " bins"], seconds: float) -> go.Scatter:
    """The envelope of a sound of that length as one filled shape."""
    times = (np.arange(low.size) + 0.5) * seconds / low.size
    return go.Scatter(
        x=np.concatenate([times, times[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        mode="lines",
        fill="toself",
        fillcolor=with_alpha(FROZEN_COLOR, 0.75),
        line={"color": FROZEN_COLOR, "width": 1},
        hoverinfo="skip",
        showlegend=False,
        name="waveform",
    )


def bin_frames(
    frames: Float[np.ndarray, "points frames classes"], most: int = MAX_COLUMNS
) -> tuple[Float[np.ndarray, "points bins classes"], int]:
    """Probabilities averaged over runs of k neighbouring frames, k the smallest that leaves at most `most` bins, and k.

    The last bin holds what is left and is averaged over that.
    """
    count = frames.shape[1]
    k = max(1, -(-count // most))
    if k == 1:
        return frames, 1
    starts = np.arange(0, count, k)
    sizes = np.diff([*starts, count])
    return np.add.reduceat(frames.astype(np.float64), starts, axis=1) / sizes[None, :, None], k


def audio_view_alt(track: AudioTrack, views: Sequence[ClipView], *, show: str = "argmax") -> str:
    """One sentence: the clip's length, the padding, and what each model reads from most audio frames at its last
    point."""
    need_views(views)
    show = canonical(show)
    padding = track.window_seconds - track.audio_seconds
    rest = f"{three(padding)} s of padding" if padding > 0 else "no padding"
    parts = []
    for view in views:
        if view.frames is None or view.seconds_per_frame is None:
            continue
        last = view.frames[-1, : max(1, int(np.ceil(track.audio_seconds / view.seconds_per_frame)))]
        if show == "argmax":
            counts = np.bincount(last.argmax(axis=1), minlength=len(view.classes))
            share = three(100 * float(counts.max()) / len(last))
            parts.append(f"{view.model} reads {view.names[int(counts.argmax())]} in {share} % of audio frames")
        elif (index := view.of(show)) is not None:
            parts.append(f"{view.model} gives {show} {three(float(last[:, index].mean()))} on average")
    reading = f"; at the last point {'; '.join(parts)}" if parts else ""
    return (
        f"Waveform, spectrogram and per-frame readings of {three(track.audio_seconds)} s of audio and {rest}{reading}."
    )


def audio_view_table(views: Sequence[ClipView]) -> list[Row]:
    """One row per model, point, displayed time bin and class; `start_s` and `end_s` bound the bin."""
    rows: list[Row] = []
    for view in views:
        if view.frames is None or view.seconds_per_frame is None:
            continue
        values, k = bin_frames(view.frames)
        count, step = view.frames.shape[1], view.seconds_per_frame
        for point, t in np.ndindex(values.shape[:2]):
            row: Row = {
                "model": view.model,
                "point": point,
                "start_s": round(t * k * step, 6),
                "end_s": round(min((t + 1) * k, count) * step, 6),
            }
            rows.append(row | dict(zip(view.names, map(float, values[point, t]), strict=True)))
    return rows
