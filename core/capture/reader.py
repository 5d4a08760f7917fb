"""What is read of a traced pass, module by module in the order in which they run."""

from typing import Any

import torch
from torch import Tensor

from core import encoder
from core.capture.frames import PointReader, contributions, frame_weights, gram_a, sum_frames
from core.models.loading import LoadedModel

_POINT_AXIS = {"residual_norm": 2, "mean_raw": 2, "mean_normed": 2, "lens_raw": 1, "lens_normed": 1}


class Reader:
    """Statistics of one batch's forward pass, on the device. `read` belongs inside the trace, `kept` after it."""

    def __init__(
        self, model: LoadedModel, audio_frames: list[int], device: torch.device, *, states: bool = False
    ) -> None:
        """With `states` the residual stream itself is kept too."""
        self.model = model
        self._whole = states
        self.audio_frames = audio_frames
        self.weights = frame_weights(audio_frames, model.info.shape.frames, device)
        self._read_point = PointReader.of(model.head, model.base.backbone.encoder.layer_norm)
        self._parts: list[dict[str, Tensor]] = []
        self._points: list[dict[str, Tensor]] = []
        self._projections: dict[str, Tensor] = {}
        self._states: list[Tensor] = []

    def read(self, traced: Any) -> None:
        """Read every layer of a traced backbone."""
        targets: dict[int, list[str]] = {}
        for module in self.model.info.lora:
            targets.setdefault(module.layer, []).append(module.target)
        states = self.enter(traced.encoder.layers[0].input)
        for index in range(self.model.info.shape.layers):
            layer = traced.encoder.layers[index]
            chosen = targets.get(index, [])
            for target in chosen:
                if target in encoder.ATTENTION_TARGETS:
                    self._projections[f"{index}.{target}"] = self.adapted(layer, target, f"{index}.{target}")
            attention = encoder.attention_output(layer).detach().float()
            for target in chosen:
                if target not in encoder.ATTENTION_TARGETS:
                    self._projections[f"{index}.{target}"] = self.adapted(layer, target, f"{index}.{target}")
            mlp = encoder.mlp_output(layer).detach().float()
            means, squares = contributions(states, attention, mlp, self.weights)
            self._parts.append(means)
            self._points.append(self._read_point(states, squares, self.weights))
            states = self.enter(layer.output)
        squares = torch.linalg.vector_norm(states, dim=-1).double() ** 2
        self._points.append(self._read_point(states, squares, self.weights))

    def enter(self, states: Tensor) -> Tensor:
        """The residual stream at the next point, ready to be measured."""
        plain = states.detach().float()
        if self._whole:
            self._states.append(plain)
        return plain

    def adapted(self, layer: Any, target: str, name: str) -> Tensor:
        """lora_A's output of the module `name`, ready to be measured."""
        return encoder.lora_a_output(layer, target, self.model.adapter or "").detach().float()

    def kept(self, *, lora: bool) -> dict[str, Tensor]:
        """Stacked statistics of the batch; with `lora` modules' outputs, with states `h.<point>`."""
        kept = {name: torch.stack([part[name] for part in self._parts], dim=-1) for name in self._parts[0]}
        kept |= {n: torch.stack([point[n] for point in self._points], dim=_POINT_AXIS[n]) for n in self._points[0]}
        for name, activations in self._projections.items():
            kept[f"gram_a.{name}"] = gram_a(activations, self.audio_frames)
            if lora:
                kept[f"x.{name}"] = activations
                kept[f"mean_x.{name}"] = sum_frames(self.weights, activations)
        kept |= {f"h.{point}": states for point, states in enumerate(self._states)}
        return kept
