"""Bytes of a sound file to a `Waveform`, within limits that hold while decoding.

Call this through `core.audio.decoder`: decoders are C code that a damaged file can crash.
"""

import io
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from core.audio.checked import cut_off
from core.audio.containers import check
from core.audio.mix import Mix
from core.audio.waveform import Waveform
from core.errors import Refusal
from core.settings import Settings

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000  # Hz, beyond what recorders write
MAX_VALUES = 1_000_000_000  # frames x channels: seconds of decoding, not minutes
BLOCK = 4096  # frames decoded at a time
_UNKNOWN = 2**62  # frames; libsndfile gives 2**63 - 1 for a streamed FLAC
_LOST_S = 0.1  # seconds of an OGG or MP3 that may fail to decode before the user is told


@dataclass(frozen=True)
class Limits:
    """What is refused: clips outside [min_s, max_s] seconds, larger files (bytes), more channels."""

    min_s: float
    max_s: float
    max_bytes: int
    max_channels: int

    @classmethod
    def from_settings(cls, settings: Settings) -> "Limits":
        """The limits that the settings give."""
        return cls(settings.min_clip_s, settings.max_clip_s, int(settings.max_clip_mb * 1e6), settings.max_channels)


class _ForwardFile(soundfile.SoundFile):
    """A file that is only read forwards.

    After every read of a seekable file, soundfile seeks to where it already is, and mpg123 then starts a
    variable-rate MP3 anew at about that place: read in blocks, such a file came out wrong.
    """

    def seekable(self) -> bool:
        return False


def check_size(size: int, name: str, limits: Limits) -> None:
    """Refuses more bytes than the limit."""
    if size > limits.max_bytes:
        raise Refusal(
            f"{name} has {size / 1e6:.1f} MB, more than the {limits.max_bytes / 1e6:g} MB that are read; "
            f"trim it, save it as FLAC, or raise LORASCOPE_MAX_CLIP_MB."
        )


def read_file(path: Path, limits: Limits) -> bytes:
    """The file's bytes; refuses one that is missing, no plain file, unreadable, or too large."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or device would never end
            raise Refusal(f"{path} is not a file; give the path of a recording.")
        check_size(status.st_size, path.name, limits)
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except FileNotFoundError as error:
        raise Refusal(f"{path} does not exist; check the path.") from error
    except OSError as error:
        raise Refusal(f"{path} can't be read ({error.strerror}); check its permissions and the disk.") from error
    check_size(len(data), path.name, limits)
    return data


def decode_bytes(data: bytes, name: str, limits: Limits) -> Waveform:
    """Decode, mix down (mean of the channels) and resample to 16 kHz.

    Raises `Refusal` with one sentence: what is wrong with the file called `name`, and what to do.
    """
    check_size(len(data), name, limits)
    checked = check(data, name)
    try:
        with _ForwardFile(io.BytesIO(checked.data)) as file:
            mix = Mix(file.samplerate, file.channels, name)
            _check_header(mix, limits)
            reason = _read(file, mix, limits)
            promised = file.frames
    except soundfile.SoundFileError as error:
        raise Refusal(
            f"{name} can't be decoded as {checked.format} ({_reason(error)}); "
            f"export it again, as 16-bit WAV for example."
        ) from error
    lost_s = (promised - mix.frames) / mix.rate
    known = promised < _UNKNOWN
    if checked.format == "FLAC" and known and lost_s > 0:
        raise cut_off(name, mix.duration_s, promised / mix.rate)
    if reason and lost_s > 0:
        raise Refusal(
            f"{name} can't be decoded beyond {mix.duration_s:.1f} s ({reason}): it is damaged; export it again."
        )
    samples, warnings = mix.finish()
    if mix.duration_s < limits.min_s or not len(samples):
        raise _too_short(mix, limits)
    if known and lost_s > _LOST_S:
        warnings += (f"{lost_s:.1f} s of {name} could not be decoded: it is damaged.",)
    return Waveform(samples, mix.rate, mix.channels, checked.warnings + warnings)


def _check_header(mix: Mix, limits: Limits) -> None:
    """Refuses what would need absurd buffers, before there are any."""
    if mix.channels > limits.max_channels:
        raise Refusal(
            f"{mix.name} has {mix.channels} channels, more than the {limits.max_channels} that are read "
            f"(LORASCOPE_MAX_CHANNELS); mix it down to mono or stereo."
        )
    if not LOWEST_RATE <= mix.rate <= HIGHEST_RATE:
        raise Refusal(
            f"{mix.name} has a sample rate of {mix.rate} Hz; {LOWEST_RATE} to {HIGHEST_RATE} Hz are read: "
            f"export it again, at 16000 Hz for example."
        )


def _read(file: soundfile.SoundFile, mix: Mix, limits: Limits) -> str | None:
    """Decode block by block into `mix` until the end; libsndfile's reason where it gives up before.

    Raises `Refusal` as soon as more has come out than the limits allow, whatever the header said.
    """
    buffer = np.empty((BLOCK, mix.channels), dtype=np.float32)
    # Not a frame more than promised: a tag behind a FLAC's last frame would be an error.
    while (wanted := min(BLOCK, file.frames - mix.frames)) > 0:
        try:
            block = file.read(out=buffer[:wanted])
        except soundfile.SoundFileError as error:
            return _reason(error)
        if not len(block):
            break
        mix.add(block)
        if mix.duration_s > limits.max_s:
            raise Refusal(
                f"{mix.name} is longer than {limits.max_s:g} s; "
                f"cut it into shorter clips, or raise LORASCOPE_MAX_CLIP_S."
            )
        if mix.frames * mix.channels > MAX_VALUES:
            raise Refusal(
                f"{mix.name} decodes to more than {MAX_VALUES:.0e} values ({mix.channels} channels at {mix.rate} Hz); "
                f"export it again as 16000 Hz mono."
            )
    return None


def _too_short(mix: Mix, limits: Limits) -> Refusal:
    if not mix.frames:
        return Refusal(f"{mix.name} holds no samples, only a header; record or export it again.")
    return Refusal(
        f"{mix.name} lasts {mix.duration_s:.3g} s; clips need at least {limits.min_s:g} s (LORASCOPE_MIN_CLIP_S): "
        f"use a longer one."
    )


def _reason(error: soundfile.SoundFileError) -> str:
    """libsndfile's own words, as part of a sentence."""
    words = str(getattr(error, "error_string", error)).removeprefix("Error : ").strip().rstrip(".")
    return words or "unknown error"
