"""What a model is, as a hash of its files' bytes. Needs no torch."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from core.store.index import Index


def file_sha256(path: Path, index: Index) -> str:
    """SHA-256 of a file's bytes, remembered by path, size and time of change."""
    known = index.recall(path, "sha256")
    if known is None:
        with path.open("rb") as file:
            known = hashlib.file_digest(file, "sha256").hexdigest()
        index.remember(path, "sha256", known)
    return known


def fingerprint(parts: dict[str, Iterable[Path] | str], index: Index) -> str:
    """SHA-256 over named parts, each some files (by their bytes, not their names) or a plain string."""
    described = {
        name: part if isinstance(part, str) else [file_sha256(path, index) for path in part]
        for name, part in parts.items()
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
