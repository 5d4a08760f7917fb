"""One layer of a patching sweep: its components' outputs copied between the two runs of a pair, both ways.

After Heimersheim and Nanda (2024). What is copied is known from the runs themselves, so that of the patched layer only
what comes after the copy is run, and nothing below it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from core.capture.forward import frames_with_audio
from core.capture.interventions import (
    Edit,
    Gains,
    LayerRun,
    Samples,
    Stream,
    all_layers,
    check_head,
    finish,
    frame_map,
    observe,
    plain,
    with_attention,
    with_updates,
)
from core.errors import Refusal
from core.interventions import Patch
from core.models.loading import LoadedModel
from core.store.intervention import PatchRecord

_CLEAN, _CORRUPT = 0, 1  # rows of a pair's runs
_TARGETS = [_CORRUPT, _CLEAN]  # into which run something is copied: denoising, noising
_FLOOR = 1e-6  # of ||out|| in the norm ratio


@dataclass(frozen=True)
class Pair:
    """Two runs, with a row for each in everything."""

    layers: list[LayerRun]
    gains: Gains
    audio_frames: tuple[int, ...]
    logits: Float64[np.ndarray, "2 classes"]

    def moved(self, values: Stream, target: int) -> Tensor:
        """The other run's values, at the frames of `target` that lie where theirs do."""
        other = values[1 - target]
        where = frame_map(self.audio_frames[target], self.audio_frames[1 - target], len(other))
        return other[torch.from_numpy(where).to(other.device)]

    def mixed(self, values: Stream, frames: Sequence[Bool[Tensor, " frames"]]) -> Stream:
        """The values of both targets, in each the other run's at its `frames`."""
        rows = [torch.where(frames[t][:, None], self.moved(values, t), values[t]) for t in _TARGETS]
        return torch.stack(rows)


@dataclass
class Patches:
    """The layers of a pair start from the same two runs: the last pair's stay on the device."""

    _of: tuple[object, ...] = ()
    _last: Pair | None = None

    def layer(self, model: LoadedModel, patch: Patch, clean: Samples, corrupt: Samples) -> PatchRecord:
        """The record of one layer over one pair of sounds (16 kHz mono, each at most a window long), of a dial pair the
        same one twice. Refusal where the span holds no sound, or the head reads more than the last layer.
        """
        check_head(model)
        pair = self._runs(model, patch.pairing == "dial", clean, corrupt)
        frames = _patched_frames(model, patch, pair.audio_frames)
        states = patched(model, pair, patch.layer, frames, residual=not patch.whole)
        gains = pair.gains[_TARGETS].repeat(len(states), 1)
        logits = plain(finish(model, torch.cat(list(states.values())), patch.layer + 1, gains))
        usual = pair.layers[patch.layer].out
        return PatchRecord(
            clean=pair.logits[_CLEAN],
            corrupt=pair.logits[_CORRUPT],
            patched={name: logits[2 * i : 2 * i + 2] for i, name in enumerate(states)},
            norm_ratio={
                name: np.array([_norm_ratio(after[i], usual[t], frames[t]) for i, t in enumerate(_TARGETS)])
                for name, after in states.items()
            },
        )

    def _runs(self, model: LoadedModel, dial: bool, clean: Samples, corrupt: Samples) -> Pair:
        key = (model.info.fingerprint, dial, clean.tobytes(), corrupt.tobytes())
        if self._last is None or key != self._of:
            self._last = None  # freed before the next are made
            gains = all_layers(model, [1.0, 0.0 if dial else 1.0])
            layers = observe(model, [clean, corrupt], gains)
            logits = plain(finish(model, layers[-1].out, len(layers), gains))
            counts = tuple(frames_with_audio(model, [clean, corrupt]))
            self._of, self._last = key, Pair(layers, gains, counts, logits)
        return self._last


def patched(
    model: LoadedModel, pair: Pair, layer: int, frames: Sequence[Bool[Tensor, " frames"]], *, residual: bool
) -> dict[str, Stream]:
    """The residual stream after the layer by component, of the denoised and the noised run. `frames` of each run are
    patched."""
    run, gains = pair.layers[layer], pair.gains[_TARGETS]
    states = run.states[_TARGETS]
    found = {
        "attention": with_attention(model, states, pair.mixed(run.attention, frames), layer, gains),
        "mlp": states + run.attention[_TARGETS] + pair.mixed(run.mlp, frames),
    }
    if run.updates:
        on = gains.clone()
        on[:, layer] = 1.0
        edits = [
            Edit(
                row,
                frames[t],
                {n: pair.moved(update, t) for n, update in run.updates.items()},
                float(gains[row, layer]),
            )
            for row, t in enumerate(_TARGETS)
        ]
        found["lora"] = with_updates(model, states, layer, on, edits)
    if residual:
        found["residual"] = pair.mixed(run.out, frames)
    return found


def _norm_ratio(after: Tensor, usual: Tensor, frames: Bool[Tensor, " frames"]) -> float:
    ratio = after[frames].float().norm(dim=-1) / usual[frames].float().norm(dim=-1).clamp_min(_FLOOR)
    return float(ratio.double().mean())


def _patched_frames(
    model: LoadedModel, patch: Patch, audio_frames: Sequence[int]
) -> tuple[Bool[Tensor, " frames"], Bool[Tensor, " frames"]]:
    """Which frames are patched in the clean and in the corrupt run."""
    shape = model.info.shape
    position = np.arange(shape.frames)
    clean = position < (shape.frames if patch.whole else audio_frames[_CLEAN])
    if patch.span is not None:
        first, end = (second / shape.seconds_per_frame for second in patch.span)
        clean &= (position >= math.floor(first)) & (position < math.ceil(end))
        if not clean.any():
            begin, last = patch.span
            raise Refusal(f"there is no sound from {begin:g} to {last:g} s: choose another span.")
    corrupt = clean[frame_map(audio_frames[_CORRUPT], audio_frames[_CLEAN], shape.frames)]
    if not corrupt.any():  # a span so short that the shorter clip has no frame of its own in it
        corrupt[frame_map(audio_frames[_CLEAN], audio_frames[_CORRUPT], shape.frames)[clean]] = True
    device = model.base.backbone.encoder.conv1.weight.device
    return torch.from_numpy(clean).to(device), torch.from_numpy(corrupt).to(device)
