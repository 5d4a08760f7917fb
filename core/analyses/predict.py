"""What each model says of each clip: its class probabilities, under its own class names."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.special import softmax

from core.analyses.reading import forward_passes, forward_records, missing_note, repeat_note, undefined_note
from core.analyses.request import AnalysisRequest, Note, Records, Row, Variant
from core.analyses.table import number
from core.corpora.clip import Clip
from core.models.info import ModelInfo

needs = forward_passes


@dataclass(frozen=True)
class ModelPredictions:
    """One model's probabilities, a row a clip, a column for each of its classes."""

    model: ModelInfo
    clips: tuple[Clip, ...]
    probabilities: Float64[np.ndarray, "clips classes"]

    def __post_init__(self) -> None:
        expected = (len(self.clips), len(self.model.labels))
        if self.probabilities.shape != expected:
            raise ValueError(f"probabilities have shape {self.probabilities.shape}, expected {expected}")


@dataclass(frozen=True)
class Predictions:
    """Every model's predictions; a model none of whose passes worked has no clips."""

    variant: Variant
    models: tuple[ModelPredictions, ...]
    notes: tuple[Note, ...]

    def rows(self) -> Iterator[Row]:
        for one in self.models:
            for clip, probabilities in zip(one.clips, one.probabilities, strict=True):
                for label, value in zip(one.model.labels, probabilities, strict=True):
                    yield Row(
                        "predict",
                        self.variant,
                        one.model.name,
                        component=label,
                        statistic="prob",
                        clip_id=clip.clip_id,
                        value=number(value),
                    )


def compute(records: Records, request: AnalysisRequest) -> Predictions:
    """Softmax, in float64, of the model's own logits (all frames, whatever the request's `frames`)."""
    models, notes = [], [repeat_note(request)]
    for model in request.models:
        clips, found = [], []
        for clip, record in forward_records(records, request, model):
            clips.append(clip)
            found.append(softmax(record.logits.astype(np.float64)))
        probabilities = np.array(found).reshape(len(clips), len(model.labels))
        models.append(ModelPredictions(model, tuple(clips), probabilities))
        notes += [missing_note(request, model, clips), undefined_note(model, clips, probabilities)]
    return Predictions(request.variant, tuple(models), tuple(note for note in notes if note is not None))
