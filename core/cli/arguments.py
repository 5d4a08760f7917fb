"""What the command line understands. Names and defaults only; no work happens here."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from core import __version__
from core.analyses.catalogue import ANALYSES
from core.errors import Refusal

VARIANTS = ("published", "released", "corrected")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line instead of the usage text; `--help` shows that."""
        raise Refusal(f"{message} (`{self.prog} --help` shows what there is).")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Arguments of one call; `run` names the command's function. Raises Refusal where they make no sense."""
    parser = _Parser(prog="python -m core", description="LoRAscope: what LoRA changed inside an adapted speech model.")
    parser.add_argument("--version", action="version", version=f"LoRAscope {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    models = commands.add_parser("models", help="list the registry's models")
    _add_registry(models)
    models.add_argument("--check", action="store_true", help="load each (fetching hub ids that are not here yet)")
    _add_device(models)

    clips = commands.add_parser("clips", help="list a selection of clips as CSV")
    _add_clips(clips)
    _add_cache(clips)

    analyze = commands.add_parser("analyze", help="run analyses and write their numbers as CSV")
    analyze.add_argument("what", metavar="WHAT", help=f"{', '.join(ANALYSES)}, several with commas, or all")
    analyze.add_argument("--models", required=True, metavar="A,B", help="names in the registry, or all")
    analyze.add_argument("--out", required=True, type=Path, metavar="DIR", help="where WHAT.csv and run.json go")
    analyze.add_argument(
        "--reference", metavar="NAME", help="compare with this one (default: the group's frozen model)"
    )
    analyze.add_argument("--variant", choices=VARIANTS, default="published")
    analyze.add_argument("--frames", choices=("all", "audio"), help="default: audio for corrected, else all")
    analyze.add_argument(
        "--window", type=float, default=0.0, metavar="SECONDS", help="where the window begins in clips longer than it"
    )
    _add_registry(analyze)
    _add_clips(analyze)
    _add_device(analyze)
    _add_cache(analyze)

    cache = commands.add_parser("cache", help="look after the activation cache")
    cache.add_argument("action", choices=("stats", "verify", "prune"))
    cache.add_argument(
        "--to-gb", type=_gigabytes, metavar="GB", help="prune: size to shrink to (default: below the limit)"
    )
    _add_cache(cache, optional=False)

    commands.add_parser("settings", help="list every setting with its value")
    demo = commands.add_parser("demo", help="rebuild the embedded demo from nothing (about an hour)")
    demo.add_argument("--out", type=Path, metavar="DIR", help="where to build (default: demo/ of the repository)")
    return parser.parse_args(words)


def _add_registry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--registry", type=Path, metavar="FILE", help="models (default: models.toml of the repository)")


def _add_clips(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--clips", required=True, nargs="+", metavar="SOURCE", help="demo, folder:/path, or audio files"
    )
    parser.add_argument("--where", default="", metavar="F=V,…", help="slice, as emotion=anger,speaker=F01")
    parser.add_argument("--balanced", type=_count, metavar="K", help="K clips of each class")
    parser.add_argument("--limit", type=_count, metavar="N", help="at most N clips")
    parser.add_argument("--seed", type=_seed, default=0, metavar="S", help="of the balanced sample and of resampling")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", metavar="D", help="auto, cpu, cuda or cuda:i")
    parser.add_argument("--dtype", metavar="T", help="auto, float32, float16 or bfloat16")


def _add_cache(parser: argparse.ArgumentParser, *, optional: bool = True) -> None:
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="activation cache (default: cache/ of the repository)"
    )
    if optional:
        parser.add_argument("--no-cache", action="store_true", help="keep no records")


def _count(text: str) -> int:
    return _at_least(1, text)


def _seed(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number, {least} or more")
    return number


def _gigabytes(text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    if not 0 <= size < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no size, 0 GB or more")
    return size
