"""WAV headers: is all the data there that the header promises?

Layout: "RIFF" size "WAVE", then chunks of id (4 bytes), size (uint32) and body, padded to even length.
RF64 (EBU Tech 3306) keeps 64-bit sizes in a ds64 chunk and 0xFFFFFFFF where they would be.
"""

import struct
from dataclasses import dataclass

from core.audio.checked import Checked, cut_off
from core.errors import Refusal

# Programs that write into a pipe can't know the size. They leave 0, 0xFFFFFFFF (ffmpeg), 0x7FFFF000 (sox) or so.
_UNKNOWN_SIZE = 0x7FFF_0000  # bytes
_RIFF_HEADER = 12  # bytes
_CHUNK_HEADER = 8  # bytes


@dataclass(frozen=True)
class _Chunks:
    """Where the data chunk's body starts, the size its header gives, and bytes a second from the fmt chunk."""

    data_start: int
    data_size: int
    byte_rate: int


def check(data: bytes, name: str) -> Checked:
    """Refuses a WAV without data chunk and one that ends early; a streamed one gets the size it lacks."""
    chunks = _chunks(data)
    if chunks is None:
        raise Refusal(f"{name} is a WAV file without sound in it (no data chunk); export it again.")
    there = len(data) - chunks.data_start
    if _is_streamed(data, chunks):
        return Checked("WAV", _with_size(data, chunks.data_start, there))
    if there < chunks.data_size:
        rate = max(chunks.byte_rate, 1)
        raise cut_off(name, there / rate, chunks.data_size / rate)
    return Checked("WAV", data)


def _chunks(data: bytes) -> _Chunks | None:
    """None when there is no data chunk."""
    position, byte_rate, long_size = _RIFF_HEADER, 0, 0
    while position + _CHUNK_HEADER <= len(data):
        chunk, size = struct.unpack_from("<4sI", data, position)
        body = position + _CHUNK_HEADER
        if chunk == b"data":
            if data[:4] == b"RF64" and size == 0xFFFF_FFFF:
                size = long_size
            return _Chunks(body, size, byte_rate)
        if chunk == b"fmt " and body + 12 <= len(data):
            (byte_rate,) = struct.unpack_from("<I", data, body + 8)
        if chunk == b"ds64" and body + 16 <= len(data):
            (long_size,) = struct.unpack_from("<Q", data, body + 8)
        position = body + size + size % 2
    return None


def _is_streamed(data: bytes, chunks: _Chunks) -> bool:
    """Size unknown, rather than zero: the RIFF size doesn't cover what follows the data chunk's header either."""
    if chunks.data_size >= _UNKNOWN_SIZE:
        return True
    (riff_size,) = struct.unpack_from("<I", data, 4)
    covered = riff_size + 8
    return chunks.data_size == 0 and (covered <= chunks.data_start or riff_size >= _UNKNOWN_SIZE)


def _with_size(data: bytes, data_start: int, size: int) -> bytes:
    """The file with its real sizes written in: libsndfile reads nothing where a header says 0."""
    fixed = bytearray(data)
    fixed[:4] = b"RIFF"
    struct.pack_into("<I", fixed, 4, len(data) - 8)
    struct.pack_into("<I", fixed, data_start - 4, size)
    return bytes(fixed)
