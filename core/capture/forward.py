"""One nnsight trace per batch gives each clip's whole `forward` record, and on request its `lora` record."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from nnsight import save
from torch import Tensor

from core import encoder
from core.capture.frames import PointReader, contributions, frame_weights, gram_a
from core.models.loading import LoadedModel
from core.store.forward import ForwardRecord

_FLOAT16_SPAN = 1024.0  # activations are scaled to this largest magnitude: well inside float16, far above its underflow


@dataclass(frozen=True)
class Captured:
    """One clip's records; `lora` maps `x.<module>` (T x r, float16) and `scale.<module>`, empty unless asked for."""

    forward: ForwardRecord
    lora: dict[str, np.ndarray]


def features(model: LoadedModel, clips: list[Float32[np.ndarray, " _"]]) -> Tensor:
    """Log-mel features (clips x mel x frames) on the model's device; clips must fit the model's window."""
    window = model.info.shape.window_samples
    too_long = next((clip.size for clip in clips if clip.size > window), None)
    if too_long:
        raise ValueError(f"a clip of {too_long} samples is longer than the model's window of {window}")
    made = model.base.extractor(clips, sampling_rate=model.info.shape.sampling_rate, return_tensors="pt")
    weight = model.base.backbone.encoder.conv1.weight
    return made.input_features.to(weight.device, weight.dtype)


def capture(model: LoadedModel, clips: list[Float32[np.ndarray, " _"]], *, lora: bool = False) -> list[Captured]:
    """Records of a batch of clips (16 kHz mono, at most a window long) under one model."""
    per_frame = model.info.shape.samples_per_frame
    audio_frames = [max(1, -(-clip.size // per_frame)) for clip in clips]
    with torch.inference_mode():
        kept = trace(model, features(model, clips), audio_frames, lora=lora)
    arrays = {name: tensor.cpu().numpy() for name, tensor in kept.items()}
    return [
        _unbatch(arrays, i, count, clip.size) for i, (count, clip) in enumerate(zip(audio_frames, clips, strict=True))
    ]


def trace(model: LoadedModel, inputs: Tensor, audio_frames: list[int], *, lora: bool = False) -> dict[str, Tensor]:
    """The pass itself: stacked statistics of a batch, still on the device. Modules are read in forward order."""
    model.base.activate(model.adapter)
    core, layers = model.base.backbone.encoder, model.info.shape.layers
    read_point = PointReader.of(model.head, core.layer_norm)
    weights = frame_weights(audio_frames, model.info.shape.frames, inputs.device)
    targets: dict[int, list[str]] = {}
    for module in model.info.lora:
        targets.setdefault(module.layer, []).append(module.target)
    adapter = model.adapter or ""
    parts: list[dict[str, Tensor]] = []
    points: list[dict[str, Tensor]] = []
    projections: dict[str, Tensor] = {}
    traced = model.base.traced
    with traced.trace(inputs):
        states = traced.encoder.layers[0].input.float()
        for index in range(layers):
            layer = traced.encoder.layers[index]
            chosen = targets.get(index, [])
            for target in chosen:
                if target in encoder.ATTENTION_TARGETS:
                    projections[f"{index}.{target}"] = encoder.lora_a_output(layer, target, adapter).float()
            attention = encoder.attention_output(layer).float()
            for target in chosen:
                if target not in encoder.ATTENTION_TARGETS:
                    projections[f"{index}.{target}"] = encoder.lora_a_output(layer, target, adapter).float()
            mlp = encoder.mlp_output(layer).float()
            means, squares = contributions(states, attention, mlp, weights)
            parts.append(means)
            points.append(read_point(states, squares, weights))
            states = layer.output.float()
        points.append(read_point(states, torch.linalg.vector_norm(states, dim=-1).double() ** 2, weights))
        final = save(traced.output)
    kept = {name: torch.stack([part[name] for part in parts], dim=-1) for name in parts[0]}
    kept |= {name: torch.stack([point[name] for point in points], dim=_POINT_AXIS[name]) for name in points[0]}
    for name, activations in projections.items():
        kept[f"gram_a.{name}"] = gram_a(activations, audio_frames)
        if lora:
            kept[f"x.{name}"] = activations
    kept["logits"] = _own_logits(model, final, kept)
    return kept


_POINT_AXIS = {"residual_norm": 2, "mean_raw": 2, "mean_normed": 2, "lens_raw": 1, "lens_normed": 1}


def _own_logits(model: LoadedModel, final: Tensor, kept: dict[str, Tensor]) -> Tensor:
    """The model's own logits. With a weighted layer sum the head sees sum_l w_l mean(hidden_l): it is affine."""
    if model.head.layer_weights is None:
        return model.head(final).double()
    hidden = torch.cat([kept["mean_raw"][:, 0, :-1], kept["mean_normed"][:, 0, -1:]], dim=1)
    weight, bias = model.head.composed()
    mixed = torch.softmax(model.head.layer_weights.double(), dim=0) @ hidden
    return mixed @ weight.T + bias


def _unbatch(arrays: dict[str, np.ndarray], i: int, audio_frames: int, n_samples: int) -> Captured:
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
    kept: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if name.startswith("x."):
            peak = float(np.abs(array[i]).max())
            scale = peak / _FLOAT16_SPAN if peak > 0 else 1.0
            kept[name] = (array[i] / scale).astype(np.float16)
            kept[f"scale.{name.removeprefix('x.')}"] = np.asarray(scale)
    return Captured(record, kept)
