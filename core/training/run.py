"""A whole run: folds, features, one training after the other, and a registry of what came out.

Everything that is finished is on disk; the same call goes on where it was.
"""

import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from accelerate.utils import set_seed
from transformers.utils import logging

from core.corpora.clip import Clip
from core.corpora.folds import Fold
from core.emotions import canonical
from core.errors import Refusal
from core.models.describe import Base
from core.models.reading import read_extractor
from core.models.registry import as_toml
from core.provenance import write_json, write_text
from core.training import features, networks
from core.training.fold import Examples, Trained, train
from core.training.manifest import about_fold, read_manifest, write_manifest
from core.training.recipe import METHODS, Recipe, method_name
from core.training.rows import FOLDER

REQUEST = "run.json"
REGISTRY = "models.toml"


@dataclass(frozen=True)
class Plan:
    """What to train and on what. `clips` are labelled; `facts` go into every manifest (source, casualties, …).

    `base_name` is what the base is called in manifests and registry: a hub id or a path. `head` may be a directory
    with a trained head, or one with a head for each fold.
    """

    recipe: Recipe
    base: Base
    base_name: str
    clips: tuple[Clip, ...]
    labels: tuple[str, ...]
    folds: tuple[Fold, ...]
    scheme: str
    seed: int
    out: Path
    cache: Path
    device: str
    head: Path | None
    facts: dict[str, Any]


def run(
    plan: Plan,
    samples_of: Callable[[Clip], np.ndarray],
    say: Callable[[str], None],
    progress: Callable[[str, int, int], None],
) -> list[dict[str, Any]]:
    """Train every fold that is not done yet; the manifests of all folds. Raises Refusal before any work is lost.

    `progress` is told what is being made, how many clips are done, and of how many.
    """
    logging.set_verbosity_error()  # what concerns the user is said here, in our words
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")  # PEFT asks for it
    plan = replace(plan, recipe=replace(plan.recipe, dtype=_arithmetic(plan)))
    plan.out.mkdir(parents=True, exist_ok=True)
    _same_request(plan)
    if all(read_manifest(plan.out / fold.name) for fold in plan.folds):
        return _manifests(plan)
    if plan.device != "cpu" and "WORLD_SIZE" not in os.environ:
        # One GPU, as asked for: with several in sight the Trainer would split batches over all of them in one process.
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", plan.device.partition(":")[2] or "0")
    everyone = PartialState(cpu=plan.device == "cpu")
    encoder = networks.load_encoder(plan.base)
    inputs = _inputs(plan, encoder, samples_of, progress)
    for fold in plan.folds:
        if read_manifest(plan.out / fold.name) is None:
            _train_fold(plan, fold, encoder, inputs, everyone.is_main_process, say)
            everyone.wait_for_everyone()
    return _manifests(plan)


def _inputs(
    plan: Plan, encoder: Any, samples_of: Callable[[Clip], np.ndarray], progress: Callable[[str, int, int], None]
) -> np.ndarray:
    """What the network takes: log-mel features, or for a head alone the frozen encoder's means."""
    folder, count, shape = plan.cache / FOLDER, len(plan.clips), plan.base.shape
    extractor = read_extractor(plan.base.preprocessor, shape)
    mel = features.log_mel(
        folder, plan.clips, shape, extractor, samples_of, lambda done: progress("features", done, count)
    )
    if plan.recipe.method != "head":
        return mel
    return features.frozen_means(
        folder,
        mel,
        [clip.clip_id for clip in plan.clips],
        encoder.to(plan.device),
        f"{plan.base.fingerprint} {plan.recipe.dtype} {plan.device.split(':')[0]}",
        plan.recipe,
        lambda done: progress("frozen encoder", done, count),
    )


def _train_fold(
    plan: Plan, fold: Fold, encoder: Any, inputs: np.ndarray, writes: bool, say: Callable[[str], None]
) -> None:
    begun = time.monotonic()
    folder = plan.out / fold.name
    head = plan.head
    if head is not None and (head / fold.name).is_dir():
        head = head / fold.name
    set_seed(plan.seed)
    fresh = networks.make(plan.base, encoder, plan.recipe, plan.labels, head)
    classes = np.array([plan.labels.index(canonical(clip.label or "")) for clip in plan.clips])
    told = classes.copy()
    if plan.recipe.shuffle_labels:
        for rows in (fold.train, fold.validation):
            told[list(rows)] = np.random.default_rng(plan.seed).permutation(classes[list(rows)])
    name = "means" if plan.recipe.method == "head" else "input_features"

    def part(rows: Sequence[int], labels: np.ndarray) -> Examples:
        return Examples(name, inputs, tuple(rows), labels[list(rows)])

    trained = train(
        fresh.network,
        plan.recipe,
        plan.seed,
        folder,
        part(fold.train, told),
        part(fold.validation, told),
        part(fold.test, classes) if fold.test else None,
        len(plan.labels),
        plan.device,
        lambda line: say(f"{fold.name} ({fold.held_out}): {line}"),
    )
    if not writes:
        return
    networks.save(trained.network, fresh.config, plan.base, plan.base_name, folder)
    write_manifest(folder, _facts(plan, fold, trained, time.monotonic() - begun))
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    _write_registry(plan)


def _facts(plan: Plan, fold: Fold, trained: Trained, seconds: float) -> dict[str, Any]:
    recipe = plan.recipe
    lora = recipe.method == "lora"
    return {
        **plan.facts,
        "base": plan.base_name,
        "base_fingerprint": plan.base.fingerprint,
        "head": None if plan.head is None else str(plan.head),
        "method": recipe.method,
        "rank": recipe.rank,
        "alpha": recipe.alpha if lora else None,
        "dropout": recipe.dropout if lora else None,
        "targets": list(recipe.targets) if lora else [],
        "layers": list(recipe.layers) if lora and recipe.layers is not None else None,
        "recipe": recipe.as_json(),
        "seed": plan.seed,
        "device": trained.device,
        "dtype": recipe.dtype,
        "labels": list(plan.labels),
        "scheme": plan.scheme,
        **about_fold(fold, plan.clips),
        "epochs": trained.epochs,
        "best_epoch": trained.best,
        "stopped_early": trained.stopped_early,
        "results": {"validation": trained.validation, "test": trained.test},
        "seconds": round(seconds, 1),
    }


def _arithmetic(plan: Plan) -> Any:
    """The precision that the device can do. Half precision is for GPUs; bfloat16 works everywhere."""
    if plan.recipe.dtype == "auto":
        return "float32"
    if plan.recipe.dtype == "float16" and plan.device == "cpu":
        raise Refusal("--dtype float16 needs a GPU, and there is none here: use --dtype float32 or bfloat16.")
    return plan.recipe.dtype


def _same_request(plan: Plan) -> None:
    """What lies in `out` must be of this very run: parts of two would mix."""
    asked = {
        "recipe": plan.recipe.as_json(),
        "seed": plan.seed,
        "folds": plan.scheme,
        "base": plan.base.fingerprint,
        "head": None if plan.head is None else str(plan.head),
        "clips": sorted(f"{clip.clip_id} {clip.label}" for clip in plan.clips),
    }
    path = plan.out / REQUEST
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        for name, value in asked.items():
            if before.get(name) != value:
                was = "" if name == "clips" else f" ({_difference(before.get(name), value)})"
                raise Refusal(f"{plan.out} holds a run with other {name}{was}: give another --out.")
    elif any(plan.out.glob("fold*")):
        raise Refusal(f"{plan.out} holds folds of something else, without {REQUEST}: give another --out.")
    else:
        write_json(path, asked)


def _difference(before: object, now: object) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        name = next(name for name in now if before.get(name) != now[name])
        return f"{name} was {before.get(name)}, is {now[name]}"
    return f"was {before}, is {now}"


def _manifests(plan: Plan) -> list[dict[str, Any]]:
    return [found for fold in plan.folds if (found := read_manifest(plan.out / fold.name)) is not None]


def _write_registry(plan: Plan) -> None:
    """A registry of all folds finished so far, ready for `--registry`."""
    recipe = plan.recipe
    what = method_name(recipe.method, recipe.rank)
    finished = [path.parent.name for path in plan.out.glob("fold*/manifest.json")]
    tables = []
    for name in sorted(finished, key=lambda name: int(name.removeprefix("fold"))):
        trained = {"head": {"head": name}, "lora": {"adapter": name}, "full": {}}[recipe.method]
        base = name if recipe.method == "full" else plan.base_name
        tables.append(
            {"name": f"{what} {name}", "base": base}
            | trained
            | {"group": f"{Path(plan.base_name).name} {name}", "role": METHODS[recipe.method].value}
            | {"labels": list(plan.labels)}
        )
    said = "# Written by `python -m core train`. Paste an entry into a registry of your own, or name this file.\n\n"
    write_text(plan.out / REGISTRY, said + as_toml(tables))
