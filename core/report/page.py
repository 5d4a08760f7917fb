"""One HTML file of sections: charts, formulas, numbers and how they came about, without anything from outside."""

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from plotly.offline import get_plotlyjs

from core.analyses.request import AnalysisRequest
from core.emotions import canonical
from core.figures.drawing import Drawing
from core.figures.layout import CONFIG, DARK_TEXT, LIGHT_TEXT
from core.figures.theme import DARK_BACKGROUND, INK, LIGHT_BACKGROUND
from core.figures.words import SYNTHETIC, SYNTHETIC_HELP, VARIANTS
from core.report.sections import Section

_MARKDOWN = MarkdownIt("commonmark", {"html": False})
_LATEX = {  # what the converter would draw as one line, or as its name
    r"\begin{gathered}": r"\begin{array}{l}",
    r"\end{gathered}": r"\end{array}",
    r"\arg\max": r"\text{arg max}",
    r"\Big\{": r"\left\{",
    r"\Big\}": r"\right\}",
    r"\Big(": r"\left(",
    r"\Big)": r"\right)",
}
_SPECIAL = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}  # in JSON within a script no tag may begin or end


def page(
    title: str,
    sections: Sequence[Section],
    request: AnalysisRequest,
    run: Mapping[str, Any],
    *,
    synthetic: bool,
    empty: Sequence[str] = (),
) -> str:
    """The whole file. `run` is what `analyze` writes to run.json; `synthetic`: a model or the clips are the demo's;
    `empty` are analyses that have nothing to show of these models."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["markdown"] = _MARKDOWN.render
    template = environment.from_string((files("core.report") / "page.html.jinja").read_text(encoding="utf-8"))
    labels = Counter(canonical(clip.label) if clip.label else "unlabelled" for clip in request.clips)
    return template.render(
        title=title,
        sections=[_section(i, section) for i, section in enumerate(sections, 1)],
        request=request,
        labels=sorted(labels.items()),
        speakers=len({clip.speaker for clip in request.clips if clip.speaker}),
        run=run,
        variant=VARIANTS[request.variant],
        synthetic=(SYNTHETIC, SYNTHETIC_HELP) if synthetic else None,
        empty=empty,
        plotly=get_plotlyjs(),
        settings=json.dumps(
            {"ink": INK, "text": [LIGHT_TEXT, DARK_TEXT], "config": CONFIG | {"displayModeBar": "hover"}}
        ),
        colors={"light": (LIGHT_BACKGROUND, LIGHT_TEXT), "dark": (DARK_BACKGROUND, DARK_TEXT)},
    )


def _section(number: int, section: Section) -> dict[str, Any]:
    return {
        "id": f"section-{number}",
        "title": section.title,
        "question": section.question,
        "answer": section.answer,
        "charts": [_chart(f"{number}-{i}", heading, one) for i, (heading, one) in enumerate(section.charts, 1)],
        "quiet": [text for text in section.quiet if text],
    }


def _chart(number: str, heading: str, drawing: Drawing) -> dict[str, Any]:
    return {
        "heading": heading,
        "known": any(row.value is not None for table in drawing.numbers.values() for row in table.rows()),
        "figure": _replaced(drawing.figure.to_json(), _SPECIAL),
        "height": drawing.figure.layout.height,
        "alt": drawing.alt,
        "how_to_read": drawing.how_to_read,
        "formula": convert(_replaced(drawing.formula, _LATEX), display="block"),
        "formula_note": drawing.formula_note,
        "csv": base64.b64encode(drawing.csv().encode()).decode(),
        "filename": f"lorascope-{number}.csv",
    }


def _replaced(text: str, replacements: Mapping[str, str]) -> str:
    for found, new in replacements.items():
        text = text.replace(found, new)
    return text
