"""A chart with everything that is said about it, whoever shows it: page, report or file."""

from collections.abc import Mapping
from dataclasses import dataclass

import plotly.graph_objects as go

from core.analyses.table import csv_text
from core.analyses.tidy import Table


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure, the rows it shows by group of clips (without a split the only group is ""), and its words.

    `formula` is LaTeX in the variant that is shown, `formula_note` says in a sentence what the variant means for it.
    """

    figure: go.Figure
    numbers: Mapping[str, Table]
    alt: str
    how_to_read: str
    formula: str
    formula_note: str

    def __post_init__(self) -> None:
        """`alt` may hold an answer, but is read aloud as it is: no marks, no line breaks."""
        object.__setattr__(self, "alt", self.alt.replace("**", "").replace("  \n", " "))

    def csv(self) -> str:
        """The rows as the command line writes them; of several groups each with its name in front."""
        texts = {group: csv_text(table.rows()) for group, table in self.numbers.items()}
        if list(texts) == [""]:
            return texts[""]
        lines = [f"{group},{line}" for group, text in texts.items() for line in text.splitlines()[1:]]
        header = next(iter(texts.values())).splitlines()[0]
        return "\n".join([f"group,{header}", *lines]) + "\n"
