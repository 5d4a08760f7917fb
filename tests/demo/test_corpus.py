"""The acted corpora as files: whole, balanced, read back as they were written, the same again, and safe to kill."""

import csv
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core import paths
from core.corpora.source import list_source
from core.demo import acted, ten
from core.demo.data_card import data_facts, write_data_card
from core.demo.prosody import EMOTIONS
from core.demo.sentences import SENTENCES

SEED = 5
PEOPLE = {f"Ses{session:02d}{sex}" for session in range(1, 6) for sex in "FM"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All ten speakers with the first sentence of the first script."""
    folder = tmp_path_factory.mktemp("ten")
    ten.write_ten(folder, SEED, sentences=1, processes=2)
    return folder


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two training speakers and one validation speaker with one sentence each."""
    folder = tmp_path_factory.mktemp("acted")
    acted.write_acted(folder, 2, 1, 1, SEED)
    return folder


def sounds(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.suffix in (".wav", ".flac")
    }


def test_the_ten_are_read_back_as_iemocap_is(tree: Path) -> None:
    """Label files, names and words fit together, and every speaker says the sentence in all four emotions."""
    listing = list_source(f"iemocap:{tree}")
    assert len(listing.clips) == len(PEOPLE) * len(EMOTIONS)
    assert {clip.speaker for clip in listing.clips} == PEOPLE
    said = {(clip.speaker, clip.transcript, clip.label) for clip in listing.clips}
    assert said == {(who, SENTENCES[0], emotion) for who in PEOPLE for emotion in EMOTIONS}
    for clip in listing.clips:
        assert clip.path.is_file()
        assert clip.dialog is not None
        assert clip.session == clip.dialog[:5] == clip.name[:5]
        assert clip.path.parent.name == clip.dialog
    # both plays of the script, so that a dialog's letter is not its speaker's
    assert {clip.dialog for clip in listing.clips} == {
        f"Ses{n:02d}{play}_script01_1" for n in range(1, 6) for play in "FM"
    }
    assert {(clip.dialog[5], clip.speaker[5]) for clip in listing.clips} == {
        ("F", "F"),
        ("F", "M"),
        ("M", "F"),
        ("M", "M"),
    }


def test_labels_tell_the_emotion_a_clip_was_made_with(tree: Path, tmp_path: Path) -> None:
    """Rendered again from the speaker's seed into files named by emotion, each clip is where its label says."""
    speaker = acted.speakers("test", 10, SEED)[3]
    files = {(0, emotion): tmp_path / f"{emotion}.flac" for emotion in EMOTIONS}
    acted.act_all([acted.Part(speaker, (0,), files, (SEED, 7, 2, 3))])
    for clip in list_source(f"iemocap:{tree}").clips:
        if clip.speaker == "Ses02M":
            assert clip.path.read_bytes() == (tmp_path / f"{clip.label}.flac").read_bytes()


def test_turns_of_a_dialog_follow_each_other_and_last_as_long_as_their_sound(tree: Path) -> None:
    """Times in both label files agree with the sounds; a line's ratings are the placeholder."""
    labels = tree / "Session3" / "dialog" / "EmoEvaluation" / "Ses03M_script01_1.txt"
    lines = [line.split("\t") for line in labels.read_text().splitlines() if line.startswith("[")]
    times = [tuple(map(float, line[0].strip("[]").split(" - "))) for line in lines]
    assert [line[1][-4] for line in lines] == ["F", "M"] * 2
    assert {line[3] for line in lines} == {"[0.0000, 0.0000, 0.0000]"}
    for line, (start, end) in zip(lines, times, strict=True):
        sound = tree / "Session3" / "sentences" / "wav" / labels.stem / f"{line[1]}.flac"
        assert end - start == pytest.approx(soundfile.info(sound).duration, abs=2e-4)
    assert all(before[1] < after[0] for before, after in pairwise(times))
    words = (labels.parents[1] / "transcriptions" / labels.name).read_text().splitlines()
    assert words == [
        f"{line[1]} [{start:08.4f}-{end:08.4f}]: {SENTENCES[0]}"
        for line, (start, end) in zip(lines, times, strict=True)
    ]


def test_only_the_first_script_ships_and_stands_alone(tree: Path, tmp_path: Path) -> None:
    """A dialog of another script stays behind with all its files."""
    other = tree / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_script02_1.txt"
    other.write_text("")
    ten.ship(tree, tmp_path)
    other.unlink()
    shipped, whole = list_source(f"iemocap:{tmp_path}"), list_source(f"iemocap:{tree}")
    assert shipped.notes == whole.notes
    assert [clip.name for clip in shipped.clips] == [clip.name for clip in whole.clips]
    assert not list(tmp_path.rglob("*script02*"))
    assert sounds(tmp_path) == sounds(tree)


def test_the_training_corpus_reads_back_with_speakers_sessions_words_and_splits(training: Path) -> None:
    clips = list_source(f"folder:{training}").clips
    assert {(clip.speaker, clip.session, clip.split) for clip in clips} == {
        ("tF001", "t001", "train"),
        ("tM001", "t001", "train"),
        ("vF001", "v001", "validation"),
    }
    for speaker in ("tF001", "tM001", "vF001"):
        own = [clip for clip in clips if clip.speaker == speaker]
        assert sorted(str(clip.label) for clip in own) == sorted(EMOTIONS)
        assert len({clip.transcript for clip in own} & set(SENTENCES)) == 1
        for clip in own:
            samples, rate = soundfile.read(clip.path, dtype="float32")
            assert (rate, samples.ndim) == (16_000, 1)
            assert 1.0 < samples.size / rate <= 4.0
            assert np.isfinite(samples).all()
            assert 0.01 < np.abs(samples).max() <= 1


def test_nobody_of_the_ten_is_trained_on() -> None:
    """Neither a name nor a voice variant of the ten is in training or validation, and each of the ten has its own."""
    tested = acted.speakers("test", 10, SEED)
    trained = acted.speakers("train", 400, SEED) + acted.speakers("validation", 40, SEED)
    assert {speaker.name for speaker in tested} == PEOPLE
    assert len({speaker.variant for speaker in tested}) == 10
    assert len({speaker.name for speaker in trained}) == 440
    assert not {speaker.variant for speaker in tested} & {speaker.variant for speaker in trained}
    assert not {speaker.f0_hz for speaker in tested} & {speaker.f0_hz for speaker in trained}


def test_a_speaker_made_again_is_the_same_to_the_bit(tree: Path) -> None:
    """Whoever spoke before in the same run must not be heard in the files; what is there is left alone."""
    before = sounds(tree)
    lost = [tree / name for name in before if name.endswith(("_F000.flac", "_F001.flac")) and "Ses04" in name]
    kept = {file: file.stat().st_mtime_ns for file in tree.rglob("*.flac") if "Ses04" not in file.name}
    assert len(lost) == 4
    for file in lost:
        file.unlink()
    ten.write_ten(tree, SEED, sentences=1)
    assert sounds(tree) == before
    assert {file: file.stat().st_mtime_ns for file in kept} == kept


def test_a_killed_run_goes_on_and_ends_the_same(training: Path, tmp_path: Path) -> None:
    folder = tmp_path / "acted"
    script = (
        "from pathlib import Path; from core.demo.acted import write_acted; "
        f"write_acted(Path({str(folder)!r}), 2, 1, 1, {SEED})"
    )
    run = subprocess.Popen([sys.executable, "-W", "ignore", "-c", script], cwd=paths.ROOT, start_new_session=True)
    waited = time.monotonic()
    while not list(folder.rglob("*.wav")) and time.monotonic() - waited < 60:
        time.sleep(0.005)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert 0 < len(sounds(folder)) < len(sounds(training))
    assert not (folder / "metadata.csv").exists()
    acted.write_acted(folder, 2, 1, 1, SEED)
    assert sounds(folder) == sounds(training)
    assert (folder / "metadata.csv").read_bytes() == (training / "metadata.csv").read_bytes()


def test_the_card_counts_what_is_there(tree: Path, training: Path, tmp_path: Path) -> None:
    """Numbers in the card come from the files, so a miniature has a card of a miniature."""
    ten.ship(tree, tmp_path / "clips")
    facts = data_facts(training, tree, tmp_path / "clips")
    write_data_card(tmp_path, facts)
    text = (tmp_path / "DATA_CARD.md").read_text()
    with (training / "metadata.csv").open(newline="") as file:
        splits = [row["split"] for row in csv.DictReader(file)]
    assert facts["train"]["clips"] == splits.count("train") == 8
    assert facts["validation"]["clips"] == splits.count("validation") == 4
    assert "**No human speaks here.** 40 clips" in text
    assert "| training | 2 |" in text
    for cue, row in facts["cues"].items():
        assert f"| {cue} | {row['uar']:.3f} |" in text
    assert "placeholder" in text
