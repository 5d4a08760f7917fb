"""Runs in which LoRA is dialled, layers are skipped and outputs are copied from another run.

Everything starts again from the residual stream at the layer where something changes, never from below it. Rows of a
batch are runs: each has its own gains, one a layer, on the LoRA updates.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int
from torch import Tensor

from core import encoder
from core.capture.forward import Captured, capture, features
from core.capture.weights import low_rank_svd
from core.errors import Refusal
from core.interventions import Dial
from core.models.draws import untrained_draw
from core.models.loading import LoadedModel

Gains = Float[Tensor, "runs layers"]
Stream = Float[Tensor, "runs frames width"]
Samples = Float32[np.ndarray, " _"]


@dataclass(frozen=True)
class Edit:
    """In run `row`, what each target's LoRA update adds (frames x outputs, before its scaling) becomes `updates` at
    `frames`. The row's gain at that layer must be 1; `own_gain` is that of its own update, which stays elsewhere.
    """

    row: int
    frames: Bool[Tensor, " frames"]
    updates: Mapping[str, Tensor]
    own_gain: float


@dataclass(frozen=True)
class LayerRun:
    """What a layer did in each run: the residual stream it read, its components' outputs, its LoRA updates by target
    (before scaling, gains in), and the residual stream after it."""

    states: Stream
    attention: Stream
    mlp: Stream
    updates: Mapping[str, Stream]
    out: Stream


def capture_dialled(model: LoadedModel, clips: Sequence[Samples], dial: Dial) -> list[Captured]:
    """Forward records of a batch of clips with the LoRA dial at `dial`."""
    gains = torch.tensor([dial.gains], dtype=torch.float64)
    with dialled(model, gains), truncated(model, dial.rank):
        return capture(model, list(clips))


@contextmanager
def dialled(model: LoadedModel, gains: Gains) -> Iterator[None]:
    """Within it, each layer's LoRA update is multiplied by its gain (a row for each run, or one for all)."""
    changed = []
    try:
        model.base.activate(model.adapter)
        for module, adapted in _adapted(model):
            column = gains[:, module.layer]
            scaling = adapted.scaling[model.adapter]
            if bool((column == 1).all()):
                continue
            changed.append((adapted, scaling))
            weight = adapted.lora_A[model.adapter].weight
            adapted.scaling[model.adapter] = (scaling * column[:, None, None]).to(weight.device, weight.dtype)
        yield
    finally:
        for adapted, scaling in changed:
            adapted.scaling[model.adapter] = scaling


@contextmanager
def truncated(model: LoadedModel, rank: int | None) -> Iterator[None]:
    """Within it, every update dW is its best approximation of that rank: B is projected on dW's first left singular
    directions. A module whose rank is no larger stays as it is."""
    chosen = {}
    for module, adapted in _adapted(model) if rank is not None else ():
        if rank < module.rank:
            a, b = (factor[model.adapter].weight.double() for factor in (adapted.lora_A, adapted.lora_B))
            u = low_rank_svd(a, b, 1.0)[0][:, :rank]
            chosen[adapted.lora_B[model.adapter]] = u @ (u.T @ b)
    with _weights(chosen):
        yield


@contextmanager
def drawn(model: LoadedModel, layer: int, factor: str) -> Iterator[None]:
    """Within it, this factor (`A` or `B`) of the layer's LoRA is its untrained counterpart's, of seed 0."""
    names = {}
    for module, adapted in _adapted(model):
        for letter, part in (("A", adapted.lora_A), ("B", adapted.lora_B)):
            name = encoder.lora_name(module.layer, module.target, letter)
            names[name] = module.layer, letter, part[model.adapter]
    fresh = untrained_draw({name: part.weight for name, (_, _, part) in names.items()}, 0)
    wanted = {part: fresh[name] for name, (at, letter, part) in names.items() if (at, letter) == (layer, factor)}
    with _weights(wanted):
        yield


@contextmanager
def _weights(chosen: Mapping[torch.nn.Linear, Tensor]) -> Iterator[None]:
    """Within it, these modules have these weights."""
    own = {module: module.weight.data for module in chosen}
    try:
        for module, weight in chosen.items():
            module.weight.data = weight.to(own[module].device, own[module].dtype)
        yield
    finally:
        for module, weight in own.items():
            module.weight.data = weight


def _adapted(model: LoadedModel) -> Iterator[tuple]:
    layers = model.base.backbone.encoder.layers
    for module in model.info.lora:
        yield module, encoder.adapted_module(layers[module.layer], module.target)


def streams(model: LoadedModel, clips: Sequence[Samples], gains: Gains) -> list[Stream]:
    """The residual stream at points 0..L of each run: whole clips under the given gains."""
    inputs = features(model, list(clips))
    points: list[Tensor] = []
    traced = model.base.traced
    with torch.inference_mode(), dialled(model, gains), traced.trace(inputs):
        for layer in traced.encoder.layers:
            points.append(layer.input)  # noqa: PERF401  # a trace's body runs as it is written
        points.append(traced.encoder.layers[-1].output)
    return points


def through(model: LoadedModel, states: Stream, layer: int, gains: Gains) -> Stream:
    """The residual stream after one layer."""
    with torch.inference_mode(), dialled(model, gains):
        return model.base.backbone(states, layer, layer + 1)


def observe(model: LoadedModel, clips: Sequence[Samples], gains: Gains) -> list[LayerRun]:
    """What every layer does in each run: whole clips under the given gains."""
    inputs = features(model, list(clips))
    seen: list[dict[str, Any]] = []
    traced = model.base.traced
    with torch.inference_mode(), dialled(model, gains), traced.trace(inputs):
        for index in range(model.info.shape.layers):
            layer = traced.encoder.layers[index]
            part: dict[str, Any] = {"states": layer.input, "updates": {}}
            for target in _targets(model, index, attention=True):
                part["updates"][target] = encoder.lora_b_output(layer, target, model.adapter or "")
            part["attention"] = encoder.attention_output(layer)
            for target in _targets(model, index, attention=False):
                part["updates"][target] = encoder.lora_b_output(layer, target, model.adapter or "")
            part["mlp"] = encoder.mlp_output(layer)
            part["out"] = layer.output
            seen.append(part)
    columns = gains.to(inputs.device, inputs.dtype)[..., None, None]
    for index, part in enumerate(seen):
        part["updates"] = {target: update * columns[:, index] for target, update in part["updates"].items()}
    return [LayerRun(**part) for part in seen]


def with_updates(model: LoadedModel, states: Stream, layer: int, gains: Gains, edits: Sequence[Edit]) -> Stream:
    """The residual stream after one layer in which LoRA updates were replaced."""
    kept: list[Tensor] = []
    traced = model.base.traced
    with torch.inference_mode(), dialled(model, gains), traced.trace(states, layer, layer + 1):
        one = traced.encoder.layers[layer]
        for target in _targets(model, layer):
            update = encoder.lora_b_output(one, target, model.adapter or "")
            for edit in edits:
                update[edit.row] *= edit.own_gain
                update[edit.row, edit.frames] = edit.updates[target][edit.frames]
        kept.append(one.output)
    return kept[0]


def with_attention(model: LoadedModel, states: Stream, attention: Stream, layer: int, gains: Gains) -> Stream:
    """The residual stream after one layer whose attention gave this: only its MLP is run."""
    with torch.inference_mode(), dialled(model, gains):
        between = states + attention
        return between + encoder.mlp_block(model.base.backbone.encoder.layers[layer], between)


def _targets(model: LoadedModel, layer: int, attention: bool | None = None) -> list[str]:
    """A layer's adapted projections in the order in which they run: of its attention, of its MLP, or all."""
    adapted = {module.target for module in model.info.lora if module.layer == layer}
    return [
        target
        for target in encoder.TARGETS
        if target in adapted and attention in (None, target in encoder.ATTENTION_TARGETS)
    ]


def finish(model: LoadedModel, states: Stream, start: int, gains: Gains) -> Float64[Tensor, "runs classes"]:
    """Logits of what is left: the layers from `start` on, the final layer_norm and the head."""
    with torch.inference_mode(), dialled(model, gains):
        return model.head(model.base.backbone(states, start)).double()


def all_layers(model: LoadedModel, gains: Sequence[float]) -> Gains:
    """Runs in which every layer has the same gain."""
    return torch.tensor([[gain] * model.info.shape.layers for gain in gains], dtype=torch.float64)


def plain(tensor: Tensor) -> Float64[np.ndarray, "..."]:
    """As an array of float64."""
    return tensor.double().cpu().numpy()


def check_head(model: LoadedModel) -> None:
    """Refusal where the head does not read the last layer alone: then a run can't start again in the middle."""
    if model.head.layer_weights is not None:
        raise Refusal(f"{model.info.name} predicts from a weighted sum of its layers, so none is switched or patched.")


def frame_map(target: int, source: int, frames: int) -> Int[np.ndarray, " frames"]:
    """For each frame of a run the other run's frame that lies where it does: linear over the frames that hold audio
    (`target` and `source` of them), and over the padding."""

    def spread(count: int, onto: int) -> np.ndarray:
        return np.rint(np.linspace(0, max(onto - 1, 0), count)).astype(np.int64)

    padding = np.minimum(source + spread(frames - target, frames - source), frames - 1)
    return np.concatenate([spread(target, source), padding])


def noise_like(samples: Float32[np.ndarray, " n"], seed: int) -> Float32[np.ndarray, " n"]:
    """White noise of the same length and RMS (after Glazer et al. 2025)."""
    rms = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
    noise = np.random.default_rng(seed).standard_normal(samples.size)
    return (noise * (rms / np.sqrt(np.mean(noise**2)))).astype(np.float32)
