"""From trained runs to what lies in the repository: float16 copies, measured as they ship, without our own paths."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file

from core import paths
from core.corpora.source import list_source
from core.demo.prosody import EMOTIONS
from core.demo.runs import core
from core.demo.stories import Told, tell
from core.models.registry import as_toml

FROZEN = "Frozen"


def models(ranks: Sequence[int]) -> dict[str, str]:
    """The shipped models by registry name, and their folders."""
    return {FROZEN: "frozen"} | {f"LoRA r={rank}": f"lora-r{rank}" for rank in ranks}


def halve(fold: Path, out: Path) -> None:
    """Copy a trained fold to `out` with its weights in float16."""
    out.mkdir(parents=True, exist_ok=True)
    for file in fold.iterdir():
        if file.suffix == ".safetensors":
            tensors = {name: tensor.half().contiguous() for name, tensor in load_file(file).items()}
            save_file(tensors, out / file.name, {"format": "pt"})
        elif file.is_file():
            (out / file.name).write_bytes(file.read_bytes())


def detach(folder: Path, base: Path) -> None:
    """Name the base and sources in a shipped model's files the way they are found in the repository."""
    for file in folder.glob("*.json"):
        text = file.read_text(encoding="utf-8")
        if file.name == "manifest.json":
            # `base` is relative to the folder that holds the model's
            facts = json.loads(text) | {"base": base.name}
            text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
        text = text.replace(str(base), "demo/base").replace(f"{paths.ROOT}/", "")
        file.write_text(text, encoding="utf-8")


def write_registry(folder: Path, made: Path, ranks: Sequence[int]) -> Path:
    """The shipped models as a registry in `folder`, to measure them before they are published."""
    tables = []
    for name, directory in models(ranks).items():
        kind, role = ("head", "frozen") if name == FROZEN else ("adapter", "lora")
        table = {"name": name, "base": str(made / "base"), kind: str(made / directory), "role": role, "group": "demo"}
        tables.append(table | {"labels": list(EMOTIONS), "synthetic": True})
    path = folder / "models.toml"
    path.write_text(as_toml(tables), encoding="utf-8")
    return path


def evaluate(runs: list[Path], clips: Path | None, out: Path, cache: Path) -> dict[str, Any]:
    """`core evaluate` on trained folds: on these clips, or each on its own test clips."""
    where = () if clips is None else ("--clips", f"iemocap:{clips}")
    core("evaluate", "--runs", *runs, *where, "--out", out, "--cache", cache, "--device", "cpu", log=out.name)
    return json.loads((out / "evaluate.json").read_text(encoding="utf-8"))


def find_stories(registry: Path, clips: Path, ranks: Sequence[int], out: Path, cache: Path) -> list[dict[str, Any]]:
    """What the shipped models answer at every depth, and the clips that are worth telling."""
    words = ("--models", "all", "--registry", registry, "--clips", f"iemocap:{clips}", "--variant", "corrected")
    core("analyze", "lens", *words, "--frames", "all", "--out", out, "--cache", cache, "--device", "cpu", log=out.name)
    with (out / "lens.csv").open(newline="", encoding="utf-8") as file:
        rows = [
            row for row in csv.DictReader(file) if row["statistic"] == "prob" and row["clip_id"] and not row["versus"]
        ]
    read: dict[str, dict[str, dict[tuple[int, str], float]]] = {}
    for row in rows:
        cell = read.setdefault(row["clip_id"], {}).setdefault(row["model"], {})
        cell[int(row["layer"]), row["component"]] = float(row["value"])
    listed = {clip.name: clip for clip in list_source(f"iemocap:{clips}").clips}
    told = []
    for clip in json.loads((out / "run.json").read_text(encoding="utf-8"))["clips"]:
        known = listed[clip["name"]]
        told.append(Told(known.name, known.speaker or "", known.label or "", _arrays(read[clip["clip_id"]])))
    return tell(told, EMOTIONS, FROZEN, list(models(ranks))[1:])


def _arrays(cells: Mapping[str, Mapping[tuple[int, str], float]]) -> dict[str, np.ndarray]:
    """Points x classes of every model."""
    return {
        model: np.array([[values[point, name] for name in EMOTIONS] for point in range(len(values) // len(EMOTIONS))])
        for model, values in cells.items()
    }


def summary(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of an evaluation that the cards show."""
    return [
        {
            "name": row["name"],
            "uar": row["uar"],
            "war": row["war"],
            "spread": row["spread"],
            "confusion": row["confusion"],
            "members": [{name: one[name] for name in ("title", "seed", "n", "uar", "war")} for one in row["members"]],
        }
        for row in evaluation["rows"]
    ]
