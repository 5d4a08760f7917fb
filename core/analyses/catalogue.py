"""Every analysis by the name it has on the command line, in the order it is run and shown.

A new analysis is one module with `needs`, `compute` and a result, and one line here.
"""

from collections.abc import Mapping
from typing import Protocol

from core.analyses import contributions, lens, predict
from core.analyses.request import AnalysisRequest, Records, Result
from core.engine.interface import Pass


class Analysis(Protocol):
    """What an analysis module offers."""

    def needs(self, request: AnalysisRequest) -> tuple[Pass, ...]:
        """The passes whose records `compute` will read."""
        ...

    def compute(self, records: Records, request: AnalysisRequest) -> Result:
        """The result of whatever records there are; a missing one only makes it smaller."""
        ...


ANALYSES: Mapping[str, Analysis] = {"predict": predict, "contributions": contributions, "lens": lens}
