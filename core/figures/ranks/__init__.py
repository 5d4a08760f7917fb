"""Figures of the Ranks page, its answer and its verdicts."""

from core.figures.ranks.chosen import comparable, emotions
from core.figures.ranks.maps import BEGINNING, MAPS, lassoed, maps
from core.figures.ranks.metrics import separation
from core.figures.ranks.others import contribution_verdicts, lens_verdicts, similarity_verdicts, spectrum_verdicts
from core.figures.ranks.scores import cost, score_verdicts, scored, scores, unscored
from core.figures.ranks.sensitivity import sensitivity
from core.figures.ranks.verdicts import ALL, answer, claim, verdicts

__all__ = [
    "ALL",
    "BEGINNING",
    "MAPS",
    "answer",
    "claim",
    "comparable",
    "contribution_verdicts",
    "cost",
    "emotions",
    "lassoed",
    "lens_verdicts",
    "maps",
    "score_verdicts",
    "scored",
    "scores",
    "sensitivity",
    "separation",
    "similarity_verdicts",
    "spectrum_verdicts",
    "unscored",
    "verdicts",
]
