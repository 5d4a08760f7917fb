"""What is kept of a set under way: held by one process, taken over after a kill, bounded, never believed blindly."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.store.key import Key, Kind, Precision
from core.store.partial import SPILL_SPAN, DamagedSpill, Partial, RowShape
from core.store.store import Store

SHAPE = RowShape(frames=7, width=5)
UNBOUNDED = 1 << 40


def _key(of: str = "set") -> Key:
    return Key(Kind.SET, "model", of, Precision())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache", 1.0)


def _write(partial: Partial, rows: list[np.ndarray]) -> None:
    for row, values in enumerate(rows):
        scales = (np.abs(values).max(axis=1) / SPILL_SPAN).astype(np.float32)
        partial.write_row("0.v_proj", row, scales, np.rint(values / scales[:, None]).astype(np.int16))


def _rows(n: int) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.normal(size=(SHAPE.frames, SHAPE.width)) * 10.0**-row for row in range(n)]


def _directories(store: Store) -> list[str]:
    return sorted(path.name for path in (store.directory / "partial").iterdir())


@pytest.mark.parametrize("chunk", [1, 1000, 1 << 20])
def test_kernels_are_inner_products_of_the_rows_asked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """Frames in pieces or all at once; rows of very different size keep their own precision."""
    monkeypatch.setattr("core.store.partial._CHUNK_BYTES", chunk)
    partial, rows = Partial(store, _key(), UNBOUNDED), _rows(4)
    _write(partial, rows)
    flat = np.stack([rows[i].ravel() for i in (0, 2, 3)])
    np.testing.assert_allclose(partial.kernel("0.v_proj", [0, 2, 3], SHAPE), flat @ flat.T, rtol=2e-3)
    diagonal = np.diag(partial.kernel("0.v_proj", [0, 2, 3], SHAPE))
    np.testing.assert_allclose(diagonal, (flat**2).sum(axis=1), rtol=5e-5)
    np.testing.assert_allclose(partial.row("0.v_proj", 2, SHAPE), rows[2], atol=1e-4 * np.abs(rows[2]).max())


def test_a_missing_row_is_noticed(store: Store) -> None:
    partial = Partial(store, _key(), UNBOUNDED)
    _write(partial, _rows(2))
    with pytest.raises(DamagedSpill):
        partial.kernel("0.v_proj", [0, 2], SHAPE)


def test_a_state_comes_back_to_the_next_holder(store: Store) -> None:
    first = Partial(store, _key(), UNBOUNDED)
    assert first.load() is None
    first.save({"done": np.array([True, False])})
    first.save({"done": np.array([True, True])})
    first.close()
    second = Partial(store, _key(), UNBOUNDED)
    state = second.load()
    assert state is not None and state["done"].all()
    second.forget()
    assert second.load() is None
    second.remove()
    assert _directories(store) == []


def test_a_damaged_state_is_not_believed(store: Store) -> None:
    partial = Partial(store, _key(), UNBOUNDED)
    partial.save({"done": np.ones(64, dtype=bool)})
    file = store.directory / "partial" / _key().digest / "state.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert partial.load() is None


def test_a_second_holder_works_apart(store: Store) -> None:
    first = Partial(store, _key(), UNBOUNDED)
    first.save({"done": np.array([True])})
    second = Partial(store, _key(), UNBOUNDED)
    assert second.load() is None
    second.save({"done": np.array([False])})
    state = first.load()
    assert state is not None and state["done"].all()
    second.remove()
    assert _directories(store) == [_key().digest]


def test_a_killed_holder_is_followed(store: Store) -> None:
    program = (
        "import sys, time\nimport numpy as np\nfrom pathlib import Path\n"
        "from core.store.key import Key, Kind, Precision\nfrom core.store.partial import Partial\n"
        "from core.store.store import Store\n"
        "partial = Partial(Store(Path(sys.argv[1]), 1.0), Key(Kind.SET, 'model', 'set', Precision()), 1 << 40)\n"
        "partial.save({'done': np.array([True])})\nprint('held', flush=True)\ntime.sleep(600)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(store.directory)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    apart = Partial(store, _key(), UNBOUNDED)
    assert apart.load() is None
    apart.remove()
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    state = Partial(store, _key(), UNBOUNDED).load()
    assert state is not None and state["done"].all()


def test_abandoned_sets_make_room_the_oldest_first_and_held_ones_stay(store: Store) -> None:
    digests = []
    for age, of in enumerate(("old", "newer", "held")):
        partial = Partial(store, _key(of), UNBOUNDED)
        _write(partial, _rows(3))
        digests.append(_key(of).digest)
        os.utime(store.directory / "partial" / digests[-1], (age, age))
        if of != "held":
            partial.close()
    size = 3 * SHAPE.bytes
    Partial(store, _key("now"), 2 * size).close()
    assert _directories(store) == sorted([*digests[1:], _key("now").digest])
    Partial(store, _key("now"), 0).close()
    assert _directories(store) == sorted([digests[2], _key("now").digest])
