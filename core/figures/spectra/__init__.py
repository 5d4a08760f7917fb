"""Figures of the Spectra page, its answer and its words."""

from core.figures.adapters import adapters, targets
from core.figures.spectra.answer import answer
from core.figures.spectra.energy import energy
from core.figures.spectra.layers import MEASURES, NORM, heatmap, norms, split
from core.figures.spectra.parts import KINDS
from core.figures.spectra.subspaces import SHARED, pairs, subspaces
from core.figures.spectra.sv90 import distribution, efficiency
from core.figures.spectra.weights import LOOKS, OVERLAP, overlap_sizes, weights
from core.figures.spectra.words import COMPARED, NO_CLIPS, unlabelled

__all__ = [
    "COMPARED",
    "KINDS",
    "LOOKS",
    "MEASURES",
    "NORM",
    "NO_CLIPS",
    "OVERLAP",
    "SHARED",
    "adapters",
    "answer",
    "distribution",
    "efficiency",
    "energy",
    "heatmap",
    "norms",
    "overlap_sizes",
    "pairs",
    "split",
    "subspaces",
    "targets",
    "unlabelled",
    "weights",
]
