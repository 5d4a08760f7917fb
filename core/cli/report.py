"""`report`: what the pages show of a selection of clips, in one HTML file that needs no server and no network."""

import argparse
from pathlib import Path

from core.cli.analyze import parse_what
from core.cli.answering import Answered, answered
from core.cli.output import make_directory, writing
from core.cli.session import CASUALTIES, DONE, complain
from core.corpora.source import DEMO
from core.errors import Refusal
from core.figures.view import View
from core.provenance import write_text

_SUFFIXES = (".html", ".htm")


def report(arguments: argparse.Namespace) -> int:
    """Write the file; casualties are listed in it and on stderr."""
    from core.report.page import page
    from core.report.sections import ALSO, SECTIONS, sections

    out: Path = arguments.out
    if out.suffix.lower() not in _SUFFIXES:
        raise Refusal(f"--out is {out}: give the name of an HTML file, as report.html.")
    asked = [name for name in parse_what(arguments.what) if name in SECTIONS]
    if not asked:
        raise Refusal(f"{arguments.what} has no section in a report; there are {', '.join(SECTIONS)}.")
    also = [other for name in asked for other in ALSO.get(name, ())]
    done = answered(arguments, list(dict.fromkeys([*asked, *also])), lambda: _make_room(out))
    synthetic = DEMO in arguments.clips or any(model.synthetic for model in done.request.models)
    view = _view(done)
    found = {name: sections([name], view, done.request) for name in asked}
    empty = [name for name, of in found.items() if not of]
    if len(empty) == len(asked):
        raise Refusal(f"There is nothing to report: {', '.join(empty)} can't say anything of these models and pairs.")
    shown = [section for of in found.values() for section in of]
    text = page(arguments.title, shown, done.request, done.run_json(), synthetic=synthetic, empty=empty)
    with writing(out):
        write_text(out, text)
    complain([*done.casualties, *(f"Note: {line}" for line in done.windowed())])
    return CASUALTIES if done.casualties else DONE


def _make_room(out: Path) -> None:
    """Refuses, before anything is computed, what can't become a file."""
    make_directory(out.parent)
    with writing(out):
        taken = out.is_dir()
    if taken:
        raise Refusal(f"{out} is a directory: give the name of an HTML file in it.")


def _view(done: Answered) -> View:
    request = done.request
    return View(
        models=request.models,
        reference=next(model for model in request.models if model.name == request.reference),
        variant=request.variant,
        frames=request.frames,
        tables=done.answers.results,
        clips=request.clips,
        total=len(request.clips),
        done=True,
    )
