"""Arrays made in blocks on disk: whole, read again, and gone on with after a kill."""

import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from core.errors import Refusal
from core.training.rows import read_or_make_rows, remove_unread

COUNT = 150  # more than two blocks


def block(first: int, last: int) -> np.ndarray:
    return np.arange(first, last, dtype=np.float32)[:, None] * np.ones(3, dtype=np.float32)


WHOLE = block(0, COUNT)


def test_made_once_then_read(tmp_path: Path) -> None:
    path, calls = tmp_path / "deep" / "rows.npy", []

    def make(first: int, last: int) -> np.ndarray:
        calls.append((first, last))
        return block(first, last)

    for _ in range(2):
        np.testing.assert_array_equal(read_or_make_rows(path, WHOLE.shape, make), WHOLE)
    assert [first for first, _ in calls] == [0, *(last for _, last in calls[:-1])]
    assert calls[-1][1] == COUNT
    assert {file.name for file in path.parent.iterdir()} <= {"rows.npy", "rows.lock"}


def test_it_goes_on_after_a_kill(tmp_path: Path) -> None:
    path, seen = tmp_path / "rows.npy", []

    def killed(first: int, last: int) -> np.ndarray:
        if first > 0:
            raise KeyboardInterrupt
        return block(first, last)

    with pytest.raises(KeyboardInterrupt):
        read_or_make_rows(path, WHOLE.shape, killed)
    assert not path.exists()

    def make(first: int, last: int) -> np.ndarray:
        seen.append(first)
        return block(first, last)

    np.testing.assert_array_equal(read_or_make_rows(path, WHOLE.shape, make), WHOLE)
    assert seen[0] > 0


def test_what_nobody_reads_any_more_can_be_removed(tmp_path: Path) -> None:
    """Reading counts, not making; a folder that is not there is no error."""
    for name in ("old.npy", "read again.npy"):
        read_or_make_rows(tmp_path / name, WHOLE.shape, block)
    for file in tmp_path.iterdir():
        os.utime(file, (0, 0))
    read_or_make_rows(tmp_path / "read again.npy", WHOLE.shape, block)
    assert remove_unread(tmp_path) >= WHOLE.nbytes
    assert (tmp_path / "read again.npy").exists() and not (tmp_path / "old.npy").exists()
    assert remove_unread(tmp_path / "nowhere") == 0


def test_a_disk_that_is_too_small_is_said_before_it_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 0, 100))
    with pytest.raises(Refusal, match=r"0\.0 GB left, training needs"):
        read_or_make_rows(tmp_path / "rows.npy", WHOLE.shape, block)
