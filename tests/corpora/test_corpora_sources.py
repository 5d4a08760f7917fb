"""Where clips come from: folders with and without metadata, files, the demo."""

import os
from pathlib import Path

import pytest

from core import paths
from core.corpora.source import Listed, from_anywhere, list_source
from core.errors import Refusal
from tests.conftest import save_sound


def make(folder: Path, *names: str) -> Path:
    """Files that are named like audio; listing does not open them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def listing(folder: Path) -> list[Listed]:
    return list(list_source(f"folder:{folder}").clips)


def test_a_folder_with_metadata(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", "sub/b.flac", "unlisted.wav")
    (tmp_path / "metadata.csv").write_text(
        "file_name,label,speaker,session,dialog,transcript\nsub/b.flac,sad,S2,,d1,hello\na.wav, angry ,S1,one,,\n"
    )
    assert listing(tmp_path) == [
        Listed("a.wav", tmp_path / "a.wav", "angry", "S1", "one"),
        Listed("sub/b.flac", tmp_path / "sub/b.flac", "sad", "S2", None, "d1", "hello"),
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_metadata_as_spreadsheets_write_it(tmp_path: Path, newline: str, mark: str) -> None:
    """With a byte order mark, with Windows line ends, with quotes, without a last line end."""
    make(tmp_path, "a.wav", "b, c.wav")
    lines = [f'{mark}file_name,"label"', "a.wav,anger", '"b, c.wav","joy ""quoted"""', "", ""]
    (tmp_path / "metadata.csv").write_bytes(newline.join(lines).encode())
    assert [(clip.name, clip.label) for clip in listing(tmp_path)] == [("a.wav", "anger"), ("b, c.wav", 'joy "quoted"')]


def test_metadata_with_file_names_only(tmp_path: Path) -> None:
    make(tmp_path, "a.wav")
    (tmp_path / "metadata.csv").write_text("file_name\na.wav\n")
    assert listing(tmp_path) == [Listed("a.wav", tmp_path / "a.wav")]


@pytest.mark.parametrize("column", ["transcript", "transcription", "text"])
def test_metadata_with_words_and_splits(tmp_path: Path, column: str) -> None:
    """The Hub's names for splits; one that means nothing is ignored and said."""
    make(tmp_path, *(f"{i}.wav" for i in range(5)))
    splits = ("train", "dev", "Test", "", "holdout")
    rows = "".join(f"{i}.wav,word {i},{split}\n" for i, split in enumerate(splits))
    (tmp_path / "metadata.csv").write_text(f"file_name,{column},split\n{rows}")
    found = list_source(f"folder:{tmp_path}")
    assert [clip.split for clip in found.clips] == ["train", "validation", "test", None, None]
    assert [clip.transcript for clip in found.clips] == [f"word {i}" for i in range(5)]
    (note,) = found.notes
    assert note.startswith("Splits that are none of train, validation and test are ignored: holdout in ")


def test_metadata_as_json_lines(tmp_path: Path) -> None:
    make(tmp_path, "a.wav", "b.wav")
    (tmp_path / "metadata.jsonl").write_text(
        '{"file_name": "b.wav", "label": 3, "speaker": null, "text": "café", "more": [1]}\r\n\n'
        '{"file_name": "a.wav", "label": " sad ", "split": "validation"}'
    )
    assert listing(tmp_path) == [
        Listed("a.wav", tmp_path / "a.wav", "sad", split="validation"),
        Listed("b.wav", tmp_path / "b.wav", "3", transcript="café"),
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{broken", r"metadata.jsonl, line 2 is no JSON: "),
        ("[1]", r"metadata.jsonl, line 2 has no file_name"),
        ('{"name": "a.wav"}', r"metadata.jsonl, line 2 has no file_name"),
        ('{"file_name": "../a.wav"}', r"metadata.jsonl, line 2: '../a.wav' is no file below the folder"),
        ('{"file_name": null}', r"metadata.jsonl, line 2: '' is no file below the folder"),
    ],
)
def test_json_lines_that_make_no_sense_are_refused(tmp_path: Path, line: str, sentence: str) -> None:
    make(tmp_path, "a.wav")
    (tmp_path / "metadata.jsonl").write_text(f'{{"file_name": "a.wav"}}\n{line}\n')
    with pytest.raises(Refusal, match=sentence):
        listing(tmp_path)


def test_folders_named_as_splits_are_splits(tmp_path: Path) -> None:
    """Each read in its own way: with metadata of its own, with labels as sub-folders, with neither."""
    make(tmp_path, "train/a.wav", "train/b.wav", "valid/sad/c.wav", "test/d.wav", "notes/readme.md")
    (tmp_path / "train" / "metadata.csv").write_text("file_name,label,split\na.wav,anger,\nb.wav,neutral,test\n")
    assert listing(tmp_path) == [
        Listed("test/d.wav", tmp_path / "test/d.wav", split="test"),
        Listed("train/a.wav", tmp_path / "train/a.wav", "anger", split="train"),
        Listed("train/b.wav", tmp_path / "train/b.wav", "neutral", split="test"),
        Listed("valid/sad/c.wav", tmp_path / "valid/sad/c.wav", "sad", split="validation"),
    ]


def test_metadata_above_folders_named_as_splits(tmp_path: Path) -> None:
    make(tmp_path, "train/a.wav", "test/b.wav")
    (tmp_path / "metadata.csv").write_text("file_name,label\ntrain/a.wav,anger\ntest/b.wav,sad\n")
    assert [(clip.label, clip.split) for clip in listing(tmp_path)] == [("sad", "test"), ("anger", "train")]


@pytest.mark.parametrize("other", ["calm/x.wav", "x.wav"])
def test_a_split_beside_something_else_is_a_label(tmp_path: Path, other: str) -> None:
    make(tmp_path, "train/a.wav", other)
    found = {clip.name: clip for clip in listing(tmp_path)}
    assert found["train/a.wav"].label == "train" and not any(clip.split for clip in found.values())


def test_sub_folders_are_labels_where_there_is_no_metadata(tmp_path: Path) -> None:
    make(tmp_path, "anger/x.wav", "anger/y.MP3", "sadness/x.ogg", "calm/z.opus", "readme.txt", "anger/notes.csv")
    assert [(clip.name, clip.label) for clip in listing(tmp_path)] == [
        ("anger/x.wav", "anger"),
        ("anger/y.MP3", "anger"),
        ("calm/z.opus", "calm"),
        ("sadness/x.ogg", "sadness"),
    ]


def test_a_plain_folder_is_unlabelled_and_sorted(tmp_path: Path) -> None:
    make(tmp_path, "c.wav", "a.wav", "b.flac")
    assert listing(tmp_path) == [Listed(name, tmp_path / name) for name in ("a.wav", "b.flac", "c.wav")]


def test_a_clip_that_metadata_lists_but_is_not_there_is_listed(tmp_path: Path) -> None:
    """It becomes a casualty when it is read; the others stay."""
    make(tmp_path, "a.wav")
    (tmp_path / "metadata.csv").write_text("file_name\na.wav\ngone.wav\n")
    assert [clip.name for clip in listing(tmp_path)] == ["a.wav", "gone.wav"]


@pytest.mark.parametrize("name", ["../secret.wav", "sub/../../secret.wav", "/etc/passwd", "", "  "])
def test_metadata_can_not_reach_out_of_its_folder(tmp_path: Path, name: str) -> None:
    folder = make(tmp_path / "folder", "a.wav")
    make(tmp_path, "secret.wav")
    (folder / "metadata.csv").write_text(f"file_name,label\na.wav,x\n{name},y\n")
    with pytest.raises(Refusal, match=r"metadata.csv, line 3: .* is no file below the folder"):
        listing(folder)


def test_links_to_files_elsewhere_are_clips(tmp_path: Path) -> None:
    """As in a snapshot of a Hub data set, whose files are links to blobs."""
    make(tmp_path, "blobs/0123")
    folder = make(tmp_path / "snapshot")
    folder.mkdir()
    (folder / "a.wav").symlink_to("../blobs/0123")
    assert [clip.name for clip in listing(folder)] == ["a.wav"]
    (folder / "metadata.csv").write_text("file_name,label\na.wav,anger\n")
    assert listing(folder) == [Listed("a.wav", folder / "a.wav", "anger")]
    (tmp_path / "link").symlink_to(folder)
    assert [clip.name for clip in listing(tmp_path / "link")] == ["a.wav"]


@pytest.mark.parametrize(
    "text", ["name,label\na.wav,x\n", "file_name;label\na.wav;x\n", "a.wav,anger,1\nb.wav,x,2,3\n"]
)
def test_metadata_without_file_names_is_refused_with_the_columns_it_has(tmp_path: Path, text: str) -> None:
    make(tmp_path, "a.wav")
    (tmp_path / "metadata.csv").write_text(text)
    with pytest.raises(Refusal) as caught:
        listing(tmp_path)
    header = text.splitlines()[0]
    assert f"metadata.csv has no column file_name: its first line names the columns, {header} now" in str(caught.value)


def test_metadata_that_is_no_text_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "a.wav")
    (tmp_path / "metadata.csv").write_bytes(b"file_name\n\xff\xfe.wav\n")
    with pytest.raises(Refusal, match=r"metadata.csv can't be read as CSV in UTF-8"):
        listing(tmp_path)


@pytest.mark.parametrize("text", ["", "file_name,label\n"])
def test_empty_metadata_holds_no_audio(tmp_path: Path, text: str) -> None:
    make(tmp_path, "a.wav")
    (tmp_path / "metadata.csv").write_text(text)
    with pytest.raises(Refusal, match="holds no audio"):
        listing(tmp_path)


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "notes.txt", "empty/readme.md")
    for source, sentence in (
        (f"folder:{tmp_path}/gone", "There is no folder"),
        (f"folder:{tmp_path}/notes.txt", "There is no folder"),
        (f"folder:{tmp_path}/empty", r"holds no audio \(.flac, .mp3, .ogg, .opus, .wav\)"),
        (str(tmp_path), f"is a directory: write folder:{tmp_path}"),
        (f"{tmp_path}/gone.wav", "There is no audio file"),
        ("ftp://x/y", "'ftp://x/y' is no clip source: use demo, iemocap:/path, folder:/path, dataset:…, or audio"),
        ("Demo", "There is no audio file Demo: check the path, or use demo"),
        ([], "No clips were given"),
        (["demo", str(tmp_path / "notes.txt")], "There is no audio file demo"),
    ):
        with pytest.raises(Refusal, match=sentence):
            list_source(source)


def test_files_keep_the_order_they_were_given_in(tmp_path: Path) -> None:
    make(tmp_path, "b.wav", "a.flac", "odd: name.wav")
    words = [str(tmp_path / name) for name in ("b.wav", "a.flac", "odd: name.wav")]
    assert [clip.name for clip in list_source(words).clips] == ["b.wav", "a.flac", "odd: name.wav"]
    assert list_source(words[2]).clips == (Listed("odd: name.wav", tmp_path / "odd: name.wav"),)


def test_the_home_directory_may_be_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    make(tmp_path, "clips/a.wav")
    assert list_source("folder:~/clips").clips[0].path == tmp_path / "clips/a.wav"
    assert list_source("~/clips/a.wav").clips[0].path == tmp_path / "clips/a.wav"


def test_names_that_are_no_text_can_be_shown_and_found(tmp_path: Path) -> None:
    """File names are bytes; here Latin-1 ones."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/clips"))
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.wav"))
    save_sound(odd, 0.2, 1)
    for source in (f"folder:{folder}", str(odd)):
        clips = list_source(source).clips
        assert clips == (Listed("caf\ufffd.wav", odd),)
        clips[0].name.encode()


def test_the_demo_is_there_labelled_and_has_several_speakers() -> None:
    clips = list_source("demo").clips
    assert len(clips) >= 8
    assert all(clip.path.is_relative_to(paths.DEMO_CLIPS) and clip.path.is_file() for clip in clips)
    assert {clip.label for clip in clips} == {"anger", "happiness", "neutral", "sadness"}
    assert len({clip.speaker for clip in clips}) >= 2
    assert [clip.name for clip in clips] == sorted(clip.name for clip in clips)


def test_a_source_can_be_named_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests keep the source; `demo` stays a name, even beside a folder that is called so."""
    make(tmp_path, "clips/a.wav", "demo/b.wav")
    monkeypatch.chdir(tmp_path)
    words = ["folder:clips", "iemocap:clips", "clips/a.wav", "demo", "dataset:some/id"]
    there = tmp_path / "clips"
    assert from_anywhere(words) == [f"folder:{there}", f"iemocap:{there}", f"{there}/a.wav", "demo", "dataset:some/id"]
