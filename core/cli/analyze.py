"""`analyze`: run analyses on a selection of clips and write their numbers, and how they came about."""

import argparse

from core import commas
from core.analyses.catalogue import ANALYSES
from core.analyses.table import write_csv
from core.cli.answering import answered
from core.cli.output import group_directory, make_directory
from core.cli.session import CASUALTIES, DONE, complain
from core.errors import Refusal
from core.provenance import write_json


def analyze(arguments: argparse.Namespace) -> int:
    """Write WHAT.csv for each analysis and run.json; casualties are listed there and on stderr."""
    out = arguments.out
    done = answered(arguments, parse_what(arguments.what), lambda: make_directory(out))
    for group, results in done.answers.results.items():
        directory = group_directory(out, group)
        make_directory(directory)
        for name, table in results.items():
            write_csv(directory / f"{name}.csv", table.rows())
    write_json(out / "run.json", done.run_json())
    complain([*done.casualties, *(f"Note: {text}" for text in done.windowed())])
    return CASUALTIES if done.casualties else DONE


def parse_what(text: str) -> list[str]:
    """Analyses named on the command line, in the catalogue's order; `all` leaves out the long one, causal."""
    asked = commas.split(text)
    unknown = [word for word in asked if word not in ANALYSES and word != "all"]
    if unknown or not asked:
        there = f"{', '.join(ANALYSES)}, and all (but causal)"
        raise Refusal(f"{(unknown or ['nothing'])[0]!r} is no analysis; there are {there}.")
    return [name for name in ANALYSES if name in asked or ("all" in asked and name != "causal")]
