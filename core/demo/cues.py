"""What a single cue gives away: the acted corpus is only worth listening to if no single number tells the emotions.

Each cue alone (mean pitch, its range, duration, …) goes through a small decision tree that may put thresholds where it
likes, tested on speakers it has not seen.
"""

from collections.abc import Sequence

import numpy as np
import pyworld
import soundfile
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from core.corpora.source import Listed
from core.evaluation.scores import uar

_STEP_MS = 5.0
_BLOCK = 320  # samples, 20 ms
_FOLDS = 10


def one_cue_uar(clips: Sequence[Listed]) -> dict[str, float]:
    """UAR of each cue alone over clips that have a label and a speaker; see `cue_table`."""
    return {cue: row["uar"] for cue, row in cue_table(clips).items()}


def cue_table(clips: Sequence[Listed]) -> dict[str, dict[str, float]]:
    """For each cue: `uar` on held-out speakers (10 folds, or one a speaker where there are fewer), and the shares of
    its variance that lie `between_speakers` and `between_emotions` (0 to 1)."""
    label = np.array([str(clip.label) for clip in clips])
    speaker = np.array([str(clip.speaker) for clip in clips])
    names, target = np.unique(label, return_inverse=True)
    folds = GroupKFold(min(_FOLDS, len(set(speaker))))
    table = {}
    for cue, values in measure(clips).items():
        tree = DecisionTreeClassifier(max_leaf_nodes=8, min_samples_leaf=2 * len(names), random_state=0)
        guess = cross_val_predict(tree, values[:, None], target, groups=speaker, cv=folds)
        table[cue] = {
            "uar": round(uar(guess, target), 4),
            "between_speakers": round(_between(values, speaker), 4),
            "between_emotions": round(_between(values, label), 4),
        }
    return table


def measure(clips: Sequence[Listed]) -> dict[str, NDArray[np.float64]]:
    """The cues of n 16 kHz mono files, each an array of n; their names say the unit."""
    rows = []
    for clip in clips:
        samples, rate = soundfile.read(clip.path, dtype="float64")
        rows.append(_cues(samples, rate))
    return {cue: np.array([row[cue] for row in rows]) for cue in rows[0]}


def _between(values: NDArray[np.float64], group: NDArray[np.str_]) -> float:
    """Between-group sum of squares over the total."""
    total = np.square(values - values.mean()).sum()
    inside = sum(np.square(values[group == name] - values[group == name].mean()).sum() for name in np.unique(group))
    return float(1 - inside / total)


def _cues(samples: NDArray[np.float64], rate: int) -> dict[str, float]:
    level = 10 * np.log10(np.square(samples[: samples.size // _BLOCK * _BLOCK].reshape(-1, _BLOCK)).mean(axis=1))
    active = level > level.max() - 30
    inside = np.arange(active.argmax(), len(active) - active[::-1].argmax())
    loud = level[inside][active[inside]]

    pitch, _ = pyworld.dio(samples, rate, f0_floor=50.0, f0_ceil=500.0, frame_period=_STEP_MS)
    voiced = np.flatnonzero(pitch)
    melody = 12 * np.log2(pitch[voiced] / 100)
    low, high = np.quantile(melody, (0.05, 0.95))
    steps = np.diff(melody)[np.diff(voiced) == 1]
    tail = melody[voiced >= voiced[-1] - 60]  # the last 300 ms

    size = 1 << (samples.size - 1).bit_length()  # a prime number of samples would take very long
    power = np.square(np.abs(np.fft.rfft(samples * np.hanning(samples.size), size)))
    hertz = np.fft.rfftfreq(size, 1 / rate)
    band = (hertz > 100) & (hertz < 7000)
    octaves = np.log2(hertz[band] / 1000)
    return {
        "duration, s": samples.size / rate,
        "speaking time, s": len(inside) * _BLOCK / rate,
        "pause share": 1 - float(active[inside].mean()),
        "mean pitch, st": float(melody.mean()),
        "pitch spread, st": float(melody.std()),
        "pitch range (5 to 95 %), st": float(high - low),
        "pitch slope, st per s": float(np.polyfit(voiced * _STEP_MS / 1000, melody, 1)[0]),
        "last 300 ms over mean, st": float(tail.mean() - melody.mean()),
        "pitch movement in 5 ms, st": float(np.abs(steps).mean()),
        "voiced share": len(voiced) / (len(inside) * _BLOCK / rate / (_STEP_MS / 1000)),
        "level, dB": float(10 * np.log10(np.mean(10 ** (loud / 10)))),
        "level spread, dB": float(loud.std()),
        "level slope, dB per s": float(np.polyfit(inside[active[inside]] * _BLOCK / rate, loud, 1)[0]),
        "peak over level, dB": float(20 * np.log10(np.abs(samples).max()) - 10 * np.log10(np.mean(10 ** (loud / 10)))),
        "spectral tilt, dB per octave": float(np.polyfit(octaves, 10 * np.log10(power[band] + 1e-12), 1)[0]),
        "spectral centroid, Hz": float((hertz * power).sum() / power.sum()),
        "zero crossings per s": float((np.diff(np.signbit(samples)) != 0).sum() / samples.size * rate),
    }
