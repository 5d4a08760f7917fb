"""Synthetic speech with drawn prosody: espeak-ng says the words, WORLD takes them apart and puts them together again.

Between the two the melody, the timing, the loudness and the voice's noise are ours; see `prosody`.
"""

from dataclasses import dataclass

import numpy as np
import pyworld
import soxr
from numpy.typing import NDArray

from core.demo.espeak import espeak
from core.demo.prosody import Prosody, Speaker
from core.demo.sentences import FUNCTION_WORDS

RATE = 16_000  # Hz, what the encoder hears
STEP_S = 0.005  # of a WORLD frame
FRAME_S = 0.02  # of an encoder frame
WINDOW_S = 4.0  # of the demo encoder
SILENCE = ""
_VOWEL_STARTS = "aAeEiIoOuUV03@"
_LEVEL_DB = -24.0  # RMS of the speaking part, re full scale: loudness itself tells nothing


@dataclass(frozen=True)
class Utterance:
    """A sentence in one voice, taken apart. N WORLD frames of 5 ms, K frequency bins.

    `voiced` N; `log_power` N x K (natural log); `aperiodicity` N x K; `phone` N (mnemonics); `accents`: first and
    last frame of each accented vowel; `gaps`: frames at which a word begins.
    """

    voiced: NDArray[np.bool_]
    log_power: NDArray[np.float64]
    aperiodicity: NDArray[np.float64]
    phone: tuple[str, ...]
    accents: tuple[tuple[int, int], ...]
    gaps: tuple[int, ...]


@dataclass(frozen=True)
class Rendered:
    """float32 samples at 16 kHz (at most 4 s), their phones at 50 per second, and the melody in Hz at 200 per second
    (0 where unvoiced)."""

    samples: NDArray[np.float32]
    phones: tuple[str, ...]
    f0_hz: NDArray[np.float64]


def utter(text: str, variant: str) -> Utterance:
    """Say `text` in an espeak variant and take it apart."""
    spoken = espeak().say(text, variant)
    audio = soxr.resample(spoken.samples, spoken.rate, RATE).astype(np.float64)
    pitch, times = pyworld.dio(audio, RATE, f0_floor=50.0, f0_ceil=400.0, frame_period=STEP_S * 1000)
    power = pyworld.cheaptrick(audio, pitch, times, RATE)
    aperiodicity = pyworld.d4c(audio, pitch, times, RATE)
    starts = np.array([phone.start_s for phone in spoken.phones])
    owner = np.searchsorted(starts, times, side="right") - 1
    names = tuple(spoken.phones[i].name if i >= 0 else SILENCE for i in owner)
    accents: list[tuple[int, int]] = []
    gaps: list[int] = []
    word, accented = 0, True
    for i, phone in enumerate(spoken.phones):
        frames = np.flatnonzero(owner == i)
        if not frames.size or phone.name == SILENCE:
            continue
        if phone.word != word:
            word = phone.word
            accented = _is_function_word(phone.text)
            gaps.append(int(frames[0]))
        if not accented and phone.name[0] in _VOWEL_STARTS and not phone.name.startswith("@"):
            accents.append((int(frames[0]), int(frames[-1])))
            accented = True
    return Utterance(pitch > 0, np.log(power + 1e-16), aperiodicity, names, tuple(accents), tuple(gaps[1:]))


def render(utterance: Utterance, speaker: Speaker, prosody: Prosody, rng: np.random.Generator) -> Rendered:
    """`utterance` by `speaker` with `prosody`; randomness beyond the controls (accent sizes, pauses) from `rng`."""
    lead_s, tail_s = rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.3)
    source = _timing(utterance, prosody, rng, room_s=WINDOW_S - lead_s - tail_s)
    spoken = source >= 0
    place = np.maximum(source, 0)
    n = len(source)
    bumps = _bumps(utterance, source, prosody, rng)
    progress = np.arange(n) / n

    melody = prosody.level_st + prosody.range_st * bumps - prosody.slope_st * (progress - 0.5)
    melody += prosody.final_st * np.clip((np.arange(n) - n + 60) / 60, 0, 1)  # 60 frames = 300 ms
    melody += prosody.tremor_st * np.sin(2 * np.pi * (rng.uniform(4.5, 6.5) * STEP_S * np.arange(n) + rng.uniform()))
    melody += prosody.jitter_st * rng.normal(size=n)
    f0_hz = speaker.f0_hz * 2 ** (melody / 12)
    f0_hz = np.where(utterance.voiced[place] & spoken, np.clip(f0_hz, 55, 500), 0.0)

    bins = utterance.log_power.shape[1]
    octaves = np.log2(np.maximum(np.arange(bins) / (bins - 1) * RATE / 2, 100) / 1000)
    loud_db = prosody.emphasis_db * (bumps - 0.5) - prosody.decay_db * (progress - 0.5)
    log_power = _warp(utterance.log_power[place], speaker.warp)
    log_power += (loud_db[:, None] + prosody.tilt_db * octaves) * np.log(10) / 10
    log_power[~spoken] = np.log(1e-12)
    aperiodicity = utterance.aperiodicity[place]
    breath = prosody.breath * np.clip(octaves + 1, 0, 1)
    aperiodicity = np.clip(aperiodicity + breath * (1 - aperiodicity), 0, 1)
    voice = pyworld.synthesize(
        f0_hz, np.exp(log_power, order="C"), np.ascontiguousarray(aperiodicity), RATE, STEP_S * 1000
    )

    samples = _level(voice, rng)
    lead = round(lead_s * RATE)
    samples = np.pad(samples, (lead, round(tail_s * RATE)))[: round(WINDOW_S * RATE)]
    samples += rng.normal(size=samples.size) * 10 ** (rng.uniform(-75, -60) / 20)  # a room is never silent
    at = np.round((np.arange(int(samples.size / RATE / FRAME_S)) * FRAME_S + FRAME_S / 4 - lead_s) / STEP_S).astype(int)
    phones = tuple(utterance.phone[source[i]] if 0 <= i < n and spoken[i] else SILENCE for i in at)
    return Rendered(np.clip(samples, -1, 1).astype(np.float32), phones, f0_hz)


def _is_function_word(text: str) -> bool:
    words = text.lower().split()
    return not words or words[0].strip(".,") in FUNCTION_WORDS


def _timing(utterance: Utterance, prosody: Prosody, rng: np.random.Generator, room_s: float) -> NDArray[np.int64]:
    """Source frame of every output frame (5 ms); -1 in a pause. Squeezed evenly where it would not fit `room_s`."""
    n = len(utterance.phone)
    length = np.full(n, np.exp(-prosody.log_rate))
    for first, last in utterance.accents:
        length[first : last + 1] *= 1 + prosody.accent_stretch
    length *= 1 + prosody.final_stretch * np.clip((np.arange(n) - n + 100) / 100, 0, 1)  # over the last 500 ms
    frames = np.arange(n)
    for gap in reversed(utterance.gaps):
        if rng.uniform() < prosody.pause_rate:
            frames = np.insert(frames, gap, -1)
            length = np.insert(length, gap, prosody.pause_ms * rng.uniform(0.7, 1.4) / 1000 / STEP_S)
    ends = np.cumsum(length)
    squeeze = min(1.0, room_s / STEP_S / ends[-1])
    count = int(ends[-1] * squeeze)
    return frames[np.minimum(np.searchsorted(ends * squeeze, np.arange(count) + 0.5), len(frames) - 1)]


def _bumps(
    utterance: Utterance, source: NDArray[np.int64], prosody: Prosody, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Accents as a curve around 0..1: one asymmetric bump an accented vowel, peaking where `peak_place` says."""
    curve = np.zeros(len(source))
    grid = np.arange(len(source))
    for first, last in utterance.accents:
        frames = np.flatnonzero((source >= first) & (source <= last))
        if not frames.size:
            continue
        peak = frames[0] + prosody.peak_place * (frames[-1] - frames[0] + 1)
        width = prosody.width_ms / 1000 / STEP_S
        rise, fall = width * (0.4 + 0.6 * np.clip(prosody.peak_place, 0, 1)), width
        distance = np.where(grid < peak, (grid - peak) / rise, (grid - peak) / fall)
        curve = np.maximum(curve, rng.uniform(0.75, 1.25) * np.exp(-0.5 * distance**2))
    return curve


def _warp(log_power: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Stretch the frequency axis by `factor`: a shorter or longer vocal tract."""
    bins = log_power.shape[1]
    at = np.minimum(np.arange(bins) / factor, bins - 1)
    low = np.minimum(at.astype(int), bins - 2)
    share = at - low
    return log_power[:, low] * (1 - share) + log_power[:, low + 1] * share


def _level(voice: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Scale so that the speaking part has the common RMS; peaks stay below full scale."""
    blocks = voice[: voice.size // 320 * 320].reshape(-1, 320)
    power = (blocks**2).mean(axis=1)
    active = power[power > power.max() * 1e-3].mean()
    gain = 10 ** ((_LEVEL_DB + rng.normal(0, 0.5)) / 20) / np.sqrt(active)
    return voice * min(gain, 0.95 / np.abs(voice).max())
