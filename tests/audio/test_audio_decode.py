"""Every format, rate and channel count becomes the same 16 kHz mono clip."""

import hashlib
import io
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio.decode import Limits, decode_bytes
from core.audio.waveform import SAMPLE_RATE, Waveform, encode_wav
from core.settings import read_settings
from tests.audio.sounds import LEVEL, TONE_HZ, encode, frequency_and_level, tone, wav_header

LIMITS = Limits.from_settings(read_settings())
SPEECH = Path("/usr/share/sounds/alsa")
LOSSLESS = [
    ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_U8"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"), ("WAV", "ULAW"),
    ("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24"),
]  # fmt: skip
LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("WAV", "IMA_ADPCM")]


def check_tone(wave: Waveform, seconds: float, slack_s: float = 0.0) -> None:
    hertz, level = frequency_and_level(wave.samples)
    assert hertz == pytest.approx(TONE_HZ, abs=1.0)
    assert level == pytest.approx(LEVEL, rel=0.03)
    assert wave.duration_s == pytest.approx(seconds, abs=slack_s + 1.01 / SAMPLE_RATE)
    assert wave.samples.dtype == np.float32
    assert wave.warnings == ()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize(("kind", "subtype"), LOSSLESS + LOSSY)
def test_round_trip(kind: str, subtype: str, rate: int, channels: int) -> None:
    if subtype == "OPUS" and rate == 44_100:
        pytest.skip("Opus has no 44.1 kHz")
    wave = decode_bytes(encode(tone(rate, channels), rate, kind, subtype), "tone", LIMITS)
    check_tone(wave, 1.0, slack_s=0.1 if "ADPCM" in subtype else 0.0)
    assert (wave.source_rate, wave.channels) == (rate, channels)


@pytest.mark.parametrize("rate", [11_025, 22_050, 32_000, 96_000, 192_000])
def test_other_rates(rate: int) -> None:
    check_tone(decode_bytes(encode(tone(rate), rate, "WAV", "PCM_16"), "tone", LIMITS), 1.0)


def test_16_khz_float_mono_is_taken_as_it_is() -> None:
    samples = tone(16_000)
    wave = decode_bytes(encode(samples, 16_000, "WAV", "FLOAT"), "tone", LIMITS)
    assert np.array_equal(wave.samples, samples[:, 0])
    assert wave.clip_id == hashlib.sha256(samples.astype("<f4").tobytes()).hexdigest()


def test_channels_are_averaged() -> None:
    samples = np.zeros((1600, 4), dtype=np.float32)
    samples[:] = [0.1, 0.2, 0.3, 0.8]
    assert decode_bytes(encode(samples, 16_000, "WAV", "FLOAT"), "x", LIMITS).samples == pytest.approx(0.35)


def test_clip_id_depends_on_the_sound_only() -> None:
    whole = (tone(44_100, 2) * 32767).astype(np.int16)  # as floats, libsndfile's writers round differently
    ids = {
        decode_bytes(encode(whole[:, :channels], 44_100, kind, "PCM_16"), name, LIMITS).clip_id
        for channels, kind, name in ((1, "WAV", "a"), (1, "FLAC", "b"), (2, "WAV", "ü"), (1, "RF64", "d"))
    }
    assert len(ids) == 1
    assert ids != {decode_bytes(encode(0.5 * tone(44_100), 44_100, "WAV", "PCM_16"), "a", LIMITS).clip_id}


def test_blocks_make_no_seams() -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 30_000).astype(np.float32)
    import soxr

    wave = decode_bytes(encode(noise, 44_100, "WAV", "FLOAT"), "noise", LIMITS)
    assert wave.samples == pytest.approx(soxr.resample(noise, 44_100, SAMPLE_RATE), abs=1e-6)


@pytest.mark.parametrize(
    ("data", "riff"), [(0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (0, 0xFFFFFFFF), (0, 36), (0x7FFFF000, 0x7FFFF024)]
)
def test_streamed_wav(data: int, riff: int) -> None:
    body = (tone(16_000) * 32767).astype("<i2").tobytes()
    check_tone(decode_bytes(wav_header(16_000, 1, data, riff) + body, "stream.wav", LIMITS), 1.0)


def test_streamed_flac() -> None:
    data = bytearray(encode(tone(16_000), 16_000, "FLAC", "PCM_16"))
    data[21] &= 0xF0  # STREAMINFO's 36 bits of total samples: unknown
    data[22:26] = bytes(4)
    check_tone(decode_bytes(bytes(data), "stream.flac", LIMITS), 1.0)


def test_mp3_without_header_keeps_all_of_its_sound() -> None:
    """libsndfile alone stops where it guesses the end from the first frame's bitrate."""
    file = io.BytesIO()
    seconds = 6.0
    loud_after_quiet = np.concatenate([np.zeros((22_050, 1), np.float32), tone(44_100, seconds=seconds - 0.5)])
    with soundfile.SoundFile(file, "w", 44_100, 1, format="MP3", compression_level=0.5, bitrate_mode="VARIABLE") as out:
        out.write(loud_after_quiet)
    data = file.getvalue()
    tag = max(data.find(b"Xing"), data.find(b"Info"))
    assert tag > 0
    whole = decode_bytes(data, "vbr.mp3", LIMITS)
    assert whole.duration_s == pytest.approx(seconds, abs=0.001)
    bare = decode_bytes(data[data.index(data[:2], 4) :], "bare.mp3", LIMITS)
    assert bare.duration_s == pytest.approx(seconds, abs=0.1)  # encoder delay is known to the header only
    assert frequency_and_level(bare.samples)[1] == pytest.approx(LEVEL, rel=0.03)


def test_variable_rate_mp3_is_the_same_as_ffmpegs() -> None:
    """soundfile's seeks between blocks used to spoil these."""
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg to compare with")
    noise = encode(np.random.default_rng(1).normal(0, 0.1, 40_000).astype(np.float32), 16_000, "WAV")

    def convert(data: bytes, *options: str) -> bytes:
        command = ["ffmpeg", "-loglevel", "error", "-i", "-", *options, "-"]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    mp3 = convert(noise, "-f", "mp3", "-q:a", "5")
    theirs = np.frombuffer(convert(mp3, "-f", "f32le"), dtype="<f4")
    ours = decode_bytes(mp3, "noise.mp3", LIMITS).samples
    lags = np.correlate(ours[4000:30_000], theirs[6000:26_000], "valid")
    best = int(np.argmax(lags))
    assert ours[4000 + best : 24_000 + best] == pytest.approx(theirs[6000:26_000], abs=2e-3)


def test_id3_tags_around_mp3_and_flac() -> None:
    tag = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)
    for kind, subtype in (("MP3", "MPEG_LAYER_III"), ("FLAC", "PCM_16")):
        data = tag + encode(tone(16_000), 16_000, kind, subtype) + b"TAG" + bytes(125)
        check_tone(decode_bytes(data, f"tagged.{kind}", LIMITS), 1.0)


def test_chunks_around_the_data_of_a_wav() -> None:
    data = encode(tone(16_000), 16_000, "WAV", "PCM_16")
    extra = b"LIST" + struct.pack("<I", 5) + b"INFO\0\0"
    check_tone(decode_bytes(data[:12] + extra + data[12:] + extra, "x.wav", LIMITS), 1.0)


def test_silence_and_wild_levels_are_warned_of() -> None:
    for value in (0.0, 0.3):
        silent = decode_bytes(encode(np.full(8000, value, np.float32), 16_000, "WAV"), "hush.wav", LIMITS)
        assert silent.warnings == ("hush.wav is silent: nothing in it is above -80 dB.",)
    loud = decode_bytes(encode(tone(16_000) * 32767, 16_000, "WAV", "FLOAT"), "loud.wav", LIMITS)
    assert "1.31e+04 times full scale" in loud.warnings[0]


def test_human_speech() -> None:
    """Debian's recordings (alsa-utils), the only human voice at hand."""
    for name in ("Front_Center", "Rear_Left", "Side_Right"):
        path = SPEECH / f"{name}.wav"
        assert path.exists(), f"{path} is missing: install Debian's alsa-utils to run this test"
        wave = decode_bytes(path.read_bytes(), path.name, LIMITS)
        there = soundfile.info(str(path))
        assert wave.duration_s == pytest.approx(there.duration, abs=1e-4)
        assert 0.05 < np.abs(wave.samples).max() < 1.0
        assert wave.warnings == ()


def test_encode_wav_for_the_player() -> None:
    samples = tone(16_000)[:, 0]
    samples[0] = 3.0
    back, rate = soundfile.read(io.BytesIO(encode_wav(samples)), dtype="float32")
    assert rate == SAMPLE_RATE
    assert back[1:] == pytest.approx(samples[1:], abs=1 / 32767)
    assert back[0] == pytest.approx(1.0, abs=1e-4)


def test_waveform_checks_its_samples() -> None:
    with pytest.raises((ValueError, TypeError)):
        Waveform(np.zeros((2, 5), np.float32), 16_000, 1)
