"""RAVDESS and CREMA-D: labels, speakers and words from file names, only where all names are of that kind."""

from pathlib import Path

import pytest

from core.corpora.named import recognise
from core.corpora.source import Listed, Listing, list_source
from tests.corpora.test_corpora_sources import make


def listing(folder: Path) -> Listing:
    return list_source(f"folder:{folder}")


def test_ravdess(tmp_path: Path) -> None:
    """As unpacked: a folder for each actor, whose name is no label."""
    name = "Actor_12/03-01-06-01-02-01-12.wav"
    make(tmp_path, name, "Actor_12/._03-01-06-01-02-01-12.wav", "Actor_01/03-01-01-01-01-01-01.wav", "readme.txt")
    found = listing(tmp_path)
    words = ("Kids are talking by the door.", "Dogs are sitting by the door.")
    assert found.clips[1] == Listed(name, tmp_path / name, "fear", "Actor_12", transcript=words[1])
    assert (found.clips[0].label, found.clips[0].speaker) == ("neutral", "Actor_01")
    assert found.clips[0].transcript == words[0] and len(found.clips) == 2
    assert found.notes == ("Labels, speakers and transcripts were read from the RAVDESS file names.",)


def test_every_emotion_of_ravdess(tmp_path: Path) -> None:
    make(tmp_path, *(f"03-02-0{code}-02-01-02-24.wav" for code in range(1, 9)))
    assert [clip.label for clip in listing(tmp_path).clips] == [
        *("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
    ]


def test_crema_d(tmp_path: Path) -> None:
    make(tmp_path, "1001_DFA_ANG_XX.wav", "1091_WSI_SAD_HI.flac", "1040_ITH_SAD_X.wav")
    found = listing(tmp_path)
    assert [(clip.label, clip.speaker, clip.transcript) for clip in found.clips] == [
        ("anger", "1001", "Don't forget a jacket."),
        ("sadness", "1040", "I think I have a doctor's appointment."),
        ("sadness", "1091", "We'll stop in a couple of minutes."),
    ]
    assert found.notes == ("Labels, speakers and transcripts were read from the CREMA-D file names.",)


def test_every_emotion_and_sentence_of_crema_d() -> None:
    naming = recognise(["1001_DFA_ANG_XX"])
    assert naming is not None
    read = [naming.read(f"1002_IEO_{code}_LO") for code in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")]
    assert [known["label"] for known in read if known] == [
        *("anger", "disgust", "fear", "happiness", "neutral", "sadness")
    ]
    codes = ["IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI"]
    assert len({(naming.read(f"1002_{code}_NEU_XX") or {})["transcript"] for code in codes}) == 12


@pytest.mark.parametrize(
    "odd",
    [
        "notes.wav",
        "03-01-09-01-02-01-12.wav",  # no such emotion
        "03-01-06-01-02-01-25.wav",  # no such actor
        "03-01-06-01-02-01-00.wav",
        "03-01-06-01-02-01.wav",
        "1001_DFA_ANG_XX.wav",  # of the other corpus
    ],
)
def test_one_other_name_and_sub_folders_are_labels_as_ever(tmp_path: Path, odd: str) -> None:
    make(tmp_path, "calm/03-01-06-01-02-01-12.wav", f"happy/{odd}")
    found = listing(tmp_path)
    assert {clip.label for clip in found.clips} == {"calm", "happy"} and found.notes == ()
    assert not any(clip.speaker or clip.transcript for clip in found.clips)


def test_no_names_are_of_no_corpus() -> None:
    assert recognise([]) is None
    assert recognise(["1001_ABC_ANG_XX.wav"]) is None, "no such sentence"


def test_metadata_goes_before_names(tmp_path: Path) -> None:
    make(tmp_path, "1001_DFA_ANG_XX.wav")
    (tmp_path / "metadata.csv").write_text("file_name,label\n1001_DFA_ANG_XX.wav,calm\n")
    assert listing(tmp_path) == Listing((Listed("1001_DFA_ANG_XX.wav", tmp_path / "1001_DFA_ANG_XX.wav", "calm"),))
