"""`report`: what the pages show of a selection of clips, in one HTML file that needs no server and no network."""

import argparse
from pathlib import Path

from core.cli.analyze import parse_what
from core.cli.answering import Answered, answered
from core.cli.output import make_directory
from core.cli.session import CASUALTIES, DONE, complain
from core.corpora.source import DEMO
from core.errors import Refusal
from core.figures.view import View

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
    done = answered(arguments, list(dict.fromkeys([*asked, *also])), lambda: make_directory(out.parent))
    synthetic = DEMO in arguments.clips or any(model.synthetic for model in done.request.models)
    found = sections(asked, _view(done), done.request)
    text = page(arguments.title, found, done.request, done.run_json(), synthetic=synthetic)
    temporary = out.with_name(f".{out.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(out)
    complain([*done.casualties, *(f"Note: {line}" for line in done.windowed())])
    return CASUALTIES if done.casualties else DONE


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
