"""The decoding process dies, hangs and is shared; the next file works."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from core import paths
from core.audio.decode import Limits, decode_bytes
from core.audio.decoder import Decoder
from core.errors import Refusal
from core.settings import read_settings
from tests.audio.sounds import encode, tone, zeros_flac

TONE = encode(tone(44_100, 2), 44_100, "FLAC", "PCM_16")


@pytest.fixture(scope="module")
def slow() -> bytes:
    """Takes a second or so to decode."""
    return zeros_flac(48_000, 8, 240)


def pid(decoder: Decoder) -> int:
    assert decoder._child is not None
    return decoder._child.process.pid


def test_same_as_in_process(decoder: Decoder, tmp_path: Path) -> None:
    here = decode_bytes(TONE, "tone.flac", Limits.from_settings(read_settings()))
    path = tmp_path / "größe ♪.flac"
    path.write_bytes(TONE)
    for wave in (decoder.decode(TONE, "tone.flac"), decoder.decode_file(path)):
        assert np.array_equal(wave.samples, here.samples)
        assert (wave.source_rate, wave.channels, wave.clip_id) == (44_100, 2, here.clip_id)
        assert wave.samples.flags.writeable


def test_relative_paths(decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.flac").write_bytes(TONE)
    monkeypatch.chdir(tmp_path)
    assert decoder.decode_file(Path("a.flac")).duration_s == pytest.approx(1.0)


def test_files_that_are_none(decoder: Decoder, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"gone\.wav does not exist; check the path"):
        decoder.decode_file(tmp_path / "gone.wav")
    with pytest.raises(Refusal, match="is not a file"):
        decoder.decode_file(tmp_path)
    with pytest.raises(Refusal, match="is not a file"):
        decoder.decode_file(Path("/dev/zero"))
    with pytest.raises(Refusal, match="can't be read"):
        decoder.decode_file(tmp_path / ("x" * 300))
    (tmp_path / "big.wav").touch()
    os.truncate(tmp_path / "big.wav", 30_000_000)
    with pytest.raises(Refusal, match=r"big\.wav has 30\.0 MB"):
        decoder.decode_file(tmp_path / "big.wav")
    with pytest.raises(Refusal, match=r"has 30\.0 MB"):
        decoder.decode(bytes(30_000_000), "big.wav")
    odd = tmp_path / os.fsdecode(b"caf\xe9.wav")  # Latin-1 left over from another age
    odd.write_bytes(TONE)
    assert decoder.decode_file(odd).duration_s == pytest.approx(1.0)


def test_killed_while_decoding(decoder: Decoder, slow: bytes) -> None:
    decoder.decode(TONE, "tone.flac")
    victim = pid(decoder)
    threading.Timer(0.2, os.kill, (victim, signal.SIGKILL)).start()
    with pytest.raises(Refusal, match=r"slow\.flac made the decoder stop \(exit status -9\).*export it again"):
        decoder.decode(slow, "slow.flac")
    assert decoder.decode(TONE, "tone.flac").duration_s == pytest.approx(1.0)
    assert pid(decoder) != victim


def test_killed_while_idle_costs_no_file(decoder: Decoder) -> None:
    decoder.decode(TONE, "tone.flac")
    os.kill(pid(decoder), signal.SIGKILL)
    assert decoder.decode(TONE, "tone.flac").duration_s == pytest.approx(1.0)


def test_stopped_process_is_replaced(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder.decode(TONE, "tone.flac")
    monkeypatch.setattr("core.audio.decoder.START_TIMEOUT_S", 2.0)
    os.kill(pid(decoder), signal.SIGSTOP)
    assert decoder.decode(TONE, "tone.flac").duration_s == pytest.approx(1.0)


def test_timeout(slow: bytes) -> None:
    decoder = Decoder(read_settings(decode_timeout_s=0.2))
    start = time.monotonic()
    with pytest.raises(Refusal, match=r"slow\.flac took longer than 0\.2 s to decode \(LORASCOPE_DECODE_TIMEOUT_S\)"):
        decoder.decode(slow, "slow.flac")
    assert time.monotonic() - start < 5
    assert decoder.decode(TONE, "tone.flac").duration_s == pytest.approx(1.0)
    decoder.close()


def test_memory_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child holds itself to its limit: an allocation beyond fails there, and does not take the machine along."""
    code = (
        "import numpy as np, core.audio.child as child; child._limit_memory()\n"
        "try: np.ones(3 * 2**30, np.uint8)\nexcept MemoryError: print('held')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "held"


def test_threads_share_one_process(decoder: Decoder) -> None:
    lengths = [0.2 + 0.01 * i for i in range(40)]
    files = [encode(tone(16_000, seconds=s), 16_000, "WAV") for s in lengths]
    with ThreadPoolExecutor(8) as pool:
        waves = list(pool.map(lambda pair: decoder.decode(pair[1], f"{pair[0]}.wav"), enumerate(files)))
    assert [w.duration_s for w in waves] == pytest.approx(lengths)


def test_hundreds_of_files_are_quick(decoder: Decoder, tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(encode(tone(16_000, seconds=4.0), 16_000, "WAV"))
    decoder.decode_file(path)
    start = time.monotonic()
    for _ in range(200):
        decoder.decode_file(path)
    assert time.monotonic() - start < 4


def test_close_ends_the_process_and_so_does_our_end() -> None:
    decoder = Decoder(read_settings())
    decoder.decode(TONE, "x")
    process = decoder._child and decoder._child.process
    decoder.close()
    assert process is not None and process.returncode is not None
    code = (
        "import os; from core.audio.decoder import decoder; from tests.audio.sounds import *\n"
        "decoder().decode(encode(tone(16000), 16000, 'WAV'), 'x'); print(decoder()._child.process.pid, flush=True)\n"
        "os._exit(0)"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, check=True)
    orphan = int(out.stdout)
    for _ in range(100):
        state = Path(f"/proc/{orphan}/stat")
        if not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the decoding process outlived the one that started it")


def test_child_imports_nothing_heavy() -> None:
    code = "import core.audio.child, sys; print({'torch', 'streamlit', 'librosa', 'scipy'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
