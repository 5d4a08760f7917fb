"""What a command works with: settings with its options on top, the store, models and clips."""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from core import commas
from core.audio.decoder import decoder
from core.corpora.clip import Clip
from core.corpora.select import Slice, Unusable, choose, identify, parse_where
from core.corpora.source import Listing, list_source
from core.errors import Refusal
from core.models.describe import Models
from core.models.info import ModelInfo
from core.models.registry import Refused
from core.settings import Settings, read_settings
from core.store.store import Store

DONE, FAILED, WRONG_REQUEST, CASUALTIES = 0, 1, 2, 3  # exit codes


@contextlib.contextmanager
def session(arguments: argparse.Namespace) -> Iterator[tuple[Settings, Store]]:
    """Settings and store of one command; with --no-cache the store is a temporary one."""
    options = {"registry": "registry", "cache_dir": "cache", "device": "device", "dtype": "dtype"}
    given = {name: value for name, option in options.items() if (value := getattr(arguments, option, None)) is not None}
    with contextlib.ExitStack() as stack:
        if getattr(arguments, "no_cache", False):
            given["cache_dir"] = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lorascope-")))
        settings = read_settings(**given)
        yield settings, Store(settings.cache_dir, settings.cache_max_gb)


@dataclass(frozen=True)
class Selection:
    """Clips that were chosen, those of them that can't be used, and the source they were chosen from."""

    clips: list[Clip]
    unusable: list[Unusable]
    source: Listing


def select_clips(arguments: argparse.Namespace, store: Store) -> Selection:
    """The clips the arguments choose, decoded once for their ids."""
    slice_ = Slice(parse_where(arguments.where), arguments.balanced, arguments.limit, arguments.seed)
    source = list_source(arguments.clips, store.directory)
    listed = choose(source.clips, slice_)
    with progress("clips", len(listed)) as bar:
        clips, unusable = identify(listed, decoder(), store.index, lambda done: advance(bar, done))
    return Selection(clips, unusable, source)


def parse_models(text: str) -> list[str] | None:
    """Model names from the command line; None for all of them."""
    names = list(dict.fromkeys(commas.split(text)))
    if not names:
        raise Refusal("--models names no model: give names from the registry, or all.")
    return None if names == ["all"] else names


def choose_models(registry: Models, names: list[str] | None) -> tuple[list[ModelInfo], list[Refused]]:
    """The models of these names, or all, and those of them that can't be used. Refuses where none can."""
    refused = {entry.name: entry for entry in registry.refused}
    if names is None:
        models, bad = list(registry.models), list(registry.refused)
    else:
        bad = [refused[name] for name in names if name in refused]
        models = [registry.named(name) for name in names if name not in refused]
    if not models:
        raise Refusal(bad[0].reason)
    return models, bad


def progress(title: str, total: int) -> tqdm:
    """A progress bar on a terminal, silence in a pipe."""
    return tqdm(total=total, desc=title, unit="", leave=False, disable=not sys.stderr.isatty())


def advance(bar: tqdm, done: int) -> None:
    """Move a bar to `done`."""
    bar.update(done - bar.n)


def show(bar: tqdm, total: int, done: int) -> None:
    """Move a bar to `done` of a total that was not known before."""
    bar.total = total
    advance(bar, done)


def complain(lines: list[str]) -> None:
    """Casualties go to stderr, one a line."""
    for line in lines:
        print(line, file=sys.stderr)
