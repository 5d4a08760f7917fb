"""Adding a model to the user's registry file and taking one out, with every other byte of it left as it is.

A TOML library that keeps comments (tomlkit 0.15 was tried) gives the comment above an entry to the entry before it,
and drops it with that one. So entries are cut out of the text, and nothing is written before the text has been
parsed again and found to say exactly what it should.
"""

import re
import shutil
import threading
import tomllib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import Refusal
from core.models.registry import as_toml, parse_entry, read_registry

_MODEL = re.compile(r"[ \t]*\[\[\s*(?:model|\"model\"|'model')\s*\]\]")
_TABLE = re.compile(r"[ \t]*\[")
_LOCK = threading.Lock()  # several sessions of one server


@dataclass(frozen=True)
class Change:
    """What was done to a registry file: its text before and after."""

    path: Path
    before: str
    after: str


def add_entry(path: Path, table: Mapping[str, Any]) -> Change:
    """Append a `[[model]]` table. Refuses one that is not well-formed or has the name of another."""
    with _LOCK:
        entries, refused = read_registry(path)
        taken = [entry.name for entry in entries] + [entry.name for entry in refused]
        if parse_entry(table, path.resolve().parent).name in taken:
            raise Refusal(f"There is a model {table['name']!r} in {path.name} already: give another name.")
        before = _read(path)
        line = _line_end(before)
        start = before if before.endswith("\n") else before + line
        after = start + line + as_toml([table]).rstrip("\n").replace("\n", line) + line
        return _write(path, before, after, [*_tables(before), dict(table)])


def remove_entry(path: Path, name: str) -> Change:
    """Take the model of this name out, with the comment right above it. Refuses the last one, and what it can't cut."""
    with _LOCK:
        read_registry(path)  # refuses a file that is no registry
        before = _read(path)
        tables = _tables(before)
        found = [i for i, table in enumerate(tables) if _name(table, i) == name]
        if not found:
            raise Refusal(f"There is no model {name!r} in {path.name} any more: it was taken out meanwhile.")
        if len(tables) == 1:
            raise Refusal(f"{name} is the only model in {path.name}: add another one first.")
        lines = before.splitlines(keepends=True)
        heads = [i for i, line in enumerate(lines) if _MODEL.match(line)]
        if len(heads) != len(tables):
            raise _by_hand(path)
        at = found[-1]  # of several with the same name, the first is the one that is used
        head = heads[at]
        later = (i for i in range(head + 1, len(lines)) if _TABLE.match(lines[i]))
        start, end = _above(lines, head), next((_above(lines, i) for i in later), len(lines))
        return _write(path, before, "".join(lines[:start] + lines[end:]), tables[:at] + tables[at + 1 :])


def undo(change: Change) -> None:
    """Bring back the file as it was before; refuses where it was changed since."""
    with _LOCK:
        if _read(change.path) != change.after:
            raise Refusal(f"{change.path.name} was changed since: nothing is taken back.")
        _replace(change.path, change.before)


def _above(lines: list[str], head: int) -> int:
    """The first line of the comment right above a header; the header's own where there is none, or it opens the file,
    and so is about all of it."""
    start = head
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return start or head


def _name(table: object, index: int) -> str:
    """What `read_registry` calls it."""
    return (str(table.get("name", "")).strip() if isinstance(table, dict) else "") or f"model {index + 1}"


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"Registry {path} can't be read: {error}.") from error


def _tables(text: str) -> list[Any]:
    return list(tomllib.loads(text).get("model", ()))


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _by_hand(path: Path) -> Refusal:
    return Refusal(f"{path.name} is written in a way that can't be changed safely here: edit it by hand.")


def _write(path: Path, before: str, after: str, tables: list[Any]) -> Change:
    """Write what says exactly `tables`, and all else as before."""
    try:
        said = tomllib.loads(after)
        same = said == tomllib.loads(before) | {"model": tables}
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise _by_hand(path)
    _replace(path, after)
    return Change(path, before, after)


def _replace(path: Path, text: str) -> None:
    """All of it or nothing; a link stays a link, and permissions stay."""
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(text.encode())
        shutil.copymode(target, temporary)
        temporary.replace(target)
    except OSError as error:
        raise Refusal(f"{path} can't be written ({error.strerror}): change it by hand, or its permissions.") from error
    finally:
        temporary.unlink(missing_ok=True)
