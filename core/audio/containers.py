"""Which format a file is, and whether its container is whole. Bytes in; nothing is decoded here.

libsndfile opens cut-off files without complaint, so their headers are checked before it sees them.
"""

from collections.abc import Callable

from core.audio import mp3, ogg, wav
from core.audio.checked import Checked
from core.errors import Refusal

READABLE = "WAV, FLAC, OGG/Opus and MP3"

_KNOWN_OTHERS = (  # (offset, bytes there, what such a file is)
    (4, b"ftyp", "an MP4/M4A file"),
    (0, b"\x1aE\xdf\xa3", "a WebM/Matroska file"),
    (0, b"FORM", "an AIFF file"),
    (0, b"caff", "a CAF file"),
    (0, b".snd", "an AU file"),
    (0, b"NIST", "a NIST SPHERE file"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"%PDF", "a PDF"),
)


def check(data: bytes, name: str) -> Checked:
    """The file as libsndfile should see it.

    Refuses (`Refusal`) an empty file, one of another format, and one that ends before its header says.
    """
    if not data:
        raise Refusal(f"{name} is empty (0 bytes); copy or export it again.")
    checker = _checker(data)
    if checker is None:
        raise Refusal(f"{name} {_what_else(data)}; {READABLE} can be read: convert it to one of them.")
    return checker(data, name)


def _checker(data: bytes) -> Callable[[bytes, str], Checked] | None:
    """The check for the file's format; by its bytes, because names lie."""
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return wav.check
    if data[:4] == b"OggS":
        return ogg.check
    start = mp3.id3_size(data)  # ID3 tags also stand in front of FLAC, where they don't belong
    if data[start : start + 4] == b"fLaC":
        return _flac
    if mp3.frame_at(data, start) or (start and data.find(b"\xff", start) >= 0):
        return mp3.check
    return None


def _flac(data: bytes, name: str) -> Checked:
    """Nothing to check yet: only decoding tells whether all of the samples that STREAMINFO promises are there."""
    return Checked("FLAC", data)


def _what_else(data: bytes) -> str:
    for offset, magic, what in _KNOWN_OTHERS:
        if data[offset : offset + len(magic)] == magic:
            return f"is {what}"
    head = data[:512]
    if head.lstrip()[:1] == b"<":
        return "is a web page or XML, not a recording"
    if all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        return "is text, not a recording"
    return "is not a sound file of a known format"
