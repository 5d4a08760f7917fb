"""What the command line understands. Names and defaults only; no work happens here."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from core import __version__, commas
from core.analyses.catalogue import ANALYSES
from core.analyses.request import CAUSAL_PARTS, CausalPart
from core.corpora.folds import SCHEMES
from core.errors import Refusal
from core.interventions import PAIRINGS, read_span
from core.training.recipe import PRESETS

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
    analyze.add_argument(
        "what", metavar="WHAT", help=f"{', '.join(ANALYSES)}, several with commas, or all (but causal)"
    )
    analyze.add_argument("--models", required=True, metavar="A,B", help="names in the registry, or all")
    analyze.add_argument("--out", required=True, type=Path, metavar="DIR", help="where WHAT.csv and run.json go")
    analyze.add_argument(
        "--by",
        metavar="FIELD",
        help="split by emotion, speaker, session or correct:MODEL, into DIR/GROUP/WHAT.csv",
    )
    _add_clips(analyze)
    _add_analysis(analyze)

    report = commands.add_parser("report", help="the pages' answers and charts in one HTML file")
    report.add_argument("what", metavar="WHAT", nargs="?", default="all", help="as for analyze (default: all)")
    report.add_argument("--models", default="all", metavar="A,B", help="names in the registry, or all (default)")
    report.add_argument("--out", required=True, type=Path, metavar="FILE", help="the HTML file")
    report.add_argument("--title", default="LoRAscope report", metavar="TEXT", help="its title")
    _add_clips(report, default=["demo"])
    _add_analysis(report)
    report.set_defaults(by=None)

    _add_train(commands.add_parser("train", help="train an adapter, a head or a whole encoder, fold by fold"))

    _add_evaluate(commands.add_parser("evaluate", help="UAR, WAR and confusion on labelled clips, compared pairwise"))

    cache = commands.add_parser("cache", help="look after the activation cache")
    cache.add_argument("action", choices=("stats", "verify", "prune"))
    cache.add_argument(
        "--to-gb", type=_gigabytes, metavar="GB", help="prune: size to shrink to (default: below the limit)"
    )
    _add_cache(cache, optional=False)

    commands.add_parser("settings", help="list every setting with its value")
    demo = commands.add_parser("demo", help="rebuild the embedded demo from nothing (about two hours)")
    demo.add_argument("--out", type=Path, metavar="DIR", help="where to build (default: demo/ of the repository)")
    return parser.parse_args(words)


def _add_analysis(parser: argparse.ArgumentParser) -> None:
    """Options of whatever runs analyses."""
    parser.add_argument("--reference", metavar="NAME", help="compare with this one (default: the group's frozen model)")
    parser.add_argument("--variant", choices=VARIANTS, default="published")
    parser.add_argument("--frames", choices=("all", "audio"), help="default: audio for corrected, else all")
    parser.add_argument(
        "--untrained-seeds",
        type=_count,
        default=1,
        metavar="N",
        help="draws of each untrained counterpart (default: 1)",
    )
    parser.add_argument(
        "--window", type=float, default=0.0, metavar="SECONDS", help="where the window begins in clips longer than it"
    )
    parser.add_argument(
        "--causal",
        type=_parts,
        default=CAUSAL_PARTS,
        metavar="PART,…",
        help=f"parts of causal: {', '.join(CAUSAL_PARTS)} (default: both)",
    )
    parser.add_argument(
        "--pairs",
        choices=PAIRINGS,
        default="dial",
        help="causal: patch between LoRA on and off, minimal pairs of clips, or clip and noise (default: dial)",
    )
    parser.add_argument(
        "--partner",
        metavar="NAME",
        help="causal: the other clip of one clip's minimal pair (default: the nearest one of its source)",
    )
    parser.add_argument(
        "--span", type=_span, metavar="A-B", help="causal: patch only from A to B seconds of the window, as 0.2-0.8"
    )
    _add_registry(parser)
    _add_device(parser)
    _add_cache(parser)


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", required=True, metavar="B", help="hub id or directory of a Whisper checkpoint")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where fold1, fold2, … go")
    parser.add_argument("--preset", choices=tuple(PRESETS), help="the paper's recipe, or its released script's")
    parser.add_argument("--folds", choices=SCHEMES, help="how clips are divided (default: speakers)")
    parser.add_argument("--fold", metavar="N,…", help="only these folds (default: all)")
    parser.add_argument("--rank", type=_seed, metavar="R", help="of LoRA; 0 trains the head alone (default: 32)")
    parser.add_argument("--alpha", type=float, metavar="A", help="of LoRA (default: twice the rank)")
    parser.add_argument("--dropout", type=float, metavar="P", help="of LoRA (default: 0.1)")
    parser.add_argument("--targets", metavar="T,…", help="projections LoRA adapts (default: v_proj)")
    parser.add_argument("--layers", metavar="L,…", help="layers LoRA adapts, as 0-3,7 (default: all)")
    parser.add_argument("--full", action="store_true", help="train the whole encoder instead of an adapter")
    parser.add_argument("--head", type=Path, metavar="DIR", help="trained head to start from, or a run with one a fold")
    parser.add_argument("--epochs", type=_count, metavar="N", help="at most (default: 20)")
    parser.add_argument("--patience", type=_seed, metavar="N", help="stop after N epochs without a better one")
    parser.add_argument("--learning-rate", type=float, metavar="X", help="highest one (default: 5e-5)")
    parser.add_argument("--warmup", type=float, metavar="S", help="share of the steps until it is reached (default: 0)")
    parser.add_argument("--batch-size", type=_count, metavar="N", help="clips a step and device (default: 8)")
    parser.add_argument("--weight-decay", type=float, metavar="X", help="of AdamW (default: 0)")
    parser.add_argument("--class-weights", action="store_true", help="let every class count alike")
    parser.add_argument("--shuffle-labels", action="store_true", help="a control: permute the training labels")
    _add_clips(parser)
    _add_device(parser)
    _add_cache(parser, optional=False)
    parser.set_defaults(seed=None)  # the preset's, which a given one replaces


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--models", metavar="A,B", help="names in the registry, or all; needs --clips")
    what.add_argument(
        "--runs", nargs="+", type=Path, metavar="DIR", help="what `train` wrote, or folds of it, each on its test clips"
    )
    parser.add_argument("--reference", metavar="NAME", help="compare with this row (default: the frozen one)")
    parser.add_argument("--base", metavar="B", help="of the runs, where theirs has moved: hub id or directory")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where evaluate.csv and evaluate.json go")
    _add_registry(parser)
    _add_clips(parser, required=False)
    _add_device(parser)
    _add_cache(parser)


def _add_registry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--registry", type=Path, metavar="FILE", help="models (default: models.toml of the repository)")


def _add_clips(parser: argparse.ArgumentParser, *, required: bool = True, default: Sequence[str] | None = None) -> None:
    parser.add_argument(
        "--clips",
        required=required and default is None,
        default=default,
        nargs="+",
        metavar="SOURCE",
        help="demo, iemocap:/path, folder:/path, dataset:…, or audio files",
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


def _parts(text: str) -> tuple[CausalPart, ...]:
    asked = commas.split(text)
    unknown = [word for word in asked if word not in CAUSAL_PARTS]
    if unknown or not asked:
        bad, there = (unknown or ["nothing"])[0], " and ".join(CAUSAL_PARTS)
        raise argparse.ArgumentTypeError(f"{bad!r} is no part of causal; there are {there}")
    return tuple(part for part in CAUSAL_PARTS if part in asked)


def _span(text: str) -> tuple[float, float]:
    span = read_span(text)
    if span is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time span: give two rising seconds, as 0.2-0.8")
    return span


def _gigabytes(text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    if not 0 <= size < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no size, 0 GB or more")
    return size
