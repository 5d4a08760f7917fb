"""Uploads: in memory up to a number, on disk exactly and only where it is asked for."""

import threading
from pathlib import Path

import numpy as np
import pytest

from core.audio.waveform import SAMPLE_RATE, Waveform
from core.corpora.uploads import Uploads
from core.errors import Refusal


def sound(seed: int, n: int = 4000) -> Waveform:
    samples = np.random.default_rng(seed).standard_normal(n).astype(np.float32)
    return Waveform(samples, 44_100, 2)


def test_an_upload_is_a_clip_in_memory_only(tmp_path: Path) -> None:
    uploads = Uploads(4, tmp_path / "uploads")
    clip = uploads.add(sound(1), "my voice.ogg")
    assert (clip.clip_id, clip.name, clip.n_samples, clip.path) == (sound(1).clip_id, "my voice.ogg", 4000, None)
    np.testing.assert_array_equal(uploads.samples(clip.clip_id), sound(1).samples)
    assert uploads.clips() == [clip]
    assert not uploads.is_kept(clip.clip_id)
    assert not (tmp_path / "uploads").exists()
    assert Uploads(4, tmp_path / "uploads").clips() == []


def test_the_oldest_leave_memory_and_the_newest_come_first(tmp_path: Path) -> None:
    uploads = Uploads(3, tmp_path / "uploads")
    clips = [uploads.add(sound(i), f"{i}.wav") for i in range(5)]
    assert uploads.clips() == [clips[4], clips[3], clips[2]]
    assert uploads.samples(clips[0].clip_id) is None
    assert uploads.samples(clips[2].clip_id) is not None


def test_the_same_sound_twice_is_one_clip_under_its_first_name_and_new_again(tmp_path: Path) -> None:
    uploads = Uploads(2, tmp_path / "uploads")
    first = uploads.add(sound(1), "first")
    uploads.add(sound(2), "other")
    assert uploads.add(sound(1), "second").name == "first"
    assert [clip.name for clip in uploads.clips()] == ["first", "other"]
    uploads.add(sound(3), "third")
    assert uploads.samples(first.clip_id) is not None


@pytest.mark.parametrize("scale", [1.0, 1e-30, 30.0])
def test_what_is_kept_is_read_back_exactly_also_after_a_restart(tmp_path: Path, scale: float) -> None:
    """Beyond full scale, far below it, negative zero: the clip's id must not change."""
    samples = (np.random.default_rng(0).standard_normal(1001) * scale).astype(np.float32)
    samples[:3] = -0.0, np.finfo(np.float32).tiny, np.float32(0.1)
    waveform = Waveform(samples, SAMPLE_RATE, 1)
    uploads = Uploads(1, tmp_path / "uploads")
    clip = uploads.add(waveform, "voice")
    uploads.keep(clip.clip_id)
    uploads.add(sound(1), "pushes it out of memory")
    for later in (uploads, Uploads(1, tmp_path / "uploads")):
        back = later.samples(clip.clip_id)
        assert back is not None
        assert Waveform(back, SAMPLE_RATE, 1).clip_id == clip.clip_id
        assert clip in later.clips()
        assert later.is_kept(clip.clip_id)


def test_keeping_twice_keeps_once(tmp_path: Path) -> None:
    uploads = Uploads(2, tmp_path / "uploads")
    clip = uploads.add(sound(1), "voice")
    for _ in range(3):
        uploads.keep(clip.clip_id)
    Uploads(2, tmp_path / "uploads").keep(clip.clip_id)
    assert Uploads(2, tmp_path / "uploads").clips() == [clip]
    assert {path.name for path in (tmp_path / "uploads").iterdir()} == {f"{clip.clip_id}.wav", "metadata.csv"}


def test_odd_names_come_back(tmp_path: Path) -> None:
    uploads = Uploads(8, tmp_path / "uploads")
    names = ['a, "b"', "line\nbreak", "größe 😀", "../../etc/passwd", ""]
    for i, name in enumerate(names):
        uploads.keep(uploads.add(sound(i), name).clip_id)
    assert [clip.name for clip in Uploads(8, tmp_path / "uploads").clips()] == names[::-1]
    assert {path.parent for path in tmp_path.rglob("*.wav")} == {tmp_path / "uploads"}


def test_kept_clips_whose_file_was_deleted_are_gone(tmp_path: Path) -> None:
    uploads = Uploads(2, tmp_path / "uploads")
    clip = uploads.add(sound(1), "voice")
    uploads.keep(clip.clip_id)
    (tmp_path / "uploads" / f"{clip.clip_id}.wav").unlink()
    assert Uploads(2, tmp_path / "uploads").clips() == []
    assert Uploads(2, tmp_path / "uploads").samples(clip.clip_id) is None


def test_keeping_what_left_memory_is_refused(tmp_path: Path) -> None:
    uploads = Uploads(1, tmp_path / "uploads")
    clip = uploads.add(sound(1), "voice")
    uploads.add(sound(2), "another")
    with pytest.raises(Refusal, match="upload it again"):
        uploads.keep(clip.clip_id)


def test_many_threads_at_once(tmp_path: Path) -> None:
    uploads = Uploads(5, tmp_path / "uploads")

    def bring(seed: int) -> None:
        for i in range(20):
            clip = uploads.add(sound(seed * 20 + i, 500), str(i))
            uploads.clips()
            uploads.samples(clip.clip_id)

    threads = [threading.Thread(target=bring, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(uploads.clips()) == 5
