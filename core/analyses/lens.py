"""The logit lens: the classification head read at every depth (Ma, Sang, Li, section 3.3, Fig. 2a).

The first half works on one record (the Clip page calls it while a person waits), the second on a corpus.
"""

import numpy as np
from jaxtyping import Float32, Float64
from scipy.special import log_softmax, softmax

from core.analyses.hsic import cka_to_last
from core.analyses.landmarks import critical_layer, saturation_point
from core.analyses.lens_result import Lens, LensClips, LensDifference, ModelLens
from core.analyses.lens_summary import landmarks as landmarks_over_clips
from core.analyses.lens_summary import mean_probabilities, paired, points_or_nan, scores
from core.analyses.reading import (
    UNLABELLED,
    comparisons,
    forward_passes,
    forward_records,
    match_labels,
    missing_note,
    repeat_note,
    shared_clips,
    undefined_note,
)
from core.analyses.request import AnalysisRequest, Frames, Note, Records, Variant
from core.analyses.statistics import speaker_note
from core.models.info import ModelInfo
from core.store.forward import FRAMES, ForwardRecord

needs = forward_passes


def frame_logits(record: ForwardRecord, variant: Variant) -> Float32[np.ndarray, "points frames classes"]:
    """Head logits of every frame at every point: of the raw residual stream, in `corrected` of the normed one."""
    return record.lens_normed if variant == "corrected" else record.lens_raw


def frame_probabilities(record: ForwardRecord, variant: Variant) -> Float64[np.ndarray, "points frames classes"]:
    """Softmax of each frame's own logits, never averaged first. Frames from `record.audio_frames` on are padding."""
    return softmax(frame_logits(record, variant).astype(np.float64), axis=2)


def trajectory(record: ForwardRecord, variant: Variant, frames: Frames) -> Float64[np.ndarray, "points classes"]:
    """Class probabilities at each point: softmax of the logits averaged over the chosen frames.

    `corrected` with all frames ends in the model's own prediction; the others need not.
    """
    return softmax(_mean_logits(record, variant, frames), axis=1)


def kl_curve(record: ForwardRecord, variant: Variant, frames: Frames) -> Float64[np.ndarray, " points"]:
    """KL, in nats, between each point's prediction and the model's own (always over all frames).

    `published`, `corrected`: D(point || model); `released`: D(model || point), which is what the authors' call of
    `kl_div` gives.
    """
    point = log_softmax(_mean_logits(record, variant, frames), axis=1)
    model = log_softmax(record.logits.astype(np.float64))
    divergence = np.exp(model) * (model - point) if variant == "released" else np.exp(point) * (point - model)
    return np.maximum(divergence.sum(axis=1), 0.0)  # rounding can leave -1e-17; NaN stays NaN


def own_prediction(record: ForwardRecord) -> Float64[np.ndarray, " classes"]:
    """The model's own class probabilities, over all frames."""
    return softmax(record.logits.astype(np.float64))


def _mean_logits(record: ForwardRecord, variant: Variant, frames: Frames) -> Float64[np.ndarray, "points classes"]:
    logits = frame_logits(record, variant)
    kept = logits[:, : record.audio_frames] if frames == "audio" else logits
    return kept.mean(axis=1, dtype=np.float64)


def compute(records: Records, request: AnalysisRequest) -> Lens:
    """Lens curves, per-clip trajectories, landmarks and paired differences of every model that has a record."""
    models: dict[str, ModelLens] = {}
    notes = [repeat_note(request)]
    for model in request.models:
        by_clip, cka = _read(records, request, model)
        clips = by_clip.clips if by_clip else ()
        notes.append(missing_note(request, model, clips))
        if by_clip is None:
            continue
        curves, curve_notes = scores(model, by_clip, request.seed)
        landmarks, landmark_notes = landmarks_over_clips(model, by_clip, curves, cka, request.variant)
        probabilities = mean_probabilities(by_clip, request.seed)
        models[model.name] = ModelLens(model, by_clip, curves, probabilities, cka, landmarks)
        notes.append(undefined_note(model, clips, by_clip.kl, by_clip.final))
        notes += [*match_labels(model, clips)[1], speaker_note(by_clip.speakers), *curve_notes, *landmark_notes]
        if model.weighted_layer_sum:
            reason = "Its head reads a weighted sum of all layers: there is no single last layer that it predicts from."
            notes.append(Note(model.name, reason))
    differences = []
    pairs, reasons = comparisons(request)
    for model, reference in pairs:
        mine, theirs = (models[m.name].by_clip.clips if m.name in models else () for m in (model, reference))
        i, j = shared_clips(mine, theirs)
        if i:
            both = models[model.name].by_clip.take(i), models[reference.name].by_clip.take(j)
            differences.append(LensDifference(model.name, reference.name, paired(*both, request.seed)))
        else:
            reasons.append(Note(f"{model.name} - {reference.name}", "No clip has a record under both."))
    found = dict.fromkeys(note for note in (*notes, *reasons) if note is not None)
    return Lens(request.variant, request.frames, tuple(models.values()), tuple(differences), tuple(found))


def _read(
    records: Records, request: AnalysisRequest, model: ModelInfo
) -> tuple[LensClips | None, Float64[np.ndarray, " points"]]:
    """One model's small per-clip arrays, and CKA with the last point; None and nothing without any record."""
    clips, probabilities, final, kl, residual = [], [], [], [], []
    for clip, record in forward_records(records, request, model):
        clips.append(clip)
        probabilities.append(trajectory(record, request.variant, request.frames))
        final.append(own_prediction(record))
        kl.append(kl_curve(record, request.variant, request.frames))
        residual.append(record.mean_raw[FRAMES.index(request.frames)])
    if not clips:
        return None, np.empty(0)
    truth, _ = match_labels(model, clips)
    by_clip = LensClips(
        clips=tuple(clips),
        truth=truth,
        probabilities=np.stack(probabilities),
        final=np.stack(final),
        kl=np.stack(kl),
        saturation=points_or_nan(saturation_point(p, f) for p, f in zip(probabilities, final, strict=True)),
        critical=points_or_nan(
            None if label == UNLABELLED else critical_layer(p[:, label], len(model.labels))
            for p, label in zip(probabilities, truth, strict=True)
        ),
    )
    return by_clip, cka_to_last(np.stack(residual), unbiased=request.variant == "corrected")
