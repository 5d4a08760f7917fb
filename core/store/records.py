"""A record as bytes: safetensors with the key and a checksum of its own, so that flipped bits are noticed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from core.store.key import Key

_HEADER_LENGTH_BYTES = 8  # safetensors: little-endian length of the JSON header, then the header


class DamagedRecord(Exception):
    """A record file that is not what was written: truncated, altered, or of another key."""


def checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes, in name order."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name}|{array.dtype.str}|{arrays[name].shape}|".encode())
        total.update(array.data)
    return total.hexdigest()


def encode(key: Key, arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a record file."""
    # safetensors copies memory as it lies, so a transposed view would be stored scrambled; 0-d arrays stay 0-d.
    solid = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    return save(solid, metadata={"key": key.canonical, "sha256": checksum(solid)})


def decode(data: bytes, digest: str) -> dict[str, np.ndarray]:
    """Arrays of the record of that digest; raises DamagedRecord where bytes, checksum or key do not fit."""
    header = _header(data)
    try:
        arrays = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedRecord(str(error)) from error
    if checksum(arrays) != header.get("sha256"):
        raise DamagedRecord("its checksum does not fit its content")
    if hashlib.sha256(str(header.get("key")).encode()).hexdigest() != digest:
        raise DamagedRecord("it belongs to another key")
    return arrays


def read_key(path: Path) -> dict[str, object]:
    """The key a record file says it has (canonical JSON parsed); raises DamagedRecord."""
    with path.open("rb") as file:
        length = file.read(_HEADER_LENGTH_BYTES)
        # a damaged length may ask for more bytes than there is memory
        header = file.read(min(int.from_bytes(length, "little"), path.stat().st_size))
    try:
        key = json.loads(_header(length + header)["key"])
    except (KeyError, ValueError, TypeError) as error:
        raise DamagedRecord("it has no key") from error
    if not isinstance(key, dict) or not {"kind", "model"} <= key.keys():
        raise DamagedRecord("it has no key")
    return key


def _header(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:_HEADER_LENGTH_BYTES], "little")
    try:
        return json.loads(data[_HEADER_LENGTH_BYTES : _HEADER_LENGTH_BYTES + length])["__metadata__"]
    except (KeyError, ValueError, TypeError) as error:
        raise DamagedRecord("its header can't be read") from error
