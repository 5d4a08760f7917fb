"""`dataset:` sources: real data sets of the package `datasets`, written and read back."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import soundfile

from core.audio.decoder import Decoder
from core.corpora.select import identify
from core.corpora.source import Listed, Listing, list_source
from core.errors import Refusal
from core.settings import read_settings
from core.store.index import Index
from tests.cli.command import lorascope
from tests.conftest import save_sound

NAMES = ["ang", "hap", "neu", "sad"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))


def sound(seed: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.random.default_rng(seed).standard_normal(4000), 16_000, format="WAV")
    return file.getvalue()


def table(audio: list[Any], **columns: list[Any]) -> datasets.Dataset:
    made = datasets.Dataset.from_dict({"audio": audio, **columns})
    return made.cast_column("audio", datasets.Audio(decode=False))


def listing(where: Path | str, cache: Path) -> Listing:
    return list_source(f"dataset:{where}", cache)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Four clips as bytes, with everything a clip may know; one has no label."""
    made = table(
        [{"bytes": sound(i), "path": f"{i}.wav"} for i in range(4)],
        emotion=[0, 1, 3, -1],
        speaker_id=[7, 7, 8, 8],
        session=["A", "A", "B", None],
        text=["one", "two", "three", " "],
    ).cast_column("emotion", datasets.ClassLabel(names=NAMES))
    made.cast_column("audio", datasets.Audio()).save_to_disk(str(tmp_path / "saved"))
    return tmp_path / "saved"


def test_a_saved_table_with_sound_as_bytes(saved: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    found = listing(saved, cache)
    known = [(c.name, c.label, c.speaker, c.session, c.transcript, c.split) for c in found.clips]
    assert known == [
        ("0.wav", "ang", "7", "A", "one", None),
        ("1.wav", "hap", "7", "A", "two", None),
        ("2.wav", "sad", "8", "B", "three", None),
        ("3.wav", None, "8", None, None, None),
    ]
    assert [clip.path.read_bytes() for clip in found.clips] == [sound(i) for i in range(4)]
    assert all(clip.path.parent == cache / "datasets" for clip in found.clips)
    assert found.notes == (
        "Columns of the data set: sound from audio, label from emotion, speaker from speaker_id, "
        "session from session, transcript from text.",
    )
    decoder = Decoder(read_settings())
    clips, unusable = identify(found.clips, decoder, Index(tmp_path / "index.sqlite"))
    decoder.close()
    assert len({clip.clip_id for clip in clips}) == 4 and not unusable


def test_sound_is_written_once(saved: Path, tmp_path: Path) -> None:
    first = {clip.path: clip.path.stat().st_mtime_ns for clip in listing(saved, tmp_path / "cache").clips}
    again = {clip.path: clip.path.stat().st_mtime_ns for clip in listing(saved, tmp_path / "cache").clips}
    assert again == first
    assert set((tmp_path / "cache/datasets").iterdir()) == set(first), "nothing temporary is left"


def test_splits_and_names_that_come_twice(tmp_path: Path) -> None:
    parts = {
        split: table(
            [{"bytes": sound(seed), "path": "x.wav"}, {"bytes": sound(seed + 1), "path": None}], label=["a"] * 2
        )
        for seed, split in enumerate(("train", "dev", "extra"))
    }
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    found = {clip.name: clip.split for clip in listing(tmp_path / "saved", tmp_path).clips}
    assert found == {
        "x.wav (1)": "train",
        "x.wav (2)": "validation",
        "x.wav (3)": None,
        "train/000001": "train",
        "dev/000001": "validation",
        "extra/000001": None,
    }


def test_files_are_read_where_they_lie(tmp_path: Path) -> None:
    """A repository of tables that name files, loaded as the Hub's are; a file that is gone is a casualty later."""
    here, gone = save_sound(tmp_path / "a.wav", 0.2, 0), tmp_path / "gone.wav"
    repository = tmp_path / "repository"
    repository.mkdir()
    features = "dataset_info:\n  features:\n" + "".join(
        f"  - name: {name}\n    dtype: {kind}\n" for name, kind in (("sound", "audio"), ("emotion", "string"))
    )
    (repository / "README.md").write_text(f"---\n{features}---\n")
    for split, path, label in (("train", here, "anger"), ("test", gone, "sadness")):
        (repository / f"{split}.jsonl").write_text(json.dumps({"sound": str(path), "emotion": label}) + "\n")
    assert listing(repository, tmp_path / "cache").clips == (
        Listed("a.wav", here, "anger", split="train"),
        Listed("gone.wav", gone, "sadness", split="test"),
    )
    assert not (tmp_path / "cache").exists()


def test_why_loading_failed_is_said(tmp_path: Path) -> None:
    """The package wraps its reasons: here, lines that are no JSON."""
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "train.jsonl").write_text("{broken\n")
    with pytest.raises(Refusal, match=r"repository can't be loaded: .+ \(Expected object or value at"):
        listing(tmp_path / "repository", tmp_path / "cache")


def test_rows_without_sound_are_left_out(tmp_path: Path) -> None:
    good = {"bytes": sound(1), "path": "a.wav"}
    table([None, good, None], label=["a", "b", "c"]).save_to_disk(str(tmp_path / "saved"))
    found = listing(tmp_path / "saved", tmp_path)
    assert [(clip.name, clip.label) for clip in found.clips] == [("a.wav", "b")]
    assert found.notes[-1] == "2 rows hold no sound and are left out."


def test_the_only_class_label_is_the_label_whatever_its_name(tmp_path: Path) -> None:
    made = table([{"bytes": sound(0), "path": None}], feeling=[2], gender=["F"])
    made.cast_column("feeling", datasets.ClassLabel(names=NAMES)).save_to_disk(str(tmp_path / "one"))
    assert listing(tmp_path / "one", tmp_path).clips[0].label == "neu"
    made.save_to_disk(str(tmp_path / "none"))
    found = listing(tmp_path / "none", tmp_path)
    assert found.clips[0].label is None and "No column holds labels" in found.notes[-1]


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    datasets.Dataset.from_dict({"text": ["a"], "label": [1]}).save_to_disk(str(tmp_path / "text"))
    table([None]).save_to_disk(str(tmp_path / "silent"))
    for where, sentence in (
        (tmp_path / "gone", "There is no folder .*gone: check the path"),
        ("", "dataset: names no data set: write dataset:/path or dataset:hub/id"),
        (tmp_path / "empty", "The data set .*empty can't be loaded: "),
        (tmp_path / "text", "has no audio column, only text, label: choose another"),
        (tmp_path / "silent", "holds no sound in its column audio"),
    ):
        with pytest.raises(Refusal, match=sentence):
            listing(where, tmp_path)


def test_without_the_package_it_is_named(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(Refusal, match="need the package datasets: `pip install datasets` first"):
        listing(saved, tmp_path)


def test_on_the_command_line(saved: Path, tmp_path: Path) -> None:
    """Without torch, without progress bars in a pipe; what the Hub does not give is one line."""
    words = ("clips", "--cache", tmp_path / "cache", "--clips")
    answer = lorascope(*words, f"dataset:{saved}", cwd=tmp_path)
    assert answer.code == 0 and answer.out.count("\n") == 5
    assert answer.err.startswith("Note: Columns of the data set:") and answer.err.count("\n") == 1
    assert len(list((tmp_path / "cache/datasets").iterdir())) == 4
    answer = lorascope(*words, "dataset:nobody/nothing@config", cwd=tmp_path, HF_HUB_OFFLINE="1")
    assert answer.code == 2 and answer.err.count("\n") == 1
    assert answer.err.startswith("lorascope: The data set nobody/nothing@config can't be loaded: ")
