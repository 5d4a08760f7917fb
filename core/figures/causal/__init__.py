"""Figures of the Causal page, its answers and its warnings."""

from core.figures.causal.answer import answer_erasure, answer_layers, answer_patching
from core.figures.causal.erasure import erasure
from core.figures.causal.layers import SWITCHES, layers
from core.figures.causal.patching import MEASURES, beside, patching, warnings
from core.figures.causal.truncation import truncation
from core.figures.causal.wave import span_alt, span_view

__all__ = [
    "MEASURES",
    "SWITCHES",
    "answer_erasure",
    "answer_layers",
    "answer_patching",
    "beside",
    "erasure",
    "layers",
    "patching",
    "span_alt",
    "span_view",
    "truncation",
    "warnings",
]
