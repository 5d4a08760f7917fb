"""One-cue scores: a cue that tells the labels is found out, one that tells the speaker is not taken for it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.corpora.source import Listed
from core.demo.cues import cue_table, measure, one_cue_uar

RATE = 16_000


def tone(path: Path, hertz: float, seconds: float, rng: np.random.Generator) -> Path:
    """A buzz with falling harmonics, faintly noisy."""
    time = np.arange(int(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 20))
    soundfile.write(path, 0.1 * buzz + rng.normal(0, 1e-4, time.size), RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Listed]:
    """Six speakers with a pitch each; "long" lasts twice as long as "short", nothing else differs."""
    folder, rng = tmp_path_factory.mktemp("tones"), np.random.default_rng(0)
    found = []
    for speaker in range(6):
        for label, seconds in (("short", 0.6), ("long", 1.2)):
            for i in range(4):
                name = f"{speaker}_{label}_{i}.wav"
                path = tone(folder / name, 110 + 20 * speaker, seconds * rng.uniform(0.9, 1.1), rng)
                found.append(Listed(name, path, label, f"s{speaker}"))
    return found


def test_the_telling_cue_scores_and_the_speakers_cue_does_not(clips: list[Listed]) -> None:
    table = cue_table(clips)
    assert table["duration, s"]["uar"] == 1.0
    assert table["duration, s"]["between_emotions"] > 0.9
    assert table["mean pitch, st"]["uar"] < 0.7
    assert table["mean pitch, st"]["between_speakers"] > 0.99
    assert table["mean pitch, st"]["between_emotions"] < 0.01
    assert one_cue_uar(clips) == {cue: row["uar"] for cue, row in table.items()}


def test_cues_are_measured_in_their_units(clips: list[Listed]) -> None:
    values = measure(clips[:1])
    assert values["mean pitch, st"][0] == pytest.approx(12 * np.log2(110 / 100), abs=0.1)
    assert values["duration, s"][0] == pytest.approx(soundfile.info(clips[0].path).duration)
    assert values["pause share"][0] == 0.0
    assert values["pitch spread, st"][0] < 0.3
    assert all(np.isfinite(value).all() for value in values.values())
