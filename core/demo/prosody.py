"""How an emotion sounds here: speakers, and the controls that an utterance is rendered with.

Each control of a clip = base + speaker's habit + class effect x intensity x expressivity + noise. Most of the emotion
sits in dynamics (shape and range of the melody, rhythm, pauses, unsteadiness), little in levels, which a mean over
frames would give away; classes overlap, so that no single control and no threshold tells them apart.
"""

from dataclasses import dataclass

import numpy as np

EMOTIONS = ("anger", "happiness", "neutral", "sadness")

# base, spread between speakers, spread between clips, lowest and highest value, effect of each emotion (in EMOTIONS'
# order). st = semitones, ms = milliseconds.
_CONTROLS: dict[str, tuple[float, float, float, float, float, tuple[float, float, float, float]]] = {
    "level_st": (0.0, 0.0, 1.2, -5, 6, (0.8, 1.0, 0.0, -0.8)),  # mean pitch around the speaker's own
    "range_st": (3.0, 0.7, 0.9, 0.2, 11, (2.5, 3.0, 0.0, -1.8)),  # height of accents
    "peak_place": (0.4, 0.08, 0.12, -0.2, 1.2, (-0.35, 0.45, 0.0, 0.1)),  # where in the vowel an accent peaks
    "width_ms": (110, 10, 15, 35, 240, (-50, 30, 0, 60)),  # how broad an accent is
    "slope_st": (3.0, 0.7, 0.9, -3, 9, (0.5, -1.3, 0.0, 0.3)),  # fall of the melody over the utterance
    "final_st": (-1.5, 0.6, 0.9, -6, 6, (-1.9, 3.3, 0.0, 0.2)),  # movement in the last 300 ms
    "log_rate": (0.0, 0.07, 0.06, -0.35, 0.3, (0.01, 0.05, 0.0, 0.0)),  # log of the tempo
    "accent_stretch": (0.15, 0.05, 0.08, 0, 0.9, (-0.1, 0.35, 0.0, 0.05)),  # lengthening of accented vowels
    "final_stretch": (0.2, 0.08, 0.1, 0, 1.0, (-0.15, 0.0, 0.0, 0.4)),  # lengthening towards the end
    "pause_rate": (0.07, 0.03, 0.03, 0, 0.6, (0.0, -0.03, 0.0, 0.15)),  # chance of a pause between words
    "pause_ms": (110, 15, 30, 40, 350, (-20, -20, 0, 40)),
    "jitter_st": (0.10, 0.04, 0.04, 0.02, 0.9, (0.25, 0.0, 0.0, 0.05)),  # pitch noise from frame to frame
    "tremor_st": (0.05, 0.05, 0.07, 0, 1.2, (0.0, 0.05, 0.0, 0.55)),  # slow wavering of the pitch
    "emphasis_db": (3.0, 0.8, 1.0, 0, 11, (4.0, 1.5, 0.0, -1.5)),  # loudness of accents over the rest
    "decay_db": (2.0, 0.8, 0.9, -3, 9, (-1.0, -2.0, 0.0, 3.0)),  # loudness lost over the utterance
    "tilt_db": (0.0, 1.0, 0.4, -4, 4, (0.5, 0.3, 0.0, -0.5)),  # dB per octave
    "breath": (0.08, 0.05, 0.04, 0, 0.5, (-0.02, 0.0, 0.0, 0.07)),  # noise share added
}

# espeak-ng's variants that sound like a person, by sex: those to train with, and those kept for testing, so that a
# test speaker's voice is new to the recogniser and to the adapters alike.
VARIANTS = {
    "F": ("f1", "f2", "f3", "f5", "Alicia", "Andrea", "Annie", "linda", "steph"),
    "M": (
        *("m1", "m2", "m3", "m4", "m5", "m6", "m8", "Alex", "Andy", "Denis", "Diogo", "Henrique", "Hugo", "Jacky"),
        *("Marco", "max", "Mike", "norbert", "paul", "rob"),
    ),
}
TEST_VARIANTS = {
    "F": ("f4", "belinda", "anika", "steph2", "aunty"),
    "M": ("m7", "Lee", "Gene", "pablo", "Michael", "robert"),
}


@dataclass(frozen=True)
class Speaker:
    """A synthetic speaker: an espeak variant bent to an own pitch, vocal-tract length, tempo and habits."""

    name: str
    sex: str
    variant: str
    f0_hz: float
    warp: float  # formants are multiplied by this
    expressivity: float
    habits: dict[str, float]


@dataclass(frozen=True)
class Prosody:
    """The controls of one clip (units in the table above)."""

    level_st: float
    range_st: float
    peak_place: float
    width_ms: float
    slope_st: float
    final_st: float
    log_rate: float
    accent_stretch: float
    final_stretch: float
    pause_rate: float
    pause_ms: float
    jitter_st: float
    tremor_st: float
    emphasis_db: float
    decay_db: float
    tilt_db: float
    breath: float


def draw_speaker(name: str, sex: str, variant: str, rng: np.random.Generator) -> Speaker:
    """A random speaker of `sex` ("F" or "M") on top of an espeak variant."""
    f0_hz = 205.0 if sex == "F" else 118.0
    return Speaker(
        name=name,
        sex=sex,
        variant=variant,
        f0_hz=float(f0_hz * 2 ** (rng.normal(0, 2.2) / 12)),
        warp=float(np.clip(rng.normal(1.04 if sex == "F" else 0.99, 0.05), 0.88, 1.16)),
        expressivity=float(rng.uniform(0.75, 1.3)),
        habits={control: float(rng.normal(0, spread)) for control, (_, spread, *_) in _CONTROLS.items()},
    )


def draw_prosody(speaker: Speaker, emotion: str, rng: np.random.Generator) -> Prosody:
    """How `speaker` acts `emotion` this time."""
    strength = speaker.expressivity * rng.uniform(0.7, 1.3)
    index = EMOTIONS.index(emotion)
    values = {}
    for control, (base, _, spread, low, high, effects) in _CONTROLS.items():
        value = base + speaker.habits[control] + strength * effects[index] + rng.normal(0, spread)
        values[control] = float(np.clip(value, low, high))
    return Prosody(**values)


def any_prosody(rng: np.random.Generator) -> Prosody:
    """Controls drawn evenly from their whole range: the recogniser must learn to hear past all of them."""
    return Prosody(**{control: float(rng.uniform(low, high)) for control, (*_, low, high, _) in _CONTROLS.items()})
