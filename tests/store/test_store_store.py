"""The store: damage is noticed, dropped and recomputable; the limit holds; the index is never the truth."""

import os
import pickle
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

from core.errors import Refusal
from core.store.index import Index
from core.store.key import Key, Kind, Precision
from core.store.store import Store

KB = 1e-6  # GB
ARRAYS = {"x": np.arange(250, dtype=np.float32)}  # a record of about 1.3 kB


def key(of: object, kind: Kind = Kind.FORWARD) -> Key:
    return Key(kind, "model", str(of), Precision())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache", 1.0)


def digests(store: Store) -> set[str]:
    return {row.digest for row in store.index.rows()}


def files(store: Store) -> list[Path]:
    return [path for path in store.directory.rglob("*") if path.is_file() and path.name != "index.sqlite"]


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def set_used(store: Store, of: Key, used: float) -> None:
    store.index.run(lambda db: db.execute("UPDATE records SET used = ? WHERE digest = ?", (used, of.digest)))


def test_what_is_written_is_there_and_nothing_else(store: Store) -> None:
    assert not store.has(key(1))
    assert store.read(key(1)) is None
    store.write(key(1), ARRAYS)
    assert store.has(key(1)) and not store.has(key(2))
    np.testing.assert_array_equal(store.read(key(1))["x"], ARRAYS["x"])
    assert files(store) == [store.path(key(1))]
    assert store.stats().records == 1
    assert store.stats().bytes == store.path(key(1)).stat().st_size
    assert store.stats().by_kind == {"forward": (1, store.stats().bytes)}


def test_another_process_finds_it(store: Store) -> None:
    store.write(key(1), ARRAYS)
    assert Store(store.directory, 1.0).read(key(1))["x"].tolist() == ARRAYS["x"].tolist()


def test_writing_again_replaces(store: Store) -> None:
    store.write(key(1), ARRAYS)
    store.write(key(1), {"x": np.zeros(2)})
    assert store.read(key(1))["x"].tolist() == [0, 0]
    assert store.stats().records == 1
    assert store.stats().bytes == store.path(key(1)).stat().st_size


@pytest.mark.parametrize("position", [0, 3, 20, -500, -1])
def test_a_damaged_record_is_dropped_and_can_be_written_again(store: Store, position: int) -> None:
    store.write(key(1), ARRAYS)
    flip(store.path(key(1)), position)
    assert store.read(key(1)) is None
    assert not store.has(key(1)) and not digests(store)
    store.write(key(1), ARRAYS)
    assert store.read(key(1)) is not None


@pytest.mark.parametrize("keep", [0, 4, 100, 600])
def test_a_truncated_record_is_dropped(store: Store, keep: int) -> None:
    store.write(key(1), ARRAYS)
    os.truncate(store.path(key(1)), keep)
    assert store.read(key(1)) is None
    assert not store.has(key(1))


def misplace(store: Store) -> None:
    """A whole record under the name of another key."""
    store.write(key("right"), ARRAYS)
    store.path(key("wrong")).parent.mkdir(exist_ok=True)
    store.path(key("wrong")).write_bytes(store.path(key("right")).read_bytes())


def test_a_record_under_the_wrong_name_is_not_believed(store: Store) -> None:
    misplace(store)
    assert store.read(key("wrong")) is None
    assert not store.has(key("wrong"))
    assert store.read(key("right")) is not None


def test_a_pickle_is_never_opened(store: Store) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (store.directory / "exploded",)

    store.path(key(1)).parent.mkdir()
    store.path(key(1)).write_bytes(pickle.dumps(Bomb()))
    assert store.read(key(1)) is None
    assert not (store.directory / "exploded").exists()


def test_verify_counts_the_good_and_drops_the_damaged(store: Store) -> None:
    for i in range(6):
        store.write(key(i), ARRAYS)
    flip(store.path(key(1)), -1)
    key_byte = store.path(key(2)).read_bytes().index(b"model")
    flip(store.path(key(2)), key_byte)  # only the key it says it has, not what it holds
    os.truncate(store.path(key(3)), 50)
    misplace(store)
    good, bad = store.verify()
    assert good == 4
    assert set(bad) == {store.path(key(1)), store.path(key(2)), store.path(key(3)), store.path(key("wrong"))}
    assert digests(store) == {key(0).digest, key(4).digest, key(5).digest, key("right").digest}
    assert not any(path.exists() for path in bad)
    assert store.verify() == (4, [])


def test_the_index_comes_back_after_it_was_deleted(store: Store) -> None:
    for i in range(3):
        store.write(key(i), ARRAYS)
    before = store.stats()
    (store.directory / "index.sqlite").unlink()
    again = Store(store.directory, 1.0)
    assert again.stats() == before
    assert again.read(key(2)) is not None


@pytest.mark.parametrize(
    "content", [b"", b"this is no database, it only lies where one was. " * 100, b"SQLite format 3\0"]
)
def test_the_index_comes_back_after_it_was_damaged(store: Store, content: bytes) -> None:
    for i in range(3):
        store.write(key(i), ARRAYS)
    before = store.stats()
    (store.directory / "index.sqlite").write_bytes(content)
    assert Store(store.directory, 1.0).stats() == before


def test_an_index_damaged_inside_comes_back(store: Store) -> None:
    for i in range(100):
        store.index.remember(store.directory / "index.sqlite", f"fact {i}", "x" * 200)
    store.write(key(1), ARRAYS)
    path = store.directory / "index.sqlite"
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    assert Store(store.directory, 1.0).read(key(1)) is not None
    assert Store(store.directory, 1.0).stats().records == 1


def test_records_from_before_are_counted_again_after_the_index_went_while_in_use(store: Store) -> None:
    """Else the limit would no longer hold for them."""
    store.write(key(1), ARRAYS)
    (store.directory / "index.sqlite").unlink()
    store.write(key(2), ARRAYS)
    assert Store(store.directory, 1.0).stats().records == 2


def test_a_rebuilt_index_forgets_records_whose_files_are_gone(store: Store) -> None:
    store.write(key(1), ARRAYS)
    store.write(key(2), ARRAYS)
    store.path(key(1)).unlink()
    store.rebuild()
    assert digests(store) == {key(2).digest}


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\xff" * 64, b"\0" * 30, b"\x02" + b"\0" * 7 + b"[]"])
def test_files_that_are_no_records_do_not_keep_the_store_from_opening(store: Store, content: bytes) -> None:
    store.path(key(1)).parent.mkdir()
    store.path(key(1)).write_bytes(content)
    (store.directory / "index.sqlite").unlink()
    again = Store(store.directory, 1.0)
    assert again.read(key(1)) is None
    again.write(key(1), ARRAYS)
    assert again.read(key(1)) is not None


def test_leftovers_of_killed_writers_go_but_not_those_of_writers_at_work(store: Store) -> None:
    store.write(key(1), ARRAYS)
    folder = store.path(key(1)).parent
    old, young = folder / ".old.tmp", folder / ".young.tmp"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    a_day_ago = time.time() - 86_400
    os.utime(old, (a_day_ago, a_day_ago))
    store.verify()
    assert not old.exists() and young.exists()


def test_the_limit_holds_and_the_least_recently_used_go_first(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", 20 * KB)
    size = 0
    for i in range(40):
        store.write(key(i), ARRAYS)
        set_used(store, key(i), float(i))
        size = store.path(key(i)).stat().st_size
        assert store.stats().bytes <= 20_000
        assert store.has(key(i)), "the newest record"
    left = [i for i in range(40) if store.has(key(i))]
    assert left == list(range(40 - len(left), 40))
    assert len(left) >= 20_000 * 0.9 // size - 1
    assert {key(i).digest for i in left} == digests(store)


def test_reading_counts_as_use(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", 1.0)
    for i in range(10):
        store.write(key(i), ARRAYS)
        set_used(store, key(i), float(i))
    store.read(key(0))
    store.prune(2 * KB * 1.4)
    assert {i for i in range(10) if store.has(key(i))} == {0, 9}


def test_interventions_go_before_anything_else(store: Store) -> None:
    for i in range(4):
        store.write(key(i), ARRAYS)
        set_used(store, key(i), float(i))
    size = store.path(key(0)).stat().st_size
    live = key("live")
    store.write(live, ARRAYS)
    row = (live.digest,)
    store.index.run(lambda db: db.execute("UPDATE records SET kind = 'intervention' WHERE digest = ?", row))
    assert store.prune((4 * size) / 1e9) == size
    assert not store.has(live)
    assert all(store.has(key(i)) for i in range(4))


def test_a_record_larger_than_the_limit_is_kept_while_it_is_the_newest(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", 0.5 * KB)
    for i in range(3):
        store.write(key(i), ARRAYS)
        assert [store.has(key(j)) for j in range(3)] == [j == i for j in range(3)]


def test_pruning_to_nothing_empties_the_cache(store: Store) -> None:
    for i in range(3):
        store.write(key(i), ARRAYS)
    total = store.stats().bytes
    assert store.prune(0.0) == total
    assert not files(store) and store.stats().records == 0


def test_pruning_a_cache_within_its_limit_drops_nothing(store: Store) -> None:
    store.write(key(1), ARRAYS)
    assert store.prune() == 0
    assert store.has(key(1))


def test_a_cache_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refusal, match=r"cache directory .*file/cache can't be written .*LORASCOPE_CACHE_DIR"):
        Store(tmp_path / "file" / "cache", 1.0)


def test_a_cache_whose_index_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    """As on a disk that may be read but not written: SQLite says so in its own way."""
    (tmp_path / "cache" / "index.sqlite").mkdir(parents=True)
    with pytest.raises(Refusal, match=r"can't be written .*LORASCOPE_CACHE_DIR"):
        Store(tmp_path / "cache", 1.0)


def test_what_is_remembered_of_a_file_holds_until_it_changes(tmp_path: Path) -> None:
    index, file = Index(tmp_path / "index.sqlite"), tmp_path / "file"
    file.write_bytes(b"one")
    assert index.recall(file, "sha256") is None
    index.remember(file, "sha256", "abc")
    assert index.recall(file, "sha256") == "abc"
    assert index.recall(file, "clip") is None
    assert Index(tmp_path / "index.sqlite").recall(tmp_path / "." / "file", "sha256") == "abc"

    time_of_change = file.stat().st_mtime_ns
    file.write_bytes(b"longer")
    os.utime(file, ns=(time_of_change, time_of_change))
    assert index.recall(file, "sha256") is None, "another size"
    file.write_bytes(b"two")
    os.utime(file, ns=(time_of_change + 1, time_of_change + 1))
    assert index.recall(file, "sha256") is None, "another time"
    index.remember(file, "sha256", "def")
    assert index.recall(file, "sha256") == "def"


def test_a_file_name_that_is_not_text_can_be_remembered(tmp_path: Path) -> None:
    index = Index(tmp_path / "index.sqlite")
    one, other = (Path(os.fsdecode(os.fsencode(tmp_path) + name)) for name in (b"/caf\xe9", b"/caf\xe8"))
    for file in (one, other):
        file.write_bytes(b"x")
        index.remember(file, "clip", repr(file))
    assert index.recall(one, "clip") == repr(one)
    assert index.recall(other, "clip") == repr(other)


def test_a_missing_file_is_nothing_to_remember(tmp_path: Path) -> None:
    index = Index(tmp_path / "index.sqlite")
    with pytest.raises(FileNotFoundError):
        index.recall(tmp_path / "gone", "clip")


def test_the_index_uses_no_write_ahead_log(store: Store) -> None:
    """It does not work on network disks."""
    store.write(key(1), ARRAYS)
    db = sqlite3.connect(store.directory / "index.sqlite")
    assert db.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    db.close()
    assert not list(store.directory.glob("*-wal"))
