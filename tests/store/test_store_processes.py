"""Several processes on one cache, and writers that are killed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core import paths
from core.store.key import Key, Kind, Precision
from core.store.store import Store

RECORDS = 50
WRITER = """
import sys
from pathlib import Path
import numpy as np
from core.store.key import Key, Kind, Precision
from core.store.store import Store

me, directory, limit = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
print("ready", flush=True)
sys.stdin.read(1)
store = Store(directory, limit)
for i in range(50):
    for of in (f"own {me} {i}", f"shared {i}"):
        store.write(Key(Kind.FORWARD, "model", of, Precision()), {"x": np.full(100, i, dtype=np.float32)})
    store.read(Key(Kind.FORWARD, "model", f"shared {(i * 7) % 50}", Precision()))
    if i % 20 == me:
        store.verify()
"""
KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from core.store.key import Key, Kind, Precision
from core.store.store import Store

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

store = Store(Path(sys.argv[1]), 1.0)
if sys.argv[2] == "while writing":
    os.fsync = die
elif sys.argv[2] == "before renaming":
    Path.replace = die
else:
    store.index.put = die
store.write(Key(Kind.FORWARD, "model", "killed", Precision()), {"x": np.ones(1000)})
"""


def key(of: str) -> Key:
    return Key(Kind.FORWARD, "model", of, Precision())


def run_writers(directory: Path, limit_gb: float) -> None:
    """Four at once: they wait for each other until all are up."""
    words = [sys.executable, "-c", WRITER]
    writers = [
        subprocess.Popen(
            [*words, str(i), str(directory), str(limit_gb)],
            cwd=paths.ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(4)
    ]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("g")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, "")


def test_four_processes_write_the_same_and_other_records_at_once(tmp_path: Path) -> None:
    run_writers(tmp_path / "cache", 1.0)
    store = Store(tmp_path / "cache", 1.0)
    assert store.stats().records == 5 * RECORDS
    for i in range(RECORDS):
        for of in (f"shared {i}", *(f"own {me} {i}" for me in range(4))):
            found = store.read(key(of))
            assert found is not None and found["x"].tolist() == [i] * 100, of
    assert store.verify() == (5 * RECORDS, [])
    assert not list(store.directory.rglob("*.tmp"))
    assert not list(store.directory.glob("*.damaged"))


def test_four_processes_keep_the_limit_between_them(tmp_path: Path) -> None:
    limit = 30e-6  # GB; all records together would be six times that
    run_writers(tmp_path / "cache", limit)
    store = Store(tmp_path / "cache", limit)
    good, bad = store.verify()
    assert good > 10 and not bad
    on_disk = sum(path.stat().st_size for path in store.directory.rglob("*.safetensors"))
    assert on_disk == store.stats().bytes <= limit * 1e9


@pytest.mark.parametrize("moment", ["while writing", "before renaming", "after renaming"])
def test_a_writer_killed_in_the_middle_leaves_a_whole_record_or_none(tmp_path: Path, moment: str) -> None:
    directory = tmp_path / "cache"
    store = Store(directory, 1.0)
    store.write(key("before"), {"x": np.zeros(3)})
    done = subprocess.run([sys.executable, "-c", KILLED, str(directory), moment], cwd=paths.ROOT, check=False)
    assert done.returncode == -9
    leftovers = list(directory.rglob("*.tmp"))
    if moment == "after renaming":
        assert store.read(key("killed"))["x"].tolist() == [1] * 1000
        assert not leftovers
    else:
        assert not store.has(key("killed")) and store.read(key("killed")) is None
        assert len(leftovers) == 1
    store.write(key("killed"), {"x": np.full(2, 5.0)})
    assert store.read(key("killed"))["x"].tolist() == [5, 5]
    assert store.read(key("before")) is not None
    for leftover in leftovers:
        os.utime(leftover, (0, 0))
    assert store.verify() == (2, [])
    assert not list(directory.rglob("*.tmp"))
