"""The Clip page's charts: one clip under the chosen models, as far as its records are there."""

import re
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.analyses.catalogue import ANALYSES
from core.analyses.request import AnalysisRequest, Variant
from core.analyses.stored import StoredRecords
from core.analyses.table import csv_text
from core.figures import clip as figures
from core.figures.theme import class_order
from core.ui import context, links, viewport
from core.ui.charts import Chart, Reproduce, show
from core.ui.clip_views import Read, track_of
from core.ui.clips import Chosen
from core.ui.keys import Key
from core.ui.reproduce import reproduce
from core.ui.selection import Selection

_BEST = "most probable class"
_SHOWN = (Key.START, Key.READING, Key.PADDING)
_PHONE_PANEL = 220
_PENDING = "Nothing to show yet: the models are still computing."
_NOTES: dict[Variant, str] = {
    "published": "Published: as the paper writes it. The classifier reads the raw residual stream, without the "
    "encoder's final layer norm, so the last point need not agree with the model.",
    "released": "Released: as the authors' code computes it, also without the final layer norm; its KL divergence runs "
    "from the model to the point, D(model ‖ point), the other way round than published.",
    "corrected": "Corrected: the encoder's final layer norm comes first, so that over all frames the last point is the "
    "model's own answer.",
}


@dataclass(frozen=True)
class ClipCharts:
    """Draws the charts of one page run."""

    selection: Selection
    chosen: Chosen
    reads: tuple[Read, ...]

    @property
    def views(self) -> list[figures.ClipView]:
        return [one.view for one in self.reads]

    @property
    def ready(self) -> list[figures.ClipView]:
        return [one.view for one in self.reads if not one.view.note]

    def lens(self) -> None:
        """Class probabilities over depth, a panel a model: the page's main chart."""
        narrow = viewport.narrow()
        figure = figures.trajectories(
            self.views,
            stacked=narrow,
            label=self.chosen.clip.label,
            **({"panel": _PHONE_PANEL} if narrow else {}),
        )
        self._show(Key.CLIP_LENS, "trajectories", "lens", figure)

    def final(self) -> None:
        """What each model answers in the end."""
        figure = figures.final_probabilities(self.views, label=self.chosen.clip.label, stacked=viewport.narrow())
        self._show(Key.CLIP_FINAL, "final_probabilities", "predict", figure)

    def kl(self) -> None:
        """How far each depth is from that answer."""
        self._show(Key.CLIP_KL, "kl_curves", "lens", figures.kl_curves(self.views, stacked=viewport.narrow()))

    def heatmap(self) -> None:
        """The main chart's numbers as colour."""
        figure = figures.layer_class_heatmaps(self.views, stacked=viewport.narrow())
        self._show(Key.CLIP_HEATMAP, "layer_class_heatmaps", "lens", figure)

    def frames(self) -> None:
        """Waveform, spectrogram and every frame's own reading, with what of it to show."""
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        names = class_order([name for one in self.reads for name in one.model.labels])
        reading = left.segmented_control(
            "Show at each depth and time",
            [_BEST, *names],
            default=_BEST,
            required=True,
            key=Key.READING,
            bind="query-params",
            help="Per-frame lens: the classifier applied to one frame at a time at one depth, never averaged first.",
        )
        padding = right.toggle(
            "with padding",
            key=Key.PADDING,
            bind="query-params",
            help="The models always see a whole window; behind the clip's end it is padded with silence.",
        )
        track = track_of(self.reads)
        shown = "argmax" if reading == _BEST else reading
        figure = figures.audio_view(track, self.views, show=shown, whole_window=padding)
        alt = figures.audio_view_alt(track, self.ready, show=shown) if self.ready else _PENDING
        self._show(Key.CLIP_FRAMES, "audio_view", "lens", figure, alt=alt)

    def _show(self, key: Key, name: str, analysis: str, figure: Any, alt: str = "") -> None:
        ready = self.ready
        variant = self.selection.variant
        alt = alt or (getattr(figures, f"{name}_alt")(ready) if ready else _PENDING)
        stem = f"{key}-{re.sub(r'[^A-Za-z0-9]+', '-', self.chosen.clip.name).strip('-')}-{variant}"
        show(
            Chart(
                key=key,
                figure=figure,
                alt=alt,
                how_to_read=figures.HOW_TO_READ[name],
                formula=figures.FORMULA[name][variant],
                formula_note=_NOTES[variant],
                table=lambda: getattr(figures, f"{name}_table")(ready),
                csv=lambda: self._csv(analysis),
                filename=stem,
                reproduce=self._reproduce(analysis),
            )
        )

    @property
    def _start(self) -> int:
        return max(one.task.window_start for one in self.reads)

    def _csv(self, analysis: str) -> str:
        """The rows that `python -m core analyze` writes for this clip and these models."""
        chosen = self.selection
        if chosen.reference is None:
            return csv_text(())
        request = AnalysisRequest(
            chosen.models,
            (self.chosen.clip,),
            chosen.reference.name,
            chosen.variant,
            chosen.frames,
            window_start=self._start,
        )
        records = StoredRecords(context.store(), context.engine().precision, self._start)
        return csv_text(ANALYSES[analysis].compute(records, request).rows())

    def _reproduce(self, analysis: str) -> Reproduce:
        return reproduce(links.CLIP, _SHOWN, analysis, self.selection, (self.chosen.clip,), self._start)
