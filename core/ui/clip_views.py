"""From records to what the Clip page's figures are given. A model that is not there yet has its place, but no data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.analyses.landmarks import saturation_point
from core.analyses.lens import frame_probabilities, kl_curve, own_prediction, trajectory
from core.analyses.request import Frames, Variant
from core.audio.mel import HOP, log_mel, mel_centres
from core.audio.waveform import SAMPLE_RATE
from core.corpora.clip import Clip
from core.errors import Refusal
from core.figures.clip import AudioTrack, ClipView, envelope
from core.models.info import ModelInfo
from core.store.forward import ForwardRecord
from core.ui import context
from core.ui.jobs import Answer, Asked

_SILENT_DB = -80.0
_MELS = 80


@dataclass(frozen=True)
class Read:
    """One model's place on the page: its pass, how that stands, and the view, without data until it is ready."""

    task: Asked
    answer: Answer
    view: ClipView

    @property
    def model(self) -> ModelInfo:
        return self.task.model


def read(task: Asked, answer: Answer, variant: Variant, frames: Frames) -> Read:
    """What there is of one pass."""
    model = task.model
    if answer.ready:
        arrays = context.store().read(task.keys(context.engine().precision)[0])
        if arrays is not None:
            return Read(task, answer, view_of(model, ForwardRecord.from_arrays(arrays), variant, frames))
        st.rerun()  # evicted since, or damaged and now gone: the next run asks for it again
    return Read(task, answer, _empty(model, answer))


def view_of(model: ModelInfo, record: ForwardRecord, variant: Variant, frames: Frames) -> ClipView:
    """A record as the figures take it."""
    probabilities, final = trajectory(record, variant, frames), own_prediction(record)
    return ClipView(
        model=model.name,
        role=model.role,
        rank=model.rank,
        classes=model.labels,
        probabilities=probabilities,
        final=final,
        saturation=saturation_point(probabilities, final),
        kl=kl_curve(record, variant, frames),
        frames=frame_probabilities(record, variant),
        seconds_per_frame=model.shape.seconds_per_frame,
    )


def _empty(model: ModelInfo, answer: Answer) -> ClipView:
    """The frame of a chart whose data are on their way or failed, so that nothing moves when they come."""
    points, classes = model.shape.layers + 1, len(model.labels)
    return ClipView(
        model=model.name,
        role=model.role,
        rank=model.rank,
        classes=model.labels,
        probabilities=np.full((points, classes), np.nan),
        final=np.full(classes, np.nan),
        saturation=None,
        kl=np.full(points, np.nan),
        frames=np.full((points, model.shape.frames, classes), np.nan),
        seconds_per_frame=model.shape.seconds_per_frame,
        note="computing …" if answer.waiting else "could not be computed",
    )


def track_of(reads: Sequence[Read]) -> AudioTrack:
    """The sound in the window the models hear; flat where it was not kept."""
    widest = max(reads, key=lambda one: one.model.shape.window_samples)
    return _track(widest.task.clip, widest.task.window_start, widest.model.shape.window_samples)


@st.cache_resource(show_spinner=False, max_entries=16)
def _track(clip: Clip, start: int, window: int) -> AudioTrack:
    seconds = min(clip.n_samples - start, window) / SAMPLE_RATE
    try:
        samples = context.sound(clip)[start : start + window]
    except Refusal:
        nothing = np.zeros(1, dtype=np.float32)
        silent = np.full((1, 1), _SILENT_DB, dtype=np.float32)
        return AudioTrack(nothing, nothing, silent, np.zeros(1), seconds, seconds, window / SAMPLE_RATE)
    low, high = envelope(samples)
    return AudioTrack(
        low=low,
        high=high,
        mel_db=log_mel(samples, _MELS),
        mel_hz=mel_centres(_MELS),
        seconds_per_column=HOP / SAMPLE_RATE,
        audio_seconds=seconds,
        window_seconds=window / SAMPLE_RATE,
    )
