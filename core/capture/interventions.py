"""Runs in which LoRA is dialled, layers are skipped and outputs are copied from another run.

Everything starts again from the residual stream at the layer where something changes, never from below it. Rows of a
batch are runs: each has its own gains, one a layer, on the LoRA updates.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int
from torch import Tensor

from core import encoder
from core.capture.forward import Captured, capture, features
from core.capture.weights import low_rank_svd
from core.engine.interventions import Dial
from core.models.loading import LoadedModel, untrained_draw

Gains = Float[Tensor, "runs layers"]
Stream = Float[Tensor, "runs frames width"]


@dataclass(frozen=True)
class Edit:
    """In run `row`, a component's output at `frames` becomes `values`: attention or MLP (frames x width), or what each
    target's LoRA update adds, before its scaling (frames x outputs); that row's gain at the layer must then be 1.
    """

    row: int
    frames: Bool[Tensor, " frames"]
    attention: Tensor | None = None
    mlp: Tensor | None = None
    updates: Mapping[str, Tensor] = field(default_factory=dict)
    own_gain: float = 1.0  # of the run's own update, which stays at the other frames


@dataclass(frozen=True)
class LayerRun:
    """What a layer did in each run: its components' outputs, its LoRA updates by target (before scaling, gains in), and
    the residual stream after it."""

    attention: Stream
    mlp: Stream
    updates: Mapping[str, Stream]
    out: Stream


def capture_dialled(model: LoadedModel, clips: Sequence[Float32[np.ndarray, " _"]], dial: Dial) -> list[Captured]:
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
            path = encoder.module_path(module.layer, module.target)
            names[f"base_model.model.{path}.lora_{letter}.weight"] = module.layer, letter, part[model.adapter]
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


def streams(model: LoadedModel, clips: Sequence[Float32[np.ndarray, " _"]], gains: Gains) -> list[Stream]:
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


def run_layer(model: LoadedModel, states: Stream, layer: int, gains: Gains, edits: Sequence[Edit] = ()) -> LayerRun:
    """One layer with what it does on the way, after the edits."""
    targets = [module.target for module in model.info.lora if module.layer == layer]
    updates: dict[str, Tensor] = {}
    parts: dict[str, Tensor] = {}
    traced = model.base.traced
    column = gains[:, layer].to(states.device, states.dtype)[:, None, None]
    with torch.inference_mode(), dialled(model, gains), traced.trace(states, layer, layer + 1):
        one = traced.encoder.layers[layer]
        for target in encoder.TARGETS:
            if target not in encoder.ATTENTION_TARGETS and "attention" not in parts:
                parts["attention"] = _copied(encoder.attention_output(one), edits, "attention")
            if target in targets:
                update = encoder.lora_b_output(one, target, model.adapter or "")
                for edit in edits:
                    if target in edit.updates:
                        update[edit.row] *= edit.own_gain
                        update[edit.row, edit.frames] = edit.updates[target][edit.frames]
                updates[target] = update * column
        parts["mlp"] = _copied(encoder.mlp_output(one), edits, "mlp")
        parts["out"] = one.output
    return LayerRun(parts["attention"], parts["mlp"], updates, parts["out"])


def _copied(output: Tensor, edits: Sequence[Edit], component: str) -> Tensor:
    """The output with the edits' values in it."""
    for edit in edits:
        values = getattr(edit, component)
        if values is not None:
            output[edit.row, edit.frames] = values[edit.frames]
    return output


def finish(model: LoadedModel, states: Stream, start: int, gains: Gains) -> Float64[Tensor, "runs classes"]:
    """Logits of what is left: the layers from `start` on, the final layer_norm and the head."""
    with torch.inference_mode(), dialled(model, gains):
        return model.head(model.base.backbone(states, start)).double()


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
