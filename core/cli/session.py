"""What a command works with: settings with its options on top, the store, and clips."""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from core.audio.decoder import decoder
from core.corpora.clip import Clip
from core.corpora.select import Slice, Unusable, choose, identify, parse_where
from core.corpora.source import list_source
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


def select_clips(arguments: argparse.Namespace, store: Store) -> tuple[list[Clip], list[Unusable]]:
    """The clips the arguments choose, decoded once for their ids, and those that can't be used."""
    slice_ = Slice(parse_where(arguments.where), arguments.balanced, arguments.limit, arguments.seed)
    listed = choose(list_source(arguments.clips).clips, slice_)
    with progress("clips", len(listed)) as bar:
        return identify(listed, decoder(), store.index, lambda done: advance(bar, done))


def progress(title: str, total: int) -> tqdm:
    """A progress bar on a terminal, silence in a pipe."""
    return tqdm(total=total, desc=title, unit="", leave=False, disable=not sys.stderr.isatty())


def advance(bar: tqdm, done: int) -> None:
    """Move a bar to `done`."""
    bar.update(done - bar.n)


def complain(lines: list[str]) -> None:
    """Casualties go to stderr, one a line."""
    for line in lines:
        print(line, file=sys.stderr)
