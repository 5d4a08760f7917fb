"""Records of one layer of a sweep: what the model says when something is switched or copied there.

The layers of a sweep share the runs they start from: their residual streams stay on the device from one to the next.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from core.capture.interventions import (
    Edit,
    Gains,
    LayerRun,
    drawn,
    finish,
    frame_map,
    noise_like,
    run_layer,
    streams,
    through,
)
from core.engine.interventions import LayerPass, PatchPass
from core.errors import Refusal
from core.models.loading import LoadedModel
from core.store.intervention import AblationRecord, PatchRecord

Samples = Float32[np.ndarray, " _"]
_CLEAN, _CORRUPT = 0, 1  # rows of a pair's streams; of a sweep of ablations: LoRA on, LoRA off
_SEED_DIGITS = 12  # of a clip's id, which seed its noise


@dataclass
class _Row:
    """A run that goes on from the layer after the patched one."""

    component: str
    target: int
    states: Tensor


class Sweeps:
    """Works on layers of sweeps, keeping the runs of the last clip or pair."""

    def __init__(self) -> None:
        self._of: tuple[object, ...] = ()
        self._points: list[Tensor] = []
        self._logits = np.empty((0, 0))

    def forget(self) -> None:
        """Free the runs' memory."""
        self._of, self._points = (), []

    def ablate(self, model: LoadedModel, task: LayerPass, samples: Samples) -> AblationRecord:
        """Every ablation of one layer over one clip (16 kHz mono, at most a window long)."""
        _check_head(model)
        layer, layers, adapted = task.layer, model.info.shape.layers, bool(model.info.lora)
        ends = _gains(model, [1.0, 0.0] if adapted else [1.0])
        points = self._runs(model, (task.clip.clip_id, task.window_start), [samples] * len(ends), ends)
        on, off = ends[:1], ends[1:]
        # names, streams entering the next layer, and gains from there on
        runs = [(("erase", "erase_first"), torch.cat([points[layer][:1], points[0][:1]]), torch.cat([on, on]))]
        if adapted:
            turned = ends.clone()
            turned[:, layer] = torch.tensor([0.0, 1.0])
            switched = through(model, points[layer], layer, turned)
            runs.append((("without", "only"), switched, ends))
            for letter, names in (("A", ("without_a", "only_b")), ("B", ("without_b", "only_a"))):
                with drawn(model, layer, letter):
                    runs.append((names, through(model, points[layer], layer, torch.ones_like(ends)), ends))
            runs.append((("first", "last"), torch.cat([points[layer + 1][:1], switched[1:]]), torch.cat([off, on])))
        logits = finish(model, torch.cat([run[1] for run in runs]), layer + 1, torch.cat([run[2] for run in runs]))
        found = dict(zip((name for run in runs for name in run[0]), logits, strict=True))
        found["erase_last"] = finish(model, points[layer][:1], layers, on)[0]
        return AblationRecord({name: _plain(values) for name, values in found.items()})

    def patch(self, model: LoadedModel, task: PatchPass, clean: Samples, source: Samples | None) -> PatchRecord:
        """One layer's components copied between the runs of a pair, both ways. `source` is the corrupt clip's sound in
        a minimal pair. Raises Refusal where the span holds no frame.
        """
        _check_head(model)
        if task.pairing == "noise":
            corrupt = noise_like(clean, int(task.clip.clip_id[:_SEED_DIGITS], 16))
        else:
            corrupt = clean if source is None else source
        ends = _gains(model, [1.0, 0.0 if task.pairing == "dial" else 1.0])
        of = (task.pairing, task.clip.clip_id, task.source and task.source.clip_id, task.window_start)
        points = self._runs(model, of, [clean, corrupt], ends)
        counts = [max(1, -(-sound.size // model.info.shape.samples_per_frame)) for sound in (clean, corrupt)]
        frames = _patched_frames(model, task, counts)
        runs = run_layer(model, points[task.layer], task.layer, ends)
        rows = self._patched(model, task, points, ends, runs, frames, counts)
        gains = torch.cat([ends[row.target : row.target + 1] for row in rows])
        logits = finish(model, torch.stack([row.states for row in rows]), task.layer + 1, gains)
        own = [points[task.layer + 1][row.target] for row in rows]
        ratios = [
            float((row.states[kept].norm(dim=-1) / usual[kept].norm(dim=-1).clamp_min(1e-6)).double().mean())
            for row, usual in zip(rows, own, strict=True)
            for kept in [frames[row.target]]
        ]
        patched: dict[str, list[np.ndarray]] = {}
        norm_ratio: dict[str, list[float]] = {}
        for row, values, ratio in zip(rows, logits, ratios, strict=True):
            patched.setdefault(row.component, []).append(_plain(values))
            norm_ratio.setdefault(row.component, []).append(ratio)
        return PatchRecord(
            clean=self._logits[_CLEAN],
            corrupt=self._logits[_CORRUPT],
            patched={name: np.stack(values) for name, values in patched.items()},
            norm_ratio={name: np.array(values) for name, values in norm_ratio.items()},
        )

    def _patched(
        self,
        model: LoadedModel,
        task: PatchPass,
        points: Sequence[Tensor],
        ends: Gains,
        runs: LayerRun,
        frames: Sequence[Bool[Tensor, " frames"]],
        counts: Sequence[int],
    ) -> list[_Row]:
        """The residual stream after the layer of every patched run: by component, denoised and noised."""
        layer, device = task.layer, points[0].device
        lora = any(module.layer == layer for module in model.info.lora)
        components = ["attention", "mlp", *(["lora"] if lora else [])]
        pairs = ((_CORRUPT, _CLEAN), (_CLEAN, _CORRUPT))  # (target, source): denoising, noising
        wanted = [(component, target, source) for component in components for target, source in pairs]
        edits, gains = [], []
        for row, (component, target, source) in enumerate(wanted):
            where = torch.from_numpy(frame_map(counts[target], counts[source], len(frames[0]))).to(device)
            gain = ends[target : target + 1].clone()
            if component == "lora":
                updates = {name: update[source][where] for name, update in runs.updates.items()}
                edits.append(Edit(row, frames[target], updates=updates, own_gain=float(gain[0, layer])))
                gain[0, layer] = 1.0
            else:
                edits.append(Edit(row, frames[target], **{component: getattr(runs, component)[source][where]}))
            gains.append(gain)
        states = torch.stack([points[layer][target] for _, target, _ in wanted])
        out = run_layer(model, states, layer, torch.cat(gains), edits).out
        rows = [_Row(component, target, out[row]) for row, (component, target, _) in enumerate(wanted)]
        for target, source in () if task.whole else pairs:
            where = torch.from_numpy(frame_map(counts[target], counts[source], len(frames[0]))).to(device)
            copied = points[layer + 1][target].clone()
            copied[frames[target]] = points[layer + 1][source][where][frames[target]]
            rows.append(_Row("residual", target, copied))
        return rows

    def _runs(
        self, model: LoadedModel, of: tuple[object, ...], sounds: Sequence[Samples], gains: Gains
    ) -> list[Tensor]:
        """Residual streams of the runs, of which the last ones are remembered."""
        key = (model.info.fingerprint, *of)
        if key != self._of:
            self.forget()
            self._points = streams(model, sounds, gains)
            self._logits = _plain(finish(model, self._points[-1], model.info.shape.layers, gains))
            self._of = key
        return self._points


def _patched_frames(
    model: LoadedModel, task: PatchPass, counts: Sequence[int]
) -> tuple[Bool[Tensor, " frames"], Bool[Tensor, " frames"]]:
    """Which frames are patched in the clean and in the corrupt run, of which `counts` hold audio."""
    shape = model.info.shape
    clean = np.arange(shape.frames) < (shape.frames if task.whole else counts[_CLEAN])
    if task.span is not None:
        first, last = (second / shape.seconds_per_frame for second in task.span)
        clean &= (np.arange(shape.frames) >= math.floor(first)) & (np.arange(shape.frames) < math.ceil(last))
    if not clean.any():
        raise Refusal(f"{task.clip.name} has no sound in the span of {task.span} seconds: choose another one.")
    corrupt = clean[frame_map(counts[_CORRUPT], counts[_CLEAN], shape.frames)]
    if not corrupt.any():  # a span so short that the shorter clip has no frame of its own in it
        corrupt[frame_map(counts[_CLEAN], counts[_CORRUPT], shape.frames)[clean]] = True
    device = model.base.backbone.encoder.conv1.weight.device
    return torch.from_numpy(clean).to(device), torch.from_numpy(corrupt).to(device)


def _gains(model: LoadedModel, rows: Sequence[float]) -> Gains:
    return torch.tensor([[gain] * model.info.shape.layers for gain in rows], dtype=torch.float64)


def _plain(tensor: Tensor) -> Float64[np.ndarray, "..."]:
    return tensor.double().cpu().numpy()


def _check_head(model: LoadedModel) -> None:
    if model.head.layer_weights is not None:
        raise Refusal(
            f"{model.info.name} predicts from a weighted sum of its layers: switching or patching one is not offered."
        )
