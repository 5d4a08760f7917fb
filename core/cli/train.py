"""`train`: adapters, heads or whole encoders on any corpus, one checkpoint a fold."""

import argparse
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import commas
from core.audio.decoder import decoder
from core.audio.waveform import SAMPLE_RATE
from core.cli.output import make_directory
from core.cli.session import CASUALTIES, DONE, advance, complain, progress, select_clips, session
from core.corpora.folds import Fold, make_folds
from core.corpora.samples import samples_reader
from core.corpora.source import from_anywhere
from core.corpora.uploads import Uploads
from core.emotions import canonical
from core.engine.device import choose_device
from core.errors import Refusal
from core.models.describe import describe_base
from core.models.registry import Entry
from core.training.recipe import PRESETS, Recipe, parse_layers

_DEFAULT_FOLDS, _DEFAULT_SEED = "speakers", 42
_NUMBERS = (
    *("rank", "alpha", "dropout", "epochs", "learning_rate", "batch_size", "weight_decay", "warmup", "patience"),
    "dtype",
)


def train(arguments: argparse.Namespace) -> int:
    """Train every fold that is asked for and not there yet; a table of what came out on stdout."""
    recipe, scheme, arguments.seed = choose_recipe(arguments)
    with session(arguments) as (settings, store):
        device = choose_device(settings.device)
        notes = []
        if recipe.dtype == "float16" and device == "cpu" and arguments.dtype is None:
            recipe = replace(recipe, dtype="float32")
            notes.append(f"{arguments.preset} trains in float16; on the CPU it is float32.")
        entry = Entry("base", arguments.base, Path.cwd())
        base = describe_base(entry, store.index, download=True)
        selected = select_clips(arguments, store)
        clips = [clip for clip in selected.clips if clip.label]
        if len(clips) < len(selected.clips):
            notes.append(f"{len(selected.clips) - len(clips)} clips have no label and take no part.")
        if not clips:
            raise Refusal("None of these clips can be used with its label: training needs labels.")
        labels = tuple(sorted({canonical(clip.label or "") for clip in clips}))
        if len(labels) < 2:
            raise Refusal(f"All of these clips are {labels[0]}: training needs two classes or more.")
        long = sum(clip.n_samples > base.shape.window_samples for clip in clips)
        if long:
            window = base.shape.window_samples / SAMPLE_RATE
            notes.append(f"{long} clips are longer than the encoder's window: it sees their first {window:g} s.")
        folds = _choose_folds(make_folds(clips, scheme), arguments.fold)
        make_directory(arguments.out)
        notes += [f"--folds {scheme} leaks: a test speaker may be in training." for fold in folds[:1] if fold.leaking]
        casualties = [clip.reason for clip in selected.unusable]
        if _speaks():
            complain([f"Note: {note}" for note in notes] + casualties)

        from core.training.run import Plan, run  # torch and the Trainer take seconds: not before all is checked

        local = (Path.cwd() / Path(arguments.base).expanduser()).resolve()
        plan = Plan(
            recipe=recipe,
            base=base,
            base_name=str(local) if local.is_dir() else arguments.base,
            clips=tuple(clips),
            labels=labels,
            folds=tuple(folds),
            scheme=scheme,
            seed=arguments.seed,
            out=arguments.out,
            cache=settings.cache_dir,
            device=device,
            head=arguments.head,
            facts={
                "source": from_anywhere(arguments.clips),
                "where": arguments.where,
                "preset": arguments.preset,
                "notes": notes + list(selected.source.notes),
                "casualties": casualties,
            },
        )
        samples_of = samples_reader(decoder(), Uploads(1, settings.cache_dir / "uploads"))
        with _Bars() as bars:
            manifests = run(plan, samples_of, lambda line: print(line, file=sys.stderr, flush=True), bars.show)
    if _speaks():
        print_folds(manifests)
        print(f"\n{arguments.out / 'models.toml'} lists them for --registry.")
    return CASUALTIES if casualties else DONE


def _speaks() -> bool:
    """On several devices each has a process of its own, and one of them speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def choose_recipe(arguments: argparse.Namespace) -> tuple[Recipe, str, int]:
    """Recipe, fold scheme and seed: the preset's, with what was given on top."""
    preset = PRESETS[arguments.preset] if arguments.preset else None
    given = {name: value for name in _NUMBERS if (value := getattr(arguments, name)) is not None}
    if arguments.targets is not None:
        given["targets"] = tuple(commas.split(arguments.targets))
    if arguments.layers is not None:
        given["layers"] = parse_layers(arguments.layers)
    if arguments.full:
        given = {"rank": 0} | given
    if given.get("rank") and "alpha" not in given:
        given["alpha"] = 2.0 * given["rank"]  # as the paper scales it: alpha = 64 at r = 32
    for flag in ("full", "class_weights", "shuffle_labels"):
        given[flag] = getattr(arguments, flag)
    recipe = replace(preset.recipe if preset else Recipe(), **given).checked()
    scheme = arguments.folds or (preset.folds if preset else _DEFAULT_FOLDS)
    seed = arguments.seed if arguments.seed is not None else (preset.seed if preset else _DEFAULT_SEED)
    return recipe, scheme, seed


def _choose_folds(folds: list[Fold], wanted: str | None) -> list[Fold]:
    if wanted is None:
        return folds
    names = commas.split(wanted)
    by_name = {fold.name: fold for fold in folds} | {fold.name.removeprefix("fold"): fold for fold in folds}
    unknown = [name for name in names if name not in by_name]
    if unknown or not names:
        raise Refusal(f"--fold: {(unknown or ['nothing'])[0]!r} is no fold; there are 1 to {len(folds)}.")
    return [fold for fold in folds if fold in [by_name[name] for name in names]]


def print_folds(manifests: Sequence[dict[str, Any]]) -> None:
    """One line a fold, then mean and standard deviation over the folds."""
    print(
        f"{'fold':<8}{'tests':<12}{'clips':>6}{'best epoch':>12}{'validation UAR':>16}{'test UAR':>10}{'test WAR':>10}"
    )
    for one in manifests:
        test = one["results"]["test"]
        scores = f"{test['n']:>6}" if test else f"{'–':>6}"
        scores += f"{one['best_epoch']:>12}{one['results']['validation']['uar']:>16.3f}"
        scores += f"{test['uar']:>10.3f}{test['war']:>10.3f}" if test else f"{'–':>10}{'–':>10}"
        print(f"{one['fold']:<8}{one['held_out']:<12}{scores}")
    tested = [one["results"]["test"] for one in manifests if one["results"]["test"]]
    if len(tested) > 1:
        for name in ("uar", "war"):
            values = [test[name] for test in tested]
            mean, spread = statistics.mean(values), statistics.stdev(values)
            print(f"test {name.upper()}: {mean:.3f} ± {spread:.3f} (mean and sd over {len(values)} folds)")


class _Bars:
    """One progress bar for each thing that is being made, on a terminal."""

    def __init__(self) -> None:
        self._bar, self._title = progress("", 0), ""

    def __enter__(self) -> "_Bars":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, title: str, done: int, total: int) -> None:
        if title != self._title:
            self._bar.close()
            self._bar, self._title = progress(title, total), title
        advance(self._bar, done)
