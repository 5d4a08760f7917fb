"""What can't be used is refused with a sentence, and nothing else is ever raised."""

import re
import time

import numpy as np
import pytest

from core.audio.decode import Limits, decode_bytes
from core.audio.decoder import Decoder
from core.errors import Refusal
from core.settings import read_settings
from tests.audio.sounds import encode, tone, wav_header, zeros_flac

LIMITS = Limits.from_settings(read_settings())
NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, 48_000).astype(np.float32)


def bad(value: float, at: int = 9000) -> bytes:
    samples = tone(16_000)[:, 0]
    samples[at] = value
    return encode(samples, 16_000, "WAV", "FLOAT")


def half(kind: str, subtype: str, share: float = 0.5) -> bytes:
    data = encode(NOISE, 16_000, kind, subtype)
    return data[: int(len(data) * share)]


REFUSED = {
    "NaN": (bad(np.nan), r"holds NaN or infinite samples \(first within 0\.5 to 0\.8 s\); export"),
    "Inf": (bad(np.inf), "holds NaN or infinite samples"),
    "huge numbers": (bad(-1e30), "goes far beyond full scale"),
    "empty": (b"", r"is empty \(0 bytes\); copy"),
    "header only": (wav_header(16_000, 1, 0), "holds no samples, only a header"),
    "header only, promising": (wav_header(16_000, 1, 32_000), r"ends after 0\.0 s but its header promises 1\.0 s"),
    "header, half of it": (wav_header(16_000, 1, 0)[:30], "no data chunk"),
    "WAV cut": (half("WAV", "PCM_16"), r"ends after 1\.5 s but its header promises 3\.0 s: it was cut off"),
    "WAV cut by one sample": (encode(NOISE, 16_000, "WAV")[:-2], r"2\.9999 s but its header promises 3\.0000 s"),
    "WAVEX cut": (half("WAVEX", "PCM_24"), r"ends after 1\.5 s but its header promises 3\.0 s"),
    "RF64 cut": (half("RF64", "PCM_16"), r"ends after 1\.5 s but its header promises 3\.0 s"),
    "ADPCM cut": (half("WAV", "IMA_ADPCM"), "it was cut off or damaged while copying"),
    "FLAC cut": (half("FLAC", "PCM_16"), r"ends after 1\.\d s but its header promises 3\.0 s"),
    "FLAC cut at the end": (half("FLAC", "PCM_16", 0.999), r"ends after 2\.\d+ s but its header promises 3\.0"),
    "Vorbis cut": (half("OGG", "VORBIS"), "breaks off in the middle of an Ogg page: it was cut off"),
    "Opus cut": (half("OGG", "OPUS"), "breaks off in the middle of an Ogg page"),
    "MP3 cut": (half("MP3", "MPEG_LAYER_III"), r"ends after 1\.\d s but its header promises 3\.\d s"),
    "MP3 cut at the end": (half("MP3", "MPEG_LAYER_III", 0.98), r"ends after \d\.\d+ s but its header promises"),
    "1000 channels": (encode(np.zeros((2000, 1000), np.int16), 16_000, "WAV"), "has 1000 channels, more than the 16"),
    "absurdly fast": (wav_header(2**31 - 1, 1, 8000) + bytes(8000), "sample rate of 2147483647 Hz; 1000 to 768000"),
    "absurdly slow": (wav_header(3, 1, 8000) + bytes(8000), "has a sample rate of 3 Hz"),
    "too short": (encode(tone(16_000, seconds=0.09), 16_000, "WAV"), r"lasts 0\.09 s; clips need at least 0\.1 s"),
    "too long": (encode(np.zeros(1000 * 601, np.int16), 1000, "WAV"), "is longer than 600 s; cut it into shorter"),
    "text": ("Grüße an alle, this is no recording.".encode() * 9, "is not a sound file|is text"),
    "ASCII": (b"this is no recording\n", "is text, not a recording; WAV, FLAC, OGG/Opus and MP3 can be read"),
    "HTML": (b"\n<!DOCTYPE html><html>404</html>", "is a web page or XML"),
    "M4A": (b"\0\0\0\x20ftypM4A " + bytes(99), "is an MP4/M4A file; WAV, FLAC, OGG/Opus and MP3 can be read"),
    "ZIP": (b"PK\x03\x04" + bytes(99), "is a ZIP archive"),
    "AIFF": (encode(NOISE, 16_000, "AIFF"), "is an AIFF file"),
    "WebM": (b"\x1aE\xdf\xa3" + bytes(99), "is a WebM/Matroska file"),
    "zeros": (bytes(5000), "is not a sound file of a known format"),
    "only an ID3 tag": (b"ID3\x04\x00\x00\x00\x00\x00\x10" + bytes(16), "is not a sound file|can't be decoded"),
    "WAV of unknown encoding": (encode(NOISE, 16_000, "WAV")[:20] + b"\x99\x99" + bytes(500), "WAV|header"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    data, sentence = REFUSED[case]
    with pytest.raises(Refusal, match=sentence) as refusal:
        decode_bytes(data, "Grüße ♪.wav", LIMITS)
    text = str(refusal.value)
    assert text.startswith("Grüße ♪.wav ") and text.endswith(".") and "\n" not in text
    assert re.search(r"export|copy|use |cut it|convert|mix it|record", text), "what to do is missing"


def test_too_many_bytes() -> None:
    with pytest.raises(Refusal, match=r"has 25\.0 MB, more than the 25 MB .* LORASCOPE_MAX_CLIP_MB"):
        decode_bytes(bytes(25_000_001), "big.wav", LIMITS)


def test_settings_move_the_limits() -> None:
    clip = encode(tone(16_000, 2, seconds=2.0), 16_000, "FLAC", "PCM_16")
    decode_bytes(clip, "x", LIMITS)
    for name, value in (("max_clip_s", 1.9), ("min_clip_s", 2.1), ("max_channels", 1), ("max_clip_mb", 0.001)):
        with pytest.raises(Refusal, match="LORASCOPE_" + name.upper()):
            decode_bytes(clip, "x", Limits.from_settings(read_settings(**{name: value})))


def test_decompression_bomb(decoder: Decoder) -> None:
    """An hour of eight channels: 0.9 GB as float32."""
    bomb = zeros_flac(8_000, 8, 3600)
    assert len(bomb) < 500_000
    start = time.monotonic()
    with pytest.raises(Refusal, match="is longer than 600 s"):
        decoder.decode(bomb, "bomb.flac")
    assert time.monotonic() - start < 5
    assert decoder._child is not None
    with open(f"/proc/{decoder._child.process.pid}/status") as status:  # noqa: PTH123
        peak_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak_kb < 300_000


def test_frames_times_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.audio.decode.MAX_VALUES", 100_000)
    with pytest.raises(Refusal, match="decodes to more than 1e\\+05 values"):
        decode_bytes(zeros_flac(8_000, 8, 2), "wide.flac", LIMITS)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM"), ("RF64", "PCM_24"),
     ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")],
)  # fmt: skip
def test_damaged_files(kind: str, subtype: str, decoder: Decoder) -> None:
    """Cuts, flipped bits and overwritten stretches, half of them in the header: a finite clip or a refusal."""
    rng = np.random.default_rng(len(kind + subtype))
    good = encode(NOISE[:16_000], 16_000, kind, subtype)
    refused = 0
    for trial in range(120):
        data = bytearray(good)
        reach = 120 if trial % 2 else len(data)
        if trial % 3 == 0:
            data = data[: rng.integers(0, len(data))]
        for _ in range(rng.integers(0, 6)):
            if data:
                data[rng.integers(0, min(reach, len(data)))] ^= 1 << rng.integers(0, 8)
        if trial % 7 == 0:
            at = rng.integers(0, reach)
            data[at : at + 40] = rng.bytes(40)
        try:
            wave = decoder.decode(bytes(data), "damaged")
        except Refusal as refusal:
            refused += 1
            assert "made the decoder" not in str(refusal)
        else:
            assert np.isfinite(wave.samples).all() and 0.1 <= wave.duration_s <= 600
    assert refused > 20
