"""Ctrl-C in the middle of a job: what is done is kept, and the same command goes on from there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from core import paths
from tests.checkpoints import LABELS
from tests.cli.command import Answer, environment, rows, run_json
from tests.conftest import save_sound

CLIPS, MODELS = 40, 2


def records(cache: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in cache.glob("records/*/*.safetensors")}


def test_ctrl_c_keeps_what_is_done(quick: Callable[..., Answer], registry: Path, tmp_path: Path) -> None:
    for i in range(CLIPS):
        save_sound(tmp_path / "clips" / f"{i:02}.wav", 0.2, i)
    cache, out = tmp_path / "cache", tmp_path / "out"
    words = ["analyze", "predict", "--models", "LoRA,Frozen", "--clips", f"folder:{tmp_path / 'clips'}"]
    words += ["--registry", str(registry), "--out", str(out), "--cache", str(cache)]
    with subprocess.Popen(
        [sys.executable, "-m", "core", *words],
        cwd=paths.ROOT,
        env=environment(LORASCOPE_BATCH_SIZE="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # else the signal would be ours too
    ) as process:
        deadline = time.monotonic() + 120
        while not records(cache):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
        said, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == ""
    assert complaint.strip() == "lorascope: stopped; what is done is kept, the same command goes on from there."
    assert not (out / "predict.csv").exists() and not (out / "run.json").exists()
    time.sleep(1)  # its worker may still be writing its batch
    kept = records(cache)
    assert 1 <= len(kept) < CLIPS * MODELS

    again = quick(*words)
    assert (again.code, again.out, again.err) == (0, "", "")
    assert run_json(out)["cache"] == {"hits": len(kept), "misses": CLIPS * MODELS - len(kept)}
    assert len(rows(out / "predict.csv")) == CLIPS * MODELS * len(LABELS)
    after = records(cache)
    assert len(after) == CLIPS * MODELS + 1, "every pass, and the result"
    assert {path: after[path] for path in kept} == kept, "nothing that was done is written again"
    assert not list(cache.rglob("*.tmp"))
