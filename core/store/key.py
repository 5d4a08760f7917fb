"""What a cached record is of, as a content address."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

SCHEMA = 1  # raise it when a record's meaning changes: older records are then simply never asked for


class Kind(StrEnum):
    """The kinds of record: of a model, of a model and a clip, of a model and a set of clips, of a whole request."""

    MODEL = "model"
    FORWARD = "forward"
    LORA = "lora"
    STATES = "states"
    GRADIENT = "gradient"
    SET = "set"
    INTERVENTION = "intervention"
    RESULT = "result"


@dataclass(frozen=True)
class Precision:
    """What decides a number's last digits: dtype (`float32`, …) and device kind (`cpu`, `cuda`)."""

    dtype: str = "float32"
    device: str = "cpu"


@dataclass(frozen=True)
class Key:
    """Address of one record: SHA-256 of the canonical JSON of what it was computed from.

    `model` is the model's fingerprint, `of` a clip id (or a set's), `spec` whatever else the record depends on
    (window start, target class, …; plain JSON values).
    """

    kind: Kind
    model: str
    of: str
    precision: Precision
    spec: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def canonical(self) -> str:
        parts = {
            "schema": SCHEMA,
            "kind": self.kind.value,
            "model": self.model,
            "of": self.of,
            "spec": dict(self.spec),
            "dtype": self.precision.dtype,
            "device": self.precision.device,
        }
        return json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.canonical)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.canonical == other.canonical


def clip_key(kind: Kind, model: str, clip_id: str, precision: Precision, window_start: int = 0) -> Key:
    """Key of a model x clip record; `window_start` in samples (16 kHz), the window's length is the model's own."""
    return Key(kind, model, clip_id, precision, {"window_start": window_start})
