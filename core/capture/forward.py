"""One nnsight trace per batch gives each clip's whole `forward` record, and on request its `lora` record."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from nnsight import save
from torch import Tensor

from core.capture.reader import Reader
from core.models.loading import LoadedModel
from core.store.forward import ForwardRecord
from core.store.lora import LoraRecord, Scaled
from core.store.states import StatesRecord


@dataclass(frozen=True)
class Captured:
    """One clip's records; None for those that were not asked for."""

    forward: ForwardRecord
    lora: LoraRecord | None = None
    states: StatesRecord | None = None


def features(model: LoadedModel, clips: list[Float32[np.ndarray, " _"]]) -> Tensor:
    """Log-mel features (clips x mel x frames) on the model's device; clips must fit the model's window."""
    window = model.info.shape.window_samples
    too_long = next((clip.size for clip in clips if clip.size > window), None)
    if too_long:
        raise ValueError(f"a clip of {too_long} samples is longer than the model's window of {window}")
    made = model.base.extractor(clips, sampling_rate=model.info.shape.sampling_rate, return_tensors="pt")
    weight = model.base.backbone.encoder.conv1.weight
    return made.input_features.to(weight.device, weight.dtype)


def capture(
    model: LoadedModel, clips: list[Float32[np.ndarray, " _"]], *, lora: bool = False, states: bool = False
) -> list[Captured]:
    """Records of a batch of clips (16 kHz mono, at most a window long) under one model."""
    audio_frames = frames_with_audio(model, clips)
    with torch.inference_mode():
        kept = trace(model, features(model, clips), audio_frames, lora=lora, states=states)
    return unbatch(kept, audio_frames, clips)


def frames_with_audio(model: LoadedModel, clips: list[Float32[np.ndarray, " _"]]) -> list[int]:
    """How many of the encoder's frames hold audio, for each clip."""
    return [max(1, -(-clip.size // model.info.shape.samples_per_frame)) for clip in clips]


def trace(
    model: LoadedModel, inputs: Tensor, audio_frames: list[int], *, lora: bool = False, states: bool = False
) -> dict[str, Tensor]:
    """The pass itself: stacked statistics of a batch, still on the device."""
    model.base.activate(model.adapter)
    reader = Reader(model, audio_frames, inputs.device, states=states)
    traced = model.base.traced
    with traced.trace(inputs):
        reader.read(traced)
        final = save(traced.output)
    kept = reader.kept(lora=lora)
    kept["logits"] = _own_logits(model, final, kept)
    return kept


def _own_logits(model: LoadedModel, final: Tensor, kept: dict[str, Tensor]) -> Tensor:
    """The model's own logits. With a weighted layer sum the head sees sum_l w_l mean(hidden_l): it is affine."""
    if model.head.layer_weights is None:
        return model.head(final).double()
    hidden = torch.cat([kept["mean_raw"][:, 0, :-1], kept["mean_normed"][:, 0, -1:]], dim=1)
    weight, bias = model.head.composed()
    mixed = torch.softmax(model.head.layer_weights.double(), dim=0) @ hidden
    return mixed @ weight.T + bias


def unbatch(kept: dict[str, Tensor], audio_frames: list[int], clips: list[Float32[np.ndarray, " _"]]) -> list[Captured]:
    """Each clip's records out of a batch's stacked statistics."""
    arrays = {name: tensor.cpu().numpy() for name, tensor in kept.items()}
    return [_one(arrays, i, count, clip.size) for i, (count, clip) in enumerate(zip(audio_frames, clips, strict=True))]


def _one(arrays: dict[str, np.ndarray], i: int, audio_frames: int, n_samples: int) -> Captured:
    def one(name: str, dtype: type) -> np.ndarray:
        return np.ascontiguousarray(arrays[name][i], dtype=dtype)

    grams = {
        name.removeprefix("gram_a."): array[i][:, *np.triu_indices(array.shape[-1])]
        for name, array in arrays.items()
        if name.startswith("gram_a.")
    }
    record = ForwardRecord(
        relative=one("relative", np.float64),
        cosine=one("cosine", np.float64),
        residual_norm=one("residual_norm", np.float64),
        mean_raw=one("mean_raw", np.float32),
        mean_normed=one("mean_normed", np.float32),
        lens_raw=one("lens_raw", np.float32),
        lens_normed=one("lens_normed", np.float32),
        logits=one("logits", np.float64),
        audio_frames=audio_frames,
        n_samples=n_samples,
        gram_a=grams,
    )
    x = {name.removeprefix("x."): Scaled.of(array[i]) for name, array in arrays.items() if name.startswith("x.")}
    lora = LoraRecord(x, {name: one(f"mean_x.{name}", np.float32) for name in x}) if x else None
    points = [arrays[f"h.{point}"] for point in range(record.lens_raw.shape[0]) if f"h.{point}" in arrays]
    states = StatesRecord(tuple(Scaled.of(array[i, :audio_frames]) for array in points))
    return Captured(record, lora, states if points else None)
