"""The demo's models: trained by `python -m core train`, the very command that users have, and nothing else.

Heads on the frozen encoder, LoRA of three ranks that starts from them, each with three seeds; a control with shuffled
labels; and ten folds by speaker on the clips that ship. The ten speakers of these are in no other training.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from core import paths

Job = tuple[Path, tuple[object, ...]]  # output directory and arguments of `core train`


@dataclass(frozen=True)
class Training:
    """What is trained: ranks (smallest first), seeds, passes over the clips, and LoRA's highest learning rate.

    Every rank is trained alike. The first seed is the one that ships: said beforehand, not chosen by its scores.
    """

    ranks: tuple[int, ...] = (8, 32, 64)
    seeds: tuple[int, ...] = (1, 2, 3)
    head_epochs: int = 60
    lora_epochs: int = 5
    lora_lr: float = 4e-3
    fold_head_epochs: int = 60
    fold_lora_epochs: int = 12

    @property
    def control_rank(self) -> int:
        return self.ranks[len(self.ranks) // 2]

    @property
    def fold_rank(self) -> int:
        """The smallest: eight speakers are little to train on."""
        return self.ranks[0]


@dataclass(frozen=True)
class Runs:
    """Where everything is: the base, the training corpus, the clips that ship, and the runs."""

    base: Path
    acted: Path
    clips: Path
    folder: Path
    cache: Path
    training: Training

    def head(self, seed: int) -> Path:
        return self.folder / f"frozen-seed{seed}"

    def lora(self, rank: int, seed: int) -> Path:
        return self.folder / f"lora-r{rank}-seed{seed}"

    @property
    def control(self) -> Path:
        return self.folder / f"shuffled-r{self.training.control_rank}-seed{self.training.seeds[0]}"

    @property
    def fold_head(self) -> Path:
        return self.folder / "folds-frozen"

    @property
    def fold_lora(self) -> Path:
        return self.folder / f"folds-lora-r{self.training.fold_rank}"

    @property
    def shipped(self) -> list[Path]:
        """The frozen head and every rank, of the first seed."""
        first = self.training.seeds[0]
        return [self.head(first), *(self.lora(rank, first) for rank in self.training.ranks)]

    @property
    def trained(self) -> list[Path]:
        """All seeds, row by row of the table."""
        heads = [self.head(seed) for seed in self.training.seeds]
        return heads + [self.lora(rank, seed) for rank in self.training.ranks for seed in self.training.seeds]


def train_all(runs: Runs, processes: int) -> None:
    """Train whatever is not trained yet, `processes` runs at a time; a killed one goes on where it was."""
    given = ("--clips", f"folder:{runs.acted}", "--folds", "given")
    folds = ("--clips", f"iemocap:{runs.clips}", "--folds", "speakers", "--batch-size", "16")
    how, first = runs.training, runs.training.seeds[0]

    def head(out: Path, count: int, seed: int, *words: object) -> Job:
        return out, ("--rank", 0, "--learning-rate", "3e-3", "--epochs", count, "--seed", seed, *words)

    def lora(out: Path, rank: int, count: int, seed: int, *words: object) -> Job:
        rate = ("--learning-rate", how.lora_lr, "--warmup", 0.15, "--weight-decay", 0.01)
        return out, ("--rank", rank, *rate, "--epochs", count, "--seed", seed, *words)

    heads = [head(runs.head(seed), how.head_epochs, seed, *given, "--batch-size", 64) for seed in how.seeds]
    _train(runs, [*heads, head(runs.fold_head, how.fold_head_epochs, first, *folds)], processes)
    wide = (*given, "--batch-size", 32)
    adapters = [
        lora(runs.lora(rank, seed), rank, how.lora_epochs, seed, *wide, "--head", runs.head(seed))
        for seed in how.seeds
        for rank in how.ranks
    ]
    control = lora(runs.control, how.control_rank, how.lora_epochs, first, *wide, "--shuffle-labels")
    ten = lora(runs.fold_lora, how.fold_rank, how.fold_lora_epochs, first, *folds, "--head", runs.fold_head)
    _train(runs, [*adapters, control, ten], processes)


def _train(runs: Runs, wanted: Sequence[Job], processes: int) -> None:
    def one(job: Job) -> None:
        out, words = job
        core("train", "--base", runs.base, "--out", out, "--cache", runs.cache, "--device", "cpu", *words, log=out.name)

    with ThreadPoolExecutor(processes) as pool:
        for _ in pool.map(one, wanted):
            pass


def core(command: str, *words: object, log: str = "") -> str:
    """`python -m core …` in a process of its own on one thread; its stdout. What it says is shown, named `log`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "core", command, *map(str, words)],
        cwd=paths.ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "LORASCOPE_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None and process.stdout is not None
    with ThreadPoolExecutor(1) as reader:
        answer = reader.submit(process.stdout.read)
        lines = []
        for line in process.stderr:
            lines.append(line)
            print(f"{log or command}: {line}", end="", file=sys.stderr, flush=True)
        out = answer.result()
    if process.wait() != 0:
        raise RuntimeError(f"`python -m core {command} {' '.join(map(str, words))}` failed: {''.join(lines[-5:])}")
    return out
