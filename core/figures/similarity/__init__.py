"""Figures of the Similarity page, and its answer."""

from core.figures.similarity.alignment import alignment
from core.figures.similarity.answer import answer
from core.figures.similarity.depths import comparable, same_depth
from core.figures.similarity.maps import heatmaps
from core.figures.similarity.rows import KERNELS, estimators, series
from core.figures.similarity.words import caution, undefined_alignment, undefined_layers

__all__ = [
    "KERNELS",
    "alignment",
    "answer",
    "caution",
    "comparable",
    "estimators",
    "heatmaps",
    "same_depth",
    "series",
    "undefined_alignment",
    "undefined_layers",
]
