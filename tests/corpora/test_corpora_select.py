"""Which clips of a source: slices, balanced samples, ids that are remembered."""

import csv
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio.decoder import Decoder
from core.audio.waveform import Waveform
from core.corpora.clip import Clip
from core.corpora.folds import make_folds
from core.corpora.samples import samples_reader
from core.corpora.select import Slice, choose, folds_of, identify, parse_where, write_where
from core.corpora.source import Listed, list_source
from core.corpora.uploads import Uploads
from core.errors import Refusal
from core.settings import read_settings
from core.store.index import Index
from tests.conftest import save_sound

CLIPS = [
    Listed(f"{label}{i}.wav", Path(f"{label}{i}.wav"), label, f"S{i % 3}", "one" if i < 5 else "two", f"d{i}")
    for label, count in (("Angry", 9), ("happiness", 7), ("neutral", 10), ("sad", 3))
    for i in range(count)
]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(read_settings())
    yield made
    made.close()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded so far."""
    files: list[str] = []
    decode_file = Decoder.decode_file

    def counted(self: Decoder, path: Path) -> Waveform:
        files.append(path.name)
        return decode_file(self, path)

    monkeypatch.setattr(Decoder, "decode_file", counted)
    return files


def names(clips: list[Listed]) -> list[str]:
    return [clip.name for clip in clips]


# Slices


def test_where_is_read() -> None:
    assert parse_where("") == {}
    assert parse_where(" emotion = anger , speaker=Ses01F,") == {"emotion": "anger", "speaker": "Ses01F"}
    assert parse_where("dialog=a=b") == {"dialog": "a=b"}


def test_a_name_with_a_comma_is_written_and_read() -> None:
    where = {"name": "well, then,.wav", "speaker": "S1"}
    assert parse_where(write_where(where)) == where
    assert parse_where(write_where({})) == {}


@pytest.mark.parametrize("text", ["anger", "label=anger", "emotion=", "=anger", "emotion:anger"])
def test_where_that_makes_no_sense_is_refused_with_the_fields(text: str) -> None:
    with pytest.raises(Refusal, match=r"in --where is not understood: write .*emotion=…, speaker=…"):
        parse_where(text)


def test_a_slice_keeps_what_fits_every_field_in_the_sources_order() -> None:
    kept = choose(CLIPS, Slice({"speaker": "S1", "session": "one"}))
    assert names(kept) == [clip.name for clip in CLIPS if clip.speaker == "S1" and clip.session == "one"]
    assert names(choose(CLIPS, Slice({"dialog": "d2", "emotion": "sad"}))) == ["sad2.wav"]
    assert choose(CLIPS, Slice({})) == CLIPS


def test_emotions_are_matched_by_meaning_everything_else_exactly() -> None:
    assert len(choose(CLIPS, Slice({"emotion": "anger"}))) == 9
    assert len(choose(CLIPS, Slice({"emotion": "ANG"}))) == 9
    assert len(choose(CLIPS, Slice({"emotion": "sadness"}))) == 3
    with pytest.raises(Refusal, match="No clip fits speaker=s1"):
        choose(CLIPS, Slice({"speaker": "s1"}))


@pytest.mark.parametrize("asked", ["1", "01", "Ses01", "ses1", "Session1", "session 1"])
def test_a_session_may_be_written_in_any_way_that_is_its_number(asked: str) -> None:
    sessions = ("Ses01", "Ses02", "Ses10", "Ses11", "S1", "one", None)
    clips = [Listed(f"{i}.wav", Path(f"{i}.wav"), session=session) for i, session in enumerate(sessions)]
    assert names(choose(clips, Slice({"session": asked}))) == ["0.wav"]


def test_a_slice_by_split() -> None:
    clips = [Listed(f"{split}.wav", Path(f"{split}.wav"), split=split) for split in ("train", "test", None)]
    assert names(choose(clips, Slice(parse_where("split=test")))) == ["test.wav"]


def test_an_empty_slice_is_refused_with_what_was_asked() -> None:
    with pytest.raises(Refusal, match="No clip fits emotion=fear, speaker=S1: `python -m core clips` lists"):
        choose(CLIPS, Slice({"emotion": "fear", "speaker": "S1"}))


def test_a_limit_takes_the_first() -> None:
    assert choose(CLIPS, Slice({}, limit=4)) == CLIPS[:4]
    assert choose(CLIPS, Slice({}, limit=1000)) == CLIPS


# Balanced samples


def counts(clips: list[Listed]) -> dict[str | None, int]:
    return dict(Counter(clip.label for clip in clips))


def test_a_balanced_sample_has_so_many_of_each_class_and_all_of_a_rarer_one() -> None:
    sample = choose(CLIPS, Slice({}, balanced=5))
    assert counts(sample) == {"Angry": 5, "happiness": 5, "neutral": 5, "sad": 3}
    assert len(set(names(sample))) == len(sample)
    assert sample == [clip for clip in CLIPS if clip in sample]


def test_a_balanced_sample_is_the_seeds() -> None:
    draws = [names(choose(CLIPS, Slice({}, balanced=4, seed=seed))) for seed in (0, 0, 1, 2)]
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws}) == 3


def test_a_balanced_sample_does_not_depend_on_the_order_of_the_listing() -> None:
    expected = set(names(choose(CLIPS, Slice({}, balanced=3, seed=5))))
    for seed in range(5):
        shuffled = CLIPS.copy()
        random.Random(seed).shuffle(shuffled)
        assert set(names(choose(shuffled, Slice({}, balanced=3, seed=5)))) == expected


def test_a_balanced_sample_of_a_folder_does_not_depend_on_its_metadatas_order(voices: Path, tmp_path: Path) -> None:
    rows = list(csv.reader((voices / "metadata.csv").open(newline="")))
    found = []
    for i, order in enumerate((rows[1:], rows[:0:-1])):
        folder = tmp_path / str(i)
        folder.mkdir()
        for row in order:
            (folder / row[0]).touch()
        with (folder / "metadata.csv").open("w", newline="") as file:
            csv.writer(file).writerows([rows[0], *order])
        found.append(names(choose(list_source(f"folder:{folder}").clips, Slice({}, balanced=1, seed=3))))
    assert found[0] == found[1] and len(found[0]) == 4


def test_two_spellings_are_one_class() -> None:
    both = [*CLIPS, Listed("zzz.wav", Path("zzz.wav"), "anger")]
    kinds = Counter(clip.label for clip in choose(both, Slice({}, balanced=2)))
    assert kinds["Angry"] + kinds["anger"] == 2


def test_a_balanced_sample_of_a_slice_is_within_it() -> None:
    sample = choose(CLIPS, Slice({"session": "two"}, balanced=2, limit=3))
    assert len(sample) == 3 and {clip.session for clip in sample} == {"two"}


def test_a_balanced_sample_needs_labels() -> None:
    with pytest.raises(Refusal, match="needs labels, and some of these clips have none: leave --balanced out"):
        choose([*CLIPS, Listed("x.wav", Path("x.wav"))], Slice({}, balanced=1))


# Ids


def test_a_clips_id_is_of_its_samples(voices: Path, tmp_path: Path, decoder: Decoder) -> None:
    listed = list_source(f"folder:{voices}").clips
    clips, unusable = identify(listed, decoder, Index(tmp_path / "index.sqlite"))
    assert not unusable
    for clip, source in zip(clips, listed, strict=True):
        samples, rate = soundfile.read(source.path, dtype="float32")
        assert rate == 16_000
        assert clip.clip_id == Waveform(samples, rate, 1).clip_id
        assert (clip.n_samples, clip.name, clip.path) == (samples.size, source.name, source.path)
        assert (clip.label, clip.speaker, clip.session) == (source.label, source.speaker, source.session)
    assert len({clip.clip_id for clip in clips}) == len(clips)


def test_ids_are_remembered_until_a_file_changes(tmp_path: Path, decoder: Decoder, decoded: list[str]) -> None:
    listed = [Listed(name, save_sound(tmp_path / name, 0.2, i)) for i, name in enumerate(("a.wav", "b.wav"))]
    index = Index(tmp_path / "index.sqlite")
    first, _ = identify(listed, decoder, index)
    again, _ = identify(listed, decoder, Index(tmp_path / "index.sqlite"))
    assert again == first
    assert decoded == ["a.wav", "b.wav"]

    save_sound(tmp_path / "b.wav", 0.2, 7)
    later = (tmp_path / "b.wav").stat().st_mtime_ns + 1_000_000
    os.utime(tmp_path / "b.wav", ns=(later, later))
    third, _ = identify(listed, decoder, index)
    assert decoded == ["a.wav", "b.wav", "b.wav"]
    assert third[0] == first[0] and third[1].clip_id != first[1].clip_id


def test_clips_that_can_not_be_read_are_casualties_with_reasons(tmp_path: Path, decoder: Decoder) -> None:
    save_sound(tmp_path / "good.wav", 0.3, 0)
    save_sound(tmp_path / "short.wav", 0.05, 1)
    (tmp_path / "noise.wav").write_bytes(b"this is no sound")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "nan.wav", np.full(8000, np.nan, np.float32), 16_000, subtype="FLOAT")
    bad = [f"{name}.wav" for name in ("gone", "short", "noise", "empty", "folder", "nan")]
    listed = [Listed(name, tmp_path / name) for name in (*bad, "good.wav")]
    seen: list[int] = []
    clips, unusable = identify(listed, decoder, Index(tmp_path / "index.sqlite"), seen.append)
    assert [clip.name for clip in clips] == ["good.wav"]
    assert [one.name for one in unusable] == bad
    assert all(one.name in one.reason and "\n" not in one.reason for one in unusable)
    assert seen == [1, 2, 3, 4, 5, 6, 7]


def test_a_name_that_is_no_text_is_remembered_too(tmp_path: Path, decoder: Decoder, decoded: list[str]) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    listed = list_source(str(save_sound(odd, 0.2, 1))).clips
    for _ in range(2):
        clips, unusable = identify(listed, decoder, Index(tmp_path / "index.sqlite"))
        assert len(clips) == 1 and not unusable
    assert len(decoded) == 1


# Samples


def test_samples_are_read_where_the_clip_lies(voices: Path, tmp_path: Path, decoder: Decoder) -> None:
    clips, _ = identify(list_source(f"folder:{voices}").clips[:1], decoder, Index(tmp_path / "index.sqlite"))
    read = samples_reader(decoder, Uploads(2, tmp_path / "uploads"))
    np.testing.assert_array_equal(read(clips[0]), soundfile.read(voices / "clip0.wav", dtype="float32")[0])


def test_a_file_that_changed_since_it_was_listed_is_refused(tmp_path: Path, decoder: Decoder) -> None:
    listed = [Listed("a.wav", save_sound(tmp_path / "a.wav", 0.2, 0))]
    clips, _ = identify(listed, decoder, Index(tmp_path / "index.sqlite"))
    read = samples_reader(decoder, Uploads(2, tmp_path / "uploads"))
    save_sound(tmp_path / "a.wav", 0.2, 1)
    with pytest.raises(Refusal, match=r"a.wav changed since it was listed: list the clips again"):
        read(clips[0])
    (tmp_path / "a.wav").unlink()
    with pytest.raises(Refusal, match=r"a\.wav does not exist"):
        read(clips[0])


def test_an_upload_whose_sound_is_gone_is_refused(tmp_path: Path, decoder: Decoder) -> None:
    read = samples_reader(decoder, Uploads(2, tmp_path / "uploads"))
    with pytest.raises(Refusal, match="The sound of voice was not kept: upload it again"):
        read(Clip("0" * 64, "voice", 100))


# Folds


def spoken(*speakers: str | None) -> list[Listed]:
    return [Listed(f"{i}.wav", Path(f"{i}.wav"), "anger", speaker) for i, speaker in enumerate(speakers)]


def test_a_fold_is_the_speaker_that_training_by_speakers_tests() -> None:
    """The same numbers as `train --folds speakers` gives, or a model's own test clips could not be asked for."""
    clips = spoken("S10", "S2", "S1", "S10", "S2")
    assert folds_of(clips) == {"S1": "fold1", "S2": "fold2", "S10": "fold3"}
    whole = [Clip("0" * 64, clip.name, 1, clip.path, clip.label, clip.speaker) for clip in clips]
    for fold in make_folds(whole, "speakers"):
        tested = [whole[k].name for k in fold.test]
        for asked in (fold.name, fold.name.removeprefix("fold"), f"0{fold.name.removeprefix('fold')}"):
            assert names(choose(clips, Slice({"fold": asked}))) == tested


def test_a_folds_number_does_not_depend_on_the_rest_of_the_slice() -> None:
    clips = [
        Listed(f"{i}.wav", Path(f"{i}.wav"), label, f"S{i % 3}") for i, label in enumerate(["anger", "sadness"] * 6)
    ]
    both = choose(clips, Slice({"emotion": "sadness", "fold": "3"}))
    assert {clip.speaker for clip in both} == {"S2"} and {clip.label for clip in both} == {"sadness"}


@pytest.mark.parametrize("speakers", [("S1", "S2"), ("S1", "S2", "S3", None), (None, None, None)])
def test_without_enough_known_speakers_there_are_no_folds(speakers: tuple[str | None, ...]) -> None:
    assert folds_of(spoken(*speakers)) == {}
    with pytest.raises(Refusal, match="No clip fits fold=1"):
        choose(spoken(*speakers), Slice({"fold": "1"}))


def test_a_file_that_goes_while_it_is_read_costs_only_itself(tmp_path: Path) -> None:
    """Between decoding and remembering it, as on a share where somebody tidies up."""
    for i in range(2):
        save_sound(tmp_path / f"{i}.wav", 0.2, i)

    class Going(Decoder):
        def decode_file(self, path: Path) -> Waveform:
            waveform = super().decode_file(path)
            path.unlink()
            return waveform

    going = Going(read_settings())
    listed = [Listed(f"{i}.wav", tmp_path / f"{i}.wav") for i in range(2)]
    clips, unusable = identify(listed, going, Index(tmp_path / "index.sqlite"))
    going.close()
    assert [clip.name for clip in clips] == ["0.wav", "1.wav"] and not unusable
