"""Every analysis by the name it has on the command line, in the order it is run and shown.

A new analysis is one module with `needs`, `compute` and a result, and one line here.
"""

from collections.abc import Mapping
from typing import Protocol

from core.analyses import causal, cka, contributions, lens, predict, ranks, spectra
from core.analyses.request import AnalysisRequest, Records, Result
from core.engine.interface import Task


class Analysis(Protocol):
    """What an analysis module offers."""

    def needs(self, request: AnalysisRequest, records: Records | None = None) -> tuple[Task, ...]:
        """The tasks whose records `compute` will read, as far as can be said without any record.

        Asked again with `records` once these are done: what to do may depend on them (an unlabelled clip's gradient is
        of the class that the model predicts).
        """
        ...

    def compute(self, records: Records, request: AnalysisRequest) -> Result:
        """The result of whatever records there are; a missing one only makes it smaller."""
        ...


ANALYSES: Mapping[str, Analysis] = {
    "predict": predict,
    "contributions": contributions,
    "lens": lens,
    "spectra": spectra,
    "cka": cka,
    "ranks": ranks,
    "causal": causal,
}
