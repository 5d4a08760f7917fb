"""Figures of the Lens page, its answer, and the clips behind its curves."""

from core.figures.lens.answer import answer
from core.figures.lens.charts import CURVES, main, pointed, trajectories
from core.figures.lens.clips import Behind, Reading, behind
from core.figures.lens.convergence import coincide, convergence, missing

__all__ = [
    "CURVES",
    "Behind",
    "Reading",
    "answer",
    "behind",
    "coincide",
    "convergence",
    "main",
    "missing",
    "pointed",
    "trajectories",
]
