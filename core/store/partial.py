"""A set's record while it is being made: sums so far, and the gradients its kernels need, on disk beside the cache."""

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int16

from core.store import records
from core.store.key import Key
from core.store.store import Store

_STATE, _LOCK = "state.safetensors", "lock"
_CHUNK_BYTES = 32 << 20  # of float64 gradients in memory while a kernel is made
SPILL_SPAN = 32767.0  # largest magnitude of an entry
_SCALE = np.dtype("<f4")
_ENTRY = np.dtype("<i2")


class DamagedSpill(Exception):
    """Gradients on disk are not what was written, as after a power cut."""


@dataclass(frozen=True)
class RowShape:
    """Of one clip's gradient at one module: frames x width, kept as 16-bit integers times a float32 for each frame:
    five times as exact as float16, and as small."""

    frames: int
    width: int

    @property
    def bytes(self) -> int:
        return self.frames * (_SCALE.itemsize + self.width * _ENTRY.itemsize)


class Partial:
    """A directory of one set, held by one process at a time; what a killed one leaves is taken over by the next.

    A second process at the same set gets a directory of its own, which nobody takes over.
    """

    def __init__(self, store: Store, key: Key, limit_bytes: int) -> None:
        """`limit_bytes` bounds what other sets may keep there; those that nobody holds go, the oldest first."""
        root = store.directory / "partial"
        root.mkdir(exist_ok=True)
        self._key = key
        lock = _hold(root / key.digest)
        self._directory = root / (key.digest if lock is not None else f"{key.digest}-{uuid.uuid4().hex}")
        self._lock = _hold(self._directory) if lock is None else lock
        self._files: dict[str, int] = {}
        _sweep(root, limit_bytes, keep=self._directory)

    def load(self) -> dict[str, np.ndarray] | None:
        """The state that was last saved, or None."""
        try:
            return records.decode((self._directory / _STATE).read_bytes(), self._key.digest)
        except (FileNotFoundError, records.DamagedRecord):
            return None

    def save(self, state: Mapping[str, np.ndarray]) -> None:
        """Keep a state; it replaces the one before as a whole."""
        temporary = self._directory / f".{_STATE}"
        temporary.write_bytes(records.encode(self._key, state))
        temporary.replace(self._directory / _STATE)

    def forget(self) -> None:
        """Drop the state."""
        (self._directory / _STATE).unlink(missing_ok=True)

    def write_row(
        self,
        module: str,
        row: int,
        scales: Float32[np.ndarray, " frames"],
        values: Int16[np.ndarray, "frames width"],
    ) -> None:
        """One clip's gradient at a module: `scales` x `values`."""
        size = RowShape(*values.shape).bytes
        data = memoryview(scales.astype(_SCALE).tobytes() + values.astype(_ENTRY).tobytes())
        position = row * size
        while data:
            written = os.pwrite(self._file(module), data, position)
            data, position = data[written:], position + written

    def kernel(self, module: str, rows: list[int], shape: RowShape) -> Float64[np.ndarray, "rows rows"]:
        """Inner products of these rows, flattened, in float64. Raises DamagedSpill where one is missing."""
        total = np.zeros((len(rows), len(rows)))
        scales = [self._read(module, row * shape.bytes, shape.frames, _SCALE) for row in rows]
        step = max(1, _CHUNK_BYTES // (8 * len(rows) * shape.width))
        for start in range(0, shape.frames, step):
            count = min(step, shape.frames - start)
            block = np.empty((len(rows), count * shape.width))
            for i, row in enumerate(rows):
                position = row * shape.bytes + shape.frames * _SCALE.itemsize + start * shape.width * _ENTRY.itemsize
                values = self._read(module, position, count * shape.width, _ENTRY).reshape(count, shape.width)
                np.multiply(values, scales[i][start : start + count, None], out=block[i].reshape(count, shape.width))
            total += block @ block.T
        return total

    def row(self, module: str, row: int, shape: RowShape) -> Float64[np.ndarray, "frames width"]:
        """One clip's gradient at a module."""
        scales = self._read(module, row * shape.bytes, shape.frames, _SCALE)
        start = row * shape.bytes + shape.frames * _SCALE.itemsize
        values = self._read(module, start, shape.frames * shape.width, _ENTRY).reshape(shape.frames, shape.width)
        return np.multiply(values, scales[:, None], dtype=np.float64)

    def close(self) -> None:
        """Let another process have it."""
        for file in [*self._files.values(), *([] if self._lock is None else [self._lock])]:
            os.close(file)
        self._files, self._lock = {}, None

    def remove(self) -> None:
        """The set is done, or given up: nothing of it is needed any more."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self.close()

    def _file(self, module: str) -> int:
        if module not in self._files:
            self._files[module] = os.open(self._directory / f"{module}.spill", os.O_RDWR | os.O_CREAT, 0o644)
        return self._files[module]

    def _read(self, module: str, position: int, count: int, dtype: np.dtype) -> np.ndarray:
        data = os.pread(self._file(module), count * dtype.itemsize, position)
        if len(data) < count * dtype.itemsize:
            raise DamagedSpill(f"{module} ends early")
        return np.frombuffer(data, dtype=dtype)


def _hold(directory: Path) -> int | None:
    """The lock on a directory, made where there is none; None where another process holds it."""
    while True:
        directory.mkdir(exist_ok=True)
        try:
            lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # swept by another process just now
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        with contextlib.suppress(FileNotFoundError):
            if (directory / _LOCK).stat().st_ino == os.fstat(lock).st_ino:
                return lock
        os.close(lock)  # of a directory that was swept meanwhile


def _sweep(root: Path, limit_bytes: int, keep: Path) -> None:
    """Remove what nobody holds: private directories, and the oldest of the others beyond the limit."""
    found = {}
    for path in root.iterdir():
        with contextlib.suppress(FileNotFoundError):  # its holder is done with it just now
            if path != keep:
                found[path] = path.stat().st_mtime, sum(file.stat().st_size for file in path.iterdir())
    total = sum(size for _, size in found.values())
    for path in sorted(found, key=lambda path: found[path]):
        if total <= limit_bytes and "-" not in path.name:
            continue
        lock = _hold(path)
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)
            total -= found[path][1]
