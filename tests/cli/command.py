"""Running `python -m core …` and reading what it writes."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import paths

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Answer:
    """What a command gave back."""

    code: int
    out: str
    err: str


def environment(**variables: str) -> dict[str, str]:
    """Ours without settings of whoever runs the tests."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("LORASCOPE_")}
    return ours | {"OMP_NUM_THREADS": "1", "LORASCOPE_DEVICE": "cpu", "LORASCOPE_THREADS": "1"} | variables


def lorascope(*words: object, cwd: Path = paths.ROOT, timeout: float = 200, **variables: str) -> Answer:
    """`python -m core …` in a process of its own, its output in pipes."""
    variables = {"PYTHONPATH": str(paths.ROOT)} | variables
    done = subprocess.run(
        [sys.executable, "-m", "core", *map(str, words)],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def rows(file: Path) -> Rows:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def pick(table: Rows, **wanted: str) -> Rows:
    return [row for row in table if all(row[name] == value for name, value in wanted.items())]


def run_json(out: Path) -> dict[str, Any]:
    return json.loads((out / "run.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Run:
    """One `analyze` of predict, contributions and lens: the answer and where its files are."""

    answer: Answer
    out: Path
    cache: Path

    @property
    def json(self) -> dict[str, Any]:
        return run_json(self.out)

    def rows(self, analysis: str) -> Rows:
        return rows(self.out / f"{analysis}.csv")
