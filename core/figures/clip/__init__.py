"""Figures of the Clip page, each with its alt text (`…_alt`) and its numbers as rows (`…_table`)."""

from core.figures.clip.audio import audio_view
from core.figures.clip.depth import (
    layer_class_heatmaps,
    layer_class_heatmaps_alt,
    layer_class_heatmaps_table,
    trajectories,
    trajectories_alt,
    trajectories_table,
)
from core.figures.clip.frames import audio_view_alt, audio_view_table, envelope
from core.figures.clip.summary import (
    final_probabilities,
    final_probabilities_alt,
    final_probabilities_table,
    kl_curves,
    kl_curves_alt,
    kl_curves_table,
)
from core.figures.clip.views import AudioTrack, ClipView
from core.figures.clip.window import window_view, window_view_alt
from core.figures.clip.words import FORMULA, HOW_TO_READ

__all__ = [
    "FORMULA",
    "HOW_TO_READ",
    "AudioTrack",
    "ClipView",
    "audio_view",
    "audio_view_alt",
    "audio_view_table",
    "envelope",
    "final_probabilities",
    "final_probabilities_alt",
    "final_probabilities_table",
    "kl_curves",
    "kl_curves_alt",
    "kl_curves_table",
    "layer_class_heatmaps",
    "layer_class_heatmaps_alt",
    "layer_class_heatmaps_table",
    "trajectories",
    "trajectories_alt",
    "trajectories_table",
    "window_view",
    "window_view_alt",
]
