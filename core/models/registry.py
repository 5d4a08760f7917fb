"""The registry file: which models there are, as TOML."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import Refusal
from core.models.info import Role

_TYPES: dict[str, type] = {
    "name": str,
    "base": str,
    "revision": str,
    "adapter": str,
    "head": str,
    "group": str,
    "role": str,
    "labels": list,
    "synthetic": bool,
}


@dataclass(frozen=True)
class Entry:
    """One `[[model]]` as written; paths are relative to `directory`, where the registry file lies."""

    name: str
    base: str
    directory: Path
    revision: str | None = None
    adapter: str | None = None
    head: str | None = None
    group: str | None = None
    role: Role | None = None
    labels: tuple[str, ...] = ()
    synthetic: bool = False


@dataclass(frozen=True)
class Refused:
    """A model that can't be used, and why, in one sentence."""

    name: str
    reason: str


def read_registry(path: Path) -> tuple[list[Entry], list[Refused]]:
    """Entries of a registry file and those that are not well-formed. Refuses a file that can't be read at all."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Refusal(f"There is no registry file {path}: give one with --registry or LORASCOPE_REGISTRY.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"Registry {path} can't be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f"Registry {path} is not valid TOML: {error}.") from error
    tables = data.get("model")
    if not isinstance(tables, list) or not tables:
        raise Refusal(f"Registry {path} lists no models: add a [[model]] table with at least `name` and `base`.")
    entries: list[Entry] = []
    refused: list[Refused] = []
    for number, table in enumerate(tables, start=1):
        try:
            if not isinstance(table, dict):
                raise Refusal("it is no table: write [[model]], and `name = …` and `base = …` below it.")
            entry = parse_entry(table, path.resolve().parent)
            if entry.name in {other.name for other in entries}:
                raise Refusal("another model before it has the same name: give each its own.")
            entries.append(entry)
        except Refusal as error:
            name = str(table.get("name") or f"model {number}") if isinstance(table, dict) else f"model {number}"
            refused.append(Refused(name, f"{name} in {path.name}: {error}"))
    return entries, refused


def as_toml(tables: Sequence[Mapping[str, object]]) -> str:
    """`[[model]]` tables as `read_registry` reads them. JSON's strings, lists and booleans are TOML's too."""
    lines = []
    for table in tables:
        lines += [
            "[[model]]",
            *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()),
            "",
        ]
    return "\n".join(lines)


def parse_entry(table: Mapping[str, Any], directory: Path) -> Entry:
    """One `[[model]]` table of a file in `directory`; refuses one that is not well-formed."""
    for key, value in table.items():
        if key not in _TYPES:
            raise Refusal(f"`{key}` is not a setting of a model; known are {', '.join(_TYPES)}.")
        if not isinstance(value, _TYPES[key]):
            raise Refusal(f"`{key}` is {json.dumps(value, default=str)}, which is not a {_TYPES[key].__name__}.")
    for key in ("name", "base"):
        if not str(table.get(key, "")).strip():
            raise Refusal(f"`{key}` is missing.")
    labels = table.get("labels", [])
    if not all(isinstance(label, str) and label.strip() for label in labels) or len(set(labels)) != len(labels):
        raise Refusal("`labels` must be different, non-empty class names in index order.")
    role = table.get("role")
    if role is not None and role not in set(Role):
        raise Refusal(f"`role` is {role!r}; it can be {', '.join(Role)}.")
    plain = {key: table[key] for key in ("revision", "adapter", "head", "group", "synthetic") if key in table}
    return Entry(
        name=table["name"].strip(),
        base=table["base"],
        directory=directory,
        role=Role(role) if role else None,
        labels=tuple(labels),
        **plain,
    )
