"""IEMOCAP: labels, true speakers, sessions and words from the official layout, and what is said about a copy of it."""

import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from core.audio.decoder import Decoder
from core.corpora.iemocap import script_of
from core.corpora.iemocap_notes import KNOWN_CODES, KNOWN_SPEAKERS
from core.corpora.select import identify
from core.corpora.source import Listed, Listing, list_source
from core.errors import Refusal
from core.settings import read_settings
from core.store.index import Index
from tests.corpora.trees import CLASSES, iemocap_tree

SESSIONS = [f"Session{number}" for number in range(1, 6)]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return iemocap_tree(tmp_path_factory.mktemp("iemocap"), seconds=0.2)


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Path:
    """A release to break."""
    return Path(shutil.copytree(release, tmp_path / "IEMOCAP_full_release"))


def listing(release: Path) -> Listing:
    return list_source(f"iemocap:{release}")


def clips(release: Path) -> dict[str, Listed]:
    return {clip.name: clip for clip in listing(release).clips}


def note(listing: Listing, words: str) -> str:
    """The one note that holds these words."""
    (found,) = [text for text in listing.notes if words in text]
    return found


# What is listed


def test_the_four_classes_with_excitement_as_happiness(release: Path) -> None:
    """Two of each class and speaker; `Ses01` has a clip without sound and an empty one on top."""
    counts = Counter((clip.speaker, clip.label) for clip in listing(release).clips)
    expected = {(f"Ses0{session}{sex}", label): 2 for session in range(1, 6) for sex in "FM" for label in CLASSES}
    assert counts == expected | {("Ses01M", "anger"): 3, ("Ses01F", "neutral"): 3}


def test_the_speaker_is_the_letter_before_the_turn_not_the_dialogs(release: Path) -> None:
    found = clips(release)
    assert found["Ses01F_impro01_M000"].speaker == "Ses01M"
    assert found["Ses01M_script01_1_F000"].speaker == "Ses01F"
    for clip in found.values():
        assert clip.name.startswith(f"{clip.dialog}_") and clip.session == clip.name[:5]
        assert clip.speaker == clip.session + clip.name[clip.name.rindex("_") + 1]
    assert {clip.dialog for clip in found.values()} >= {"Ses05M_impro05a", "Ses02M_script02_1", "Ses05F_script01_1b"}


def test_clips_are_in_order_and_lie_where_the_release_has_them(release: Path) -> None:
    """Session 4 of the made-up release was encoded again as FLAC."""
    found = clips(release)
    assert list(found) == sorted(found)
    for clip in found.values():
        suffix = ".flac" if clip.session == "Ses04" else ".wav"
        session = f"Session{clip.name[4]}"
        assert clip.path == release / session / "sentences/wav" / clip.dialog / f"{clip.name}{suffix}"
    assert [name for name, clip in found.items() if not clip.path.is_file()] == ["Ses01F_impro01_M004"]


def test_where_there_are_both_the_original_is_taken(copy: Path) -> None:
    folder = copy / "Session2/sentences/wav/Ses02F_impro04"
    (folder / "Ses02F_impro04_F000.flac").touch()
    assert clips(copy)["Ses02F_impro04_F000"].path == folder / "Ses02F_impro04_F000.wav"


def test_transcripts(release: Path) -> None:
    """With times and without, in lower case, with a Latin-1 byte, beside lines that belong to nobody."""
    found = clips(release)
    assert found["Ses01F_impro01_F000"].transcript == "Excuse me."
    assert found["Ses03F_script03_2_F000"].transcript == "No times in the café."
    assert found["Ses03F_script03_2_M000"].transcript == "Do you have your forms?"
    assert all(clip.transcript for clip in found.values())


def test_a_copy_without_transcripts_has_none(copy: Path) -> None:
    for session in SESSIONS:
        shutil.rmtree(copy / session / "dialog" / "transcriptions")
    assert len(clips(copy)) == 82 and not any(clip.transcript for clip in clips(copy).values())


def test_windows_line_ends_everywhere_change_nothing(copy: Path) -> None:
    expected = clips(copy)
    for path in copy.rglob("[!.]*.txt"):
        path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert clips(copy) == expected


def test_the_folder_above_the_release_will_do(release: Path) -> None:
    assert listing(release.parent) == listing(release)


@pytest.mark.parametrize(
    ("dialog", "script"),
    [
        ("Ses01F_impro01", "impro01"),
        ("Ses05M_impro05a", "impro05a"),
        ("Ses02F_script02_1", "script02_1"),
        ("Ses05F_script01_1b", "script01_1b"),
        ("Ses01F", None),
        ("", None),
        ("Ses01F_impro01/x", None),
        ("movie", None),
    ],
)
def test_what_a_dialog_was_played_from(dialog: str, script: str | None) -> None:
    assert script_of(dialog) == script


# What can't be used


def test_damaged_and_missing_sound_costs_its_clip_only(release: Path, tmp_path: Path) -> None:
    decoder = Decoder(read_settings())
    found, unusable = identify(listing(release).clips, decoder, Index(tmp_path / "index.sqlite"))
    decoder.close()
    assert len(found) == 80 and len({clip.clip_id for clip in found}) == 80
    assert [one.name for one in unusable] == ["Ses01F_impro01_M004", "Ses01M_script01_1_F006"]
    missing, empty = (one.reason for one in unusable)
    assert missing.endswith("Ses01F_impro01_M004.wav does not exist; check the path.")
    assert empty.startswith("Ses01M_script01_1_F006.wav") and "\n" not in empty


@pytest.mark.parametrize("name", ["gone", "file", "empty"])
def test_what_is_no_release_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty" / "Session9").mkdir(parents=True)
    (tmp_path / "file").touch()
    with pytest.raises(Refusal, match=r"There is no folder .*|.*empty is no IEMOCAP release, Session1 to Session5"):
        listing(tmp_path / name)


def test_a_release_without_any_label_is_refused(copy: Path) -> None:
    for session in SESSIONS:
        shutil.rmtree(copy / session / "dialog")
    with pytest.raises(Refusal, match="has no label of the four classes: Session1/dialog/EmoEvaluation"):
        listing(copy)


def test_a_label_file_that_is_no_text_costs_its_dialog_only(copy: Path) -> None:
    (copy / "Session5/dialog/EmoEvaluation/Ses05M_impro05a.txt").write_bytes(bytes(range(256)) * 20)
    found = listing(copy)
    assert not any(clip.dialog == "Ses05M_impro05a" for clip in found.clips)
    assert len(found.clips) == 74
    assert "Ses05M_impro05a_F000" in note(found, "no label file names them: 11 (")


def test_a_label_file_that_can_not_be_read_is_said(copy: Path) -> None:
    """Here a folder of that name: as root, every file can be read."""
    path = copy / "Session5/dialog/EmoEvaluation/Ses05M_impro05a.txt"
    path.unlink()
    path.mkdir()
    assert str(path) in note(listing(copy), "can't be read (Is a directory)")


# What is said about it


def test_what_is_left_out_is_counted(release: Path) -> None:
    found = listing(release)
    assert note(found, "none of the four classes") == (
        "Left out, because their label is none of the four classes: 10 xxx, 10 fru."
    )
    assert note(found, "sound file") == "Labelled, but without a sound file: 1 (Ses01F_impro01_M004)."
    assert note(found, "no label") == "Left out, because no label file names them: 1 (Ses01F_impro01_FXX0)."


def test_a_release_without_oddities_has_one_note(tmp_path: Path) -> None:
    found = listing(iemocap_tree(tmp_path, per_class=1, seconds=0.1, oddities=False))
    assert len(found.clips) == 40
    (only,) = found.notes
    assert only.startswith("40 clips by 10 speakers: neutral 10, happiness 10 (10 happy + 0 excited), anger 10,")
    assert "; sessions Ses01 8, Ses02 8, Ses03 8, Ses04 8, Ses05 8; 20 improvised, 20 scripted; this is a part" in only


def test_a_part_of_the_sessions_is_said_to_be_one(copy: Path) -> None:
    shutil.rmtree(copy / "Session2")
    shutil.rmtree(copy / "Session4" / "dialog")
    found = listing(copy)
    assert {clip.session for clip in found.clips} == {"Ses01", "Ses03", "Ses05"}
    assert note(found, "by 6 speakers").endswith(
        "this is a part of IEMOCAP, which has 5531: Session2, Session4 missing."
    )
    assert note(found, "Session4 has no labels").endswith("its 20 clips are left out.")


def full_size(release: Path) -> Path:
    """As many labels as the full release has, by class and by speaker, and empty files for sounds."""
    codes = iter(code for code, count in KNOWN_CODES.items() for _ in range(count))
    for speaker, count in KNOWN_SPEAKERS.items():
        for number in range(count):
            dialog = f"Ses{speaker[3:5]}F_impro{number // 100:02d}"
            folder = release / f"Session{speaker[4]}"
            sounds, labels = folder / "sentences/wav" / dialog, folder / "dialog/EmoEvaluation" / f"{dialog}.txt"
            for parent in (sounds, labels.parent):
                parent.mkdir(parents=True, exist_ok=True)
            name = f"{dialog}_{speaker[-1]}{number % 100:03d}"
            (sounds / f"{name}.wav").touch()
            with labels.open("a") as file:
                file.write(f"[1.0 - 2.0]\t{name}\t{next(codes)}\t[2.5, 2.5, 2.5]\nC-E2:\tNeutral;\t()\n\n")
    return release


def test_the_known_counts_and_exactly_where_they_are_not_met(tmp_path: Path) -> None:
    """5,531 clips; also that listing so many does not take long."""
    release = full_size(tmp_path)
    listing(release)
    begun = time.process_time()
    found = listing(release)
    assert time.process_time() - begun < 2, "0.2 s, ten times as many where every call is checked"
    assert Counter(clip.label for clip in found.clips) == {
        "neutral": 1708,
        "happiness": 1636,
        "anger": 1103,
        "sadness": 1084,
    }
    (only,) = found.notes
    assert only.startswith("5531 clips by 10 speakers: neutral 1708, happiness 1636 (595 happy + 1041 excited), ")
    assert "sessions Ses01 1085, Ses02 1023, Ses03 1151, Ses04 1031, Ses05 1241;" in only
    assert only.endswith("; these are the known counts.")

    labels = release / "Session5/dialog/EmoEvaluation/Ses05F_impro00.txt"
    lines = labels.read_text().splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if "_F000\t" in line)
    code = lines[first].split("\t")[2]
    labels.write_text("".join(lines[:first] + lines[first + 1 :]))
    assert note(listing(release), "known").endswith(
        f"all 5 sessions are there, yet the counts are not the known ones (5530 of 5531): "
        f"{code} {KNOWN_CODES[code] - 1} instead of {KNOWN_CODES[code]}, Ses05F 589 instead of 590."
    )
