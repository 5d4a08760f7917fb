"""Ogg pages (RFC 3533): Vorbis and Opus files are rows of them, the last one marked as the end.

A page header is 27 bytes: "OggS", version, flags, granule position (8), serial (4), sequence (4), checksum (4),
number of segments; then one length byte a segment.
"""

from core.audio.checked import Checked
from core.errors import Refusal

_HEADER = 27  # bytes
_FIRST, _LAST = 0x02, 0x04  # flags: first and last page of a logical stream


def check(data: bytes, name: str) -> Checked:
    """Refuses a file that breaks off inside a page.

    A missing end mark is only a warning: recordings of live streams never have one.
    """
    position, sound_began, chained, flags = 0, False, False, 0
    while 0 <= position < len(data):
        if not data.startswith(b"OggS", position):
            if b"OggS".startswith(data[position : position + 4]):
                raise _cut_inside_page(name)
            position = data.find(b"OggS", position)  # junk between pages or a tag at the end: harmless
            continue
        segments_end = position + _HEADER + (data[position + 26] if position + 26 < len(data) else 1)
        end = segments_end + sum(data[position + _HEADER : segments_end])
        if max(segments_end, end) > len(data):
            raise _cut_inside_page(name)
        flags = data[position + 5]
        chained = chained or bool(flags & _FIRST and sound_began)
        sound_began = sound_began or not flags & _FIRST
        position = end
    warnings = []
    if not flags & _LAST:
        warnings.append(f"{name} has no end mark; if it sounds cut off, export it again.")
    if chained:
        warnings.append(f"{name} holds several recordings in a row; only the first is used.")
    return Checked("OGG", data, tuple(warnings))


def _cut_inside_page(name: str) -> Refusal:
    return Refusal(f"{name} breaks off in the middle of an Ogg page: it was cut off while copying; export it again.")
