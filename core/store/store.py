"""The activation cache as the engine fills it and everything else reads it."""

import contextlib
import os
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import Refusal
from core.store import records
from core.store.index import Index, IndexRow
from core.store.key import Key

_BYTES_PER_GB = 1e9
_PRUNE_TO = 0.9  # of the limit, so that a full cache does not evict at every write
_TOUCH_EVERY_S = 60.0  # last use need not be known more finely than this
_STALE_TEMPORARY_S = 3600.0
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Stats:
    """What the cache holds: bytes and number of records, altogether and by kind."""

    directory: Path
    bytes: int
    limit_bytes: int
    records: int
    by_kind: Mapping[str, tuple[int, int]]


class Store:
    """Content-addressed records under one directory; safe for several processes at once.

    A record is written to a temporary name, synced and renamed, so a reader sees it whole or not at all.
    A damaged one is dropped when it is read, and so computed again.
    """

    def __init__(self, directory: Path, max_gb: float) -> None:
        self.directory = directory
        self._records = directory / "records"
        self._limit = int(max_gb * _BYTES_PER_GB)
        self._touched: dict[str, float] = {}
        try:
            self._records.mkdir(parents=True, exist_ok=True)
            self.index = Index(directory / "index.sqlite")
            if not self.index.complete():
                self.rebuild()
        except (OSError, sqlite3.OperationalError) as error:
            raise Refusal(
                f"The cache directory {directory} can't be written ({getattr(error, 'strerror', None) or error}): "
                "set LORASCOPE_CACHE_DIR or --cache to one that can."
            ) from error

    def path(self, key: Key) -> Path:
        return self._path(key.digest)

    def _path(self, digest: str) -> Path:
        return self._records / digest[:2] / (digest + _SUFFIX)

    def has(self, key: Key) -> bool:
        return self.path(key).is_file()

    def read(self, key: Key) -> dict[str, np.ndarray] | None:
        """The record's arrays, or None where there is none (or it was damaged, and is now gone)."""
        path = self.path(key)
        try:
            arrays = records.decode(path.read_bytes(), key.digest)
        except FileNotFoundError:
            return None
        except records.DamagedRecord:
            self._remove([key.digest])
            return None
        self._touch(key.digest)
        return arrays

    def write(self, key: Key, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep a record; the oldest go where the size limit is passed. Raises OSError where the disk is full."""
        data = records.encode(key, arrays)
        path = self.path(key)
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        self.index.put([IndexRow(key.digest, key.kind.value, key.model, len(data), time.time())])
        if self.index.total_bytes() > self._limit:
            self.prune(keep=key.digest)

    def prune(self, to_gb: float | None = None, keep: str = "") -> int:
        """Evict the least recently used (interventions first) down to `to_gb`, else just below the limit.

        Returns the bytes freed.
        """
        target = self._limit * _PRUNE_TO if to_gb is None else to_gb * _BYTES_PER_GB
        rows = self.index.rows()
        excess = sum(row.bytes for row in rows) - target
        doomed: list[IndexRow] = []
        freed = 0
        for row in rows:
            if freed >= excess:
                break
            if row.digest != keep:
                doomed.append(row)
                freed += row.bytes
        self._remove(row.digest for row in doomed)
        return freed

    def verify(self) -> tuple[int, list[Path]]:
        """Read every record; damaged ones are dropped. Returns how many are good, and the files that were not."""
        good, bad = 0, []
        for path in self._files():
            try:
                records.decode(path.read_bytes(), path.name.removesuffix(_SUFFIX))
                good += 1
            except FileNotFoundError:
                continue  # evicted by another process meanwhile
            except records.DamagedRecord:
                bad.append(path)
        self._remove(path.name.removesuffix(_SUFFIX) for path in bad)
        self.rebuild()
        return good, bad

    def rebuild(self) -> None:
        """Make the index anew from the record files; leftovers of killed writers go."""
        for leftover in self._records.glob("*/.*.tmp"):
            with contextlib.suppress(FileNotFoundError):  # its writer was alive, and renamed it
                if time.time() - leftover.stat().st_mtime > _STALE_TEMPORARY_S:
                    leftover.unlink()
        known = {row.digest for row in self.index.rows()}
        found, rows = set(), []
        for path in self._files():
            digest = path.name.removesuffix(_SUFFIX)
            found.add(digest)
            if digest in known:
                continue
            try:
                key = records.read_key(path)
                stat = path.stat()
            except (records.DamagedRecord, FileNotFoundError):
                continue
            rows.append(IndexRow(digest, str(key["kind"]), str(key["model"]), stat.st_size, stat.st_mtime))
        self.index.drop(known - found)
        self.index.put(rows)
        self.index.mark_complete()

    def stats(self) -> Stats:
        rows = self.index.rows()
        count = Counter(row.kind for row in rows)
        size: Counter[str] = Counter()
        for row in rows:
            size[row.kind] += row.bytes
        by_kind = {kind: (count[kind], size[kind]) for kind in sorted(count)}
        return Stats(self.directory, sum(size.values()), self._limit, len(rows), by_kind)

    def _files(self) -> Iterable[Path]:
        return self._records.glob(f"*/*{_SUFFIX}")

    def _touch(self, digest: str) -> None:
        now = time.monotonic()
        if now - self._touched.get(digest, -_TOUCH_EVERY_S) >= _TOUCH_EVERY_S:
            self._touched[digest] = now
            with contextlib.suppress(sqlite3.OperationalError):  # a full disk keeps nobody from reading
                self.index.touch([digest])

    def _remove(self, digests: Iterable[str]) -> None:
        gone = list(digests)
        for digest in gone:
            self._path(digest).unlink(missing_ok=True)
        self.index.drop(gone)
