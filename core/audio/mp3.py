"""MP3 frames (ISO 11172-3, 13818-3, layer III): how many are there, and how many does the header promise?

mpg123, inside libsndfile, guesses the length of a file without a Xing/Info header from its first frame and stops
there: a variable-rate file loses most of its sound. So frames are counted here, and such a file gets a header.
"""

import struct
from dataclasses import dataclass

from core.audio.checked import Checked, cut_off

_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # kbit/s by index, MPEG-1
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # MPEG-2 and 2.5
_RATES = (44_100, 48_000, 32_000)  # Hz, MPEG-1; a half in MPEG-2, a quarter in 2.5
_TAG_BITRATE = 9  # index: a frame of this bitrate has room for a Xing header at every sample rate


@dataclass(frozen=True)
class _Frame:
    size: int  # bytes
    samples: int  # a channel
    rate: int  # Hz
    xing_offset: int  # bytes from the frame's start to where a Xing/Info header stands


def id3_size(data: bytes) -> int:
    """Bytes of the ID3v2 tag in front, 0 without one."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:  # four 7-bit bytes
        size = size << 7 | byte & 0x7F
    return size + (20 if data[5] & 0x10 else 10)  # with or without a footer


def frame_at(data: bytes, position: int) -> _Frame | None:
    """The layer III frame whose header stands at `position` (it may end beyond the data); None when there is none."""
    if position + 4 > len(data) or data[position] != 0xFF or data[position + 1] & 0xE6 != 0xE2:
        return None
    version, kbit_index, rate_index = data[position + 1] >> 3 & 3, data[position + 2] >> 4, data[position + 2] >> 2 & 3
    if (
        version == 1 or kbit_index in (0, 15) or rate_index == 3
    ):  # reserved; or free format, whose frames can't be sized
        return None
    mpeg_1, mono = version == 3, data[position + 3] >> 6 == 3
    rate = _RATES[rate_index] // {3: 1, 2: 2, 0: 4}[version]
    samples = 1152 if mpeg_1 else 576
    kbits = (_KBITS_1 if mpeg_1 else _KBITS_2)[kbit_index]
    side = (17 if mono else 32) if mpeg_1 else (9 if mono else 17)
    return _Frame(samples // 8 * kbits * 1000 // rate + (data[position + 2] >> 1 & 1), samples, rate, 4 + side)


def check(data: bytes, name: str) -> Checked:
    """Refuses a file with fewer frames than its Xing/Info header says; gives one to a file that lacks it."""
    start = id3_size(data)
    first = frame_at(data, start)
    if first is None:
        return Checked("MP3", data)  # junk in front or free format: mpg123 finds its own way
    promised = _promised(data, start, first)
    sound = start if promised is None else start + first.size
    count, partial = _count(data, sound, first)
    # Encoders disagree whether the header's own frame counts, so one frame less is no sign of a cut by itself.
    if promised is not None and (count + 1 < promised or (partial and count < promised)):
        frame_s = first.samples / first.rate
        raise cut_off(name, count * frame_s, promised * frame_s)
    if promised is not None and count <= promised + 1:
        return Checked("MP3", data)
    warnings = (f"{name} ends inside a frame; if it sounds cut off, export it again.",) if partial else ()
    return Checked("MP3", _xing_frame(data, start, count) + data[sound:], warnings)


def _promised(data: bytes, start: int, first: _Frame) -> int | None:
    """Frames that the first frame's Xing/Info header promises; None when it has none or gives no number."""
    at = start + first.xing_offset
    if data[at : at + 4] not in (b"Xing", b"Info") or at + 12 > len(data):
        return None
    flags, frames = struct.unpack_from(">II", data, at + 4)
    return frames if flags & 1 else None


def _count(data: bytes, position: int, first: _Frame) -> tuple[int, bool]:
    """Whole frames from `position` on, and whether one more begins right after them but isn't all there."""
    count = 0
    while position < len(data):
        frame = frame_at(data, position)
        if frame is None or (frame.rate, frame.samples) != (first.rate, first.samples):
            position = data.find(b"\xff", position + 1)  # a tag, or damage: go on at the next frame
            if position < 0:
                return count, False
            continue
        if position + frame.size > len(data):
            return count, True
        count += 1
        position += frame.size
    return count, False


def _xing_frame(data: bytes, start: int, count: int) -> bytes:
    """A silent frame like the one at `start`, with a Xing header that says that `count` frames follow."""
    header = bytearray(data[start : start + 4])
    header[1] |= 1  # no checksum
    header[2] = _TAG_BITRATE << 4 | header[2] & 0x0C
    frame = frame_at(bytes(header), 0)
    if frame is None:
        raise AssertionError("the header of a valid frame stays valid")
    tag = header + bytes(frame.xing_offset - 4) + struct.pack(">4sII", b"Xing", 1, count)
    return bytes(tag.ljust(frame.size, b"\0"))
