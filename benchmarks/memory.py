"""Whether memory grows with the clips: `python benchmarks/memory.py [--clips 16,128]`.

Runs `python -m core analyze all --models all` over folders of 30 s WAV files (noise, with labels and speakers), each
into an empty cache, on random checkpoints of whisper-base's shape: a frozen encoder, and LoRA r = 32 on v_proj with its
untrained counterpart. Prints the peak resident size of each process (the command, the model worker, the decoder) and
of all together, as the kernel and ten looks a second see them. Needs Linux's /proc.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script sees only its own folder

from benchmarks.shapes import REGISTRY, write_models
from core import paths
from core.models.info import EncoderShape
from tests.checkpoints import LABELS

SPEAKERS = 10
ALLOWED = 0.10  # growth from the fewest clips to the most
_LOOK_EVERY_S = 0.1
_MB = 1e6
_PROC = Path("/proc")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", default="16,128", help="how many clips, run by run")
    arguments = parser.parse_args()
    if not _PROC.is_dir():
        sys.exit("This system has no /proc to read the size of processes from: run it on Linux.")
    counts = [int(count) for count in arguments.clips.split(",")]
    peaks = []
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        _, lora = write_models(root)
        for count in counts:
            write_clips(root / f"clips{count}", count, lora.shape)
            peaks.append(analyze(root, count))
    growth = peaks[-1].together / peaks[0].together - 1
    print(f"growth from {counts[0]} to {counts[-1]} clips: {100 * growth:+.1f} % (allowed: {100 * ALLOWED:.0f} %)")


def write_clips(directory: Path, count: int, shape: EncoderShape) -> None:
    """As many windows of noise, and what a folder source reads about them."""
    directory.mkdir()
    rows = [("file_name", "label", "speaker")]
    for i in range(count):
        noise = 0.1 * np.random.default_rng(i).standard_normal(shape.window_samples)
        soundfile.write(directory / f"{i}.wav", noise, shape.sampling_rate, subtype="PCM_16")
        rows.append((f"{i}.wav", LABELS[i % len(LABELS)], f"S{i % SPEAKERS}"))
    with (directory / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@dataclass
class Peaks:
    """Largest resident sizes in bytes: of each process by what it is, and of all of them at one time."""

    each: dict[str, float] = field(default_factory=dict)
    together: float = 0.0

    def look(self, root: int) -> None:
        """At a process and all below it."""
        total = 0.0
        for pid in _family(root):
            status = _status(pid)
            if "VmRSS" in status:  # not of one that ended just now
                total += _bytes(status["VmRSS"])
                self.each[_name(pid)] = max(_bytes(status["VmHWM"]), self.each.get(_name(pid), 0.0))
        self.together = max(self.together, total)


def analyze(root: Path, count: int) -> Peaks:
    """The command, watched until it ends; raises CalledProcessError where it fails."""
    options = {"models": "all", "registry": root / REGISTRY, "clips": f"folder:{root / f'clips{count}'}"}
    options |= {"cache": root / f"cache{count}", "out": root / f"out{count}"}
    command = [sys.executable, "-m", "core", "analyze", "all"]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    peaks = Peaks()
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=paths.ROOT)
    while process.poll() is None:
        peaks.look(process.pid)
        time.sleep(_LOOK_EVERY_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    each = ", ".join(f"{name} {size / _MB:.0f}" for name, size in peaks.each.items())
    print(
        f"{count} clips: {peaks.together / _MB:.0f} MB together at the most (each at its most: {each}), "
        f"{time.monotonic() - start:.0f} s"
    )
    return peaks


def _family(root: int) -> list[int]:
    """A process and its children, theirs too."""
    parents = {int(path.name): _status(int(path.name)).get("PPid") for path in _PROC.iterdir() if path.name.isdigit()}
    family = [root]
    for member in family:  # grows meanwhile
        family += [pid for pid, parent in parents.items() if parent == str(member)]
    return family


def _status(pid: int) -> dict[str, str]:
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _bytes(text: str) -> float:
    """Of a size as /proc writes it, in units of 1024 bytes called kB."""
    return int(text.split()[0]) * 1024


def _name(pid: int) -> str:
    """What a process is: the module that it runs."""
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().decode().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return "ended"
    return words[words.index("-m") + 1] if "-m" in words else words[0]


if __name__ == "__main__":
    main()
