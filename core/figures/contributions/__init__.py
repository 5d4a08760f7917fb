"""Figures of the Contributions page, and its answer."""

from core.figures.contributions.answer import NAMES, answer
from core.figures.contributions.charts import UNIT, main, norms, padding

__all__ = ["NAMES", "UNIT", "answer", "main", "norms", "padding"]
