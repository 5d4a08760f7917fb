"""SQLite beside the records: sizes and last use for eviction, and facts remembered about files.

Nothing here is the truth: records are found by their file, and `rebuild` makes the table anew from them.
No WAL, it does not work on network disks.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    digest TEXT PRIMARY KEY, kind TEXT NOT NULL, model TEXT NOT NULL, bytes INTEGER NOT NULL, used REAL NOT NULL);
CREATE INDEX IF NOT EXISTS records_by_use ON records (used);
CREATE TABLE IF NOT EXISTS files (
    path TEXT NOT NULL, fact TEXT NOT NULL, bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (path, fact));
"""
_EVICTED_FIRST = "intervention"  # small, and quick to make again
_LOCK_TIMEOUT_S = 30.0
_COMPLETE = 1  # SQLite's user_version, 0 in a new file


@dataclass(frozen=True)
class IndexRow:
    """One record as the index knows it; `used` in seconds since the epoch."""

    digest: str
    kind: str
    model: str
    bytes: int
    used: float


class Index:
    """Safe for several threads and processes: a short transaction each, waiting for the others."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.run(lambda db: None)

    def run(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """`action` in one transaction. A damaged database is set aside and begun anew."""
        with self._lock:
            try:
                return self._transact(action)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                with contextlib.suppress(FileNotFoundError):  # another process was faster
                    self._path.replace(self._path.with_suffix(".damaged"))
                return self._transact(action)

    def _transact(self, action: Callable[[sqlite3.Connection], T]) -> T:
        with contextlib.closing(sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_S)) as db:
            # Losing the last rows in a power cut costs a rebuild, an fsync a row costs every clip.
            db.execute("PRAGMA synchronous = OFF")
            db.executescript(_SCHEMA)
            with db:
                return action(db)

    def complete(self) -> bool:
        """False where the table was begun anew and does not yet know the records from before."""
        return self.run(lambda db: db.execute("PRAGMA user_version").fetchone()[0]) == _COMPLETE

    def mark_complete(self) -> None:
        """Say that every record is in the table."""
        self.run(lambda db: db.execute(f"PRAGMA user_version = {_COMPLETE}"))

    def put(self, rows: Iterable[IndexRow]) -> None:
        values = [(row.digest, row.kind, row.model, row.bytes, row.used) for row in rows]
        self.run(lambda db: db.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)", values))

    def touch(self, digests: Iterable[str]) -> None:
        """Note that these records were just used."""
        now = time.time()
        values = [(now, digest) for digest in digests]
        self.run(lambda db: db.executemany("UPDATE records SET used = ? WHERE digest = ?", values))

    def drop(self, digests: Iterable[str]) -> None:
        values = [(digest,) for digest in digests]
        self.run(lambda db: db.executemany("DELETE FROM records WHERE digest = ?", values))

    def total_bytes(self) -> int:
        return self.run(lambda db: db.execute("SELECT COALESCE(SUM(bytes), 0) FROM records").fetchone()[0])

    def rows(self) -> list[IndexRow]:
        """All records in the order they would be evicted."""
        query = "SELECT digest, kind, model, bytes, used FROM records ORDER BY kind != ?, used"
        return self.run(lambda db: [IndexRow(*row) for row in db.execute(query, (_EVICTED_FIRST,))])

    def remember(self, path: Path, fact: str, value: str) -> None:
        """Keep `value` as what is known of a file while its size and time stay as they are."""
        stat = path.stat()
        row = (_plain(path), fact, stat.st_size, stat.st_mtime_ns, value)
        self.run(lambda db: db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", row))

    def recall(self, path: Path, fact: str) -> str | None:
        """What `remember` kept, or None where the file changed since."""
        stat = path.stat()
        query = "SELECT value FROM files WHERE path = ? AND fact = ? AND bytes = ? AND mtime_ns = ?"
        row = (_plain(path), fact, stat.st_size, stat.st_mtime_ns)
        found = self.run(lambda db: db.execute(query, row).fetchone())
        return found[0] if found else None


def _plain(path: Path) -> str:
    """The path as text that SQLite takes, also where its bytes are no UTF-8."""
    return os.fsencode(path.resolve()).decode(errors="backslashreplace")
