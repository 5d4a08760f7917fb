"""Arrays with one row a clip, made once in blocks on disk and then read by every epoch and fold.

So memory does not grow with the number of clips, and a run that is killed goes on at the next block.
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from core.errors import Refusal

FOLDER = "training"  # in the cache's directory
_BLOCK = 64  # clips
_UNREAD_S = 24 * 3600.0


def read_or_make_rows(
    path: Path,
    shape: tuple[int, ...],
    make: Callable[[int, int], NDArray[np.float32]],
    progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """The float32 array of `shape` at `path` (memory-mapped), whose rows `make(first, last)` gives where it is not
    there yet. Another process that wants it meanwhile waits. Raises Refusal where the disk is too small."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.exists():
            os.utime(path)  # so that what nobody reads any more can be told
        else:
            _make_rows(path, shape, make, progress)
    return np.load(path, mmap_mode="r")


def _make_rows(
    path: Path, shape: tuple[int, ...], make: Callable[[int, int], NDArray[np.float32]], progress: Callable[[int], None]
) -> None:
    part, count = path.with_suffix(".part"), path.with_suffix(".json")
    done = json.loads(count.read_text()) if count.exists() and part.exists() else 0
    _check_room(path, (shape[0] - done) * 4 * int(np.prod(shape[1:])))
    array = np.lib.format.open_memmap(part, mode="r+" if done else "w+", dtype=np.float32, shape=shape)
    while done < shape[0]:
        last = min(done + _BLOCK, shape[0])
        array[done:last] = make(done, last)
        array.flush()  # before the count says that they are there
        done = last
        temporary = count.with_suffix(".tmp")
        temporary.write_text(json.dumps(done))
        temporary.replace(count)
        progress(done)
    del array
    part.replace(path)
    count.unlink(missing_ok=True)


def remove_unread(folder: Path) -> int:
    """Delete the arrays in `folder` that nobody has asked for lately; the number of bytes that gave."""
    freed = 0
    for file in folder.glob("*"):
        about = file.stat()
        if time.time() - about.st_mtime > _UNREAD_S:
            freed += about.st_size
            file.unlink()
    return freed


def _check_room(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise Refusal(
            f"{path.parent} has {free / 1e9:.1f} GB left, training needs {needed / 1e9:.1f} GB there for features: "
            "make room, or give --cache on a larger disk."
        )
