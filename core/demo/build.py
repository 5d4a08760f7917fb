"""Make the embedded demo from nothing: speech, recogniser, heads, adapters, measurements, cards.

Every step leaves a file behind by which the next run knows that it is done; a killed build goes on where it was.
"""

import json
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core import paths
from core.demo import acted, backbone, phones, ship, speech, ten
from core.demo.data_card import data_facts, write_data_card
from core.demo.model_card import write_model_card
from core.demo.prosody import EMOTIONS
from core.demo.runs import Runs, Training, train_all
from core.provenance import write_json


@dataclass(frozen=True)
class Sizes:
    """How much of everything; the defaults make the shipped demo in about two hours on two cores."""

    utterances: int = 3000  # of the recogniser's corpus
    renderings: int = 3  # of each of them
    backbone_epochs: int = 6
    train_speakers: int = 400
    validation_speakers: int = 40
    sentences: int = 3  # a training or validation speaker says, in four emotions each
    test_sentences: int = 20  # each of the ten speakers says, in four emotions each; the first five ship
    training: Training = field(default_factory=Training)
    seed: int = 11


def build(
    out: Path = paths.DEMO, workdir: Path | None = None, sizes: Sizes | None = None, processes: int | None = None
) -> dict[str, Any]:
    """Run every step that is not done yet, put the demo into `out`, and return its metrics.

    `workdir` (default `build/demo`) holds corpora, checkpoints and the growing demo, about 3 GB; delete it to start
    over. `out` is replaced at the very end, so that a demo that is there stays whole until then.
    """
    sizes, processes = sizes or Sizes(), processes or os.cpu_count() or 1
    work = (workdir or paths.ROOT / "build" / "demo").resolve()
    made = work / "demo"
    made.mkdir(parents=True, exist_ok=True)
    _same_sizes(work / "sizes.json", sizes)
    begun = time.monotonic()

    phones.write_phones(work / "recogniser", sizes.utterances, sizes.renderings, sizes.seed)
    recogniser = phones.read_phones(work / "recogniser")
    backbone.pretrain(recogniser, made / "base", work, sizes.backbone_epochs, sizes.seed)
    acted.write_acted(
        work / "acted", sizes.train_speakers, sizes.validation_speakers, sizes.sentences, sizes.seed, processes
    )
    ten.write_ten(work / "ten", sizes.seed, sizes.test_sentences, processes)
    ten.ship(work / "ten", made / "clips")
    runs = Runs(made / "base", work / "acted", made / "clips", work / "runs", work / "cache", sizes.training)
    train_all(runs, processes)

    metrics = measure(runs, work, made, sizes)
    write_json(made / "metrics.json", metrics)
    write_model_card(made, metrics)
    write_data_card(made, metrics["data"])
    for folder in ship.models(sizes.training.ranks).values():
        ship.detach(made / folder, made / "base")
    _publish(made, out)
    print(f"demo: done in {(time.monotonic() - begun) / 60:.1f} minutes, in {out}", file=sys.stderr)
    return metrics


def measure(runs: Runs, work: Path, made: Path, sizes: Sizes) -> dict[str, Any]:
    """Copy the models to ship, and measure everything on float16 weights, as they ship."""
    half = [work / "half" / run.name for run in [*runs.trained, runs.control]]
    for run, copy in zip([*runs.trained, runs.control], half, strict=True):
        ship.halve(run / "fold1", copy / "fold1")
    how = sizes.training
    for run, folder in zip(runs.shipped, ship.models(how.ranks).values(), strict=True):
        ship.halve(run / "fold1", made / folder)
    registry = ship.write_registry(work, made, how.ranks)
    ten_speakers = ship.evaluate(half, runs.clips, work / "evaluation-shipped", runs.cache)
    all_clips = ship.evaluate(half, work / "ten", work / "evaluation-all", runs.cache)
    lora = [copy for copy in half if copy.name.startswith("lora")]
    ranks = ship.evaluate(lora, work / "ten", work / "evaluation-ranks", runs.cache)
    folds = ship.evaluate([runs.fold_head, runs.fold_lora], None, work / "evaluation-folds", runs.cache)
    return {
        "synthetic": True,
        "command": "python -m core demo",
        "classes": list(EMOTIONS),
        "chance_uar": 1 / len(EMOTIONS),
        "sizes": _plain(sizes),
        "backbone": json.loads((made / "base" / "backbone.json").read_text())
        | {"layers": backbone.LAYERS, "width": backbone.WIDTH, "heads": backbone.HEADS, "window_s": speech.WINDOW_S},
        "shipped_clips": ship.summary(ten_speakers),
        "comparisons": ten_speakers["comparisons"],
        "all_clips": ship.summary(all_clips),
        "ranks": ranks["comparisons"],
        "folds": ship.summary(folds),
        "data": data_facts(work / "acted", work / "ten", made / "clips"),
        "stories": ship.find_stories(registry, runs.clips, how.ranks, work / "lens", runs.cache),
    }


def _publish(made: Path, out: Path) -> None:
    """Replace what `out` holds of an earlier demo."""
    if out.is_dir():
        for part in out.iterdir():
            shutil.rmtree(part) if part.is_dir() else part.unlink()
    shutil.copytree(made, out, dirs_exist_ok=True)
    for file in out.rglob("*.safetensors"):
        file.chmod(0o644)  # safetensors writes for the owner only; the demo is for everyone


def _same_sizes(remembered: Path, sizes: Sizes) -> None:
    """Steps of two different builds must not mix in one work directory."""
    wanted = _plain(sizes)
    if remembered.exists() and json.loads(remembered.read_text()) != wanted:
        raise RuntimeError(f"{remembered.parent} holds a build with other sizes; delete it, or name another workdir")
    write_json(remembered, wanted)


def _plain(sizes: Sizes) -> dict[str, Any]:
    """As it comes back from a JSON file."""
    return json.loads(json.dumps(asdict(sizes)))
