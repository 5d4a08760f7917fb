"""One forward and backward pass per batch: gradients at every LoRA module, and forward and lora records with them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from core import encoder
from core.capture.forward import Captured, features, frames_with_audio, unbatch
from core.capture.frames import sum_frames
from core.capture.reader import Reader
from core.models.loading import LoadedModel
from core.store.gradient import GradientRecord
from core.store.lora import Scaled

# A frame's share of the loss is 1 / T of it, which float16 can't hold; a power of two changes no digit.
_LOSS_SCALE = {torch.float16: 2.0**14}
_VANISHING = 1e-5  # of the root mean square over frames: a smaller mean is rounding
Take = Callable[[str, Float32[Tensor, "clips frames outputs"]], None]


@dataclass(frozen=True)
class CapturedGradient:
    """One clip's records of a pass with gradients."""

    captured: Captured
    gradient: GradientRecord


def capture_gradients(
    model: LoadedModel, clips: list[Float32[np.ndarray, " _"]], targets: list[int], take: Take | None = None
) -> list[CapturedGradient]:
    """Records of a batch of clips (16 kHz mono, at most a window long), each with its loss against its target class.

    Each clip's loss counts once, so that nothing depends on the batch. `take` is given each module's G_B as the
    backward pass gets there, in float32 on the device; nothing that wide is kept.
    """
    audio_frames = frames_with_audio(model, clips)
    with torch.enable_grad():
        inputs = features(model, clips)
        reader, losses, logits = trace_gradients(model, inputs, audio_frames, targets, take)
    with torch.inference_mode():
        kept = reader.kept(lora=True) | {"logits": logits}
    forward = unbatch(kept, audio_frames, clips)
    gradients = {name: tensor.cpu().numpy() for name, tensor in reader.gradients.items()}
    return [
        CapturedGradient(captured, _record(gradients, i, float(loss), captured.forward.audio_frames))
        for i, (captured, loss) in enumerate(zip(forward, losses.tolist(), strict=True))
    ]


def trace_gradients(
    model: LoadedModel, inputs: Tensor, audio_frames: list[int], targets: list[int], take: Take | None = None
) -> tuple["GradientReader", Float64[Tensor, " clips"], Float64[Tensor, "clips classes"]]:
    """The pass itself: what was read of it, the clips' losses and logits."""
    model.base.activate(model.adapter)
    reader = GradientReader(model, audio_frames, inputs.device, take)
    wanted = torch.tensor(targets, device=inputs.device)
    traced = model.base.traced
    kept: dict[str, Tensor] = {}
    with traced.trace(inputs):
        reader.read(traced)
        logits = model.head(reader.last(traced.output))
        losses = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
        kept.update(losses=losses.detach().double(), logits=logits.detach().double())
        loss = losses.sum() * reader.loss_scale
        with loss.backward():
            reader.read_backward()
    return reader, kept["losses"], kept["logits"]


class GradientReader(Reader):
    """Reads the forward pass as `Reader` does, then gradients in reverse order. The graph begins at LoRA's A."""

    def __init__(
        self, model: LoadedModel, audio_frames: list[int], device: torch.device, take: Take | None = None
    ) -> None:
        super().__init__(model, audio_frames, device)
        self._take = take
        self._outputs: dict[str, tuple[Tensor, Tensor]] = {}
        self.loss_scale = _LOSS_SCALE.get(model.base.backbone.encoder.conv1.weight.dtype, 1.0)
        weights = model.head.layer_weights
        self._mix = None if weights is None else list(torch.softmax(weights, dim=0))
        self._mixed: Tensor | None = None
        self._point = 0
        self.gradients: dict[str, Tensor] = {}

    def enter(self, states: Tensor) -> Tensor:
        if self._mix is not None and self._point < len(self._mix) - 1:  # the last point goes in after layer_norm
            part = self._mix[self._point] * states.float()
            self._mixed = part if self._mixed is None else self._mixed + part
        self._point += 1
        return super().enter(states)

    def last(self, final: Tensor) -> Tensor:
        """What the head sees: the encoder's output, or the weighted sum of all points."""
        if self._mix is None or self._mixed is None:
            return final
        return self._mixed + self._mix[-1] * final.float()

    def adapted(self, layer: Any, target: str, name: str) -> Tensor:
        a = encoder.lora_a_output(layer, target, self.model.adapter or "")
        if not a.requires_grad:  # nothing below it is adapted: the graph begins here
            a.requires_grad_(True)
        self._outputs[name] = a, encoder.lora_b_output(layer, target, self.model.adapter or "")
        return a.detach().float()

    def read_backward(self) -> None:
        """For inside `with loss.backward()`: each module's gradients as they arrive."""
        while self._outputs:
            name, (a, b) = self._outputs.popitem()
            g_b = self._unscaled(b.grad)
            self._measure(name, g_b)
            if self._take is not None:
                self._take(name, g_b)
            g_a = self._unscaled(a.grad)
            self.gradients[f"g_a.{name}"] = g_a
            self.gradients[f"norm_a.{name}"] = self._norms(g_a)

    def _unscaled(self, gradient: Tensor | None) -> Float32[Tensor, "clips frames outputs"]:
        if gradient is None:
            raise RuntimeError("the loss does not depend on an adapted module")
        gradient = gradient.detach().float()
        return gradient if self.loss_scale == 1.0 else gradient / self.loss_scale

    def _measure(self, name: str, g_b: Float[Tensor, "clips frames outputs"]) -> None:
        norms, means = self._norms(g_b), sum_frames(self.weights, g_b)
        frames = (self.weights > 0).sum(dim=-1)
        # k_proj's gradients over all frames add up to 0 (softmax minds no shift): rounding must not pass for signal
        vanishes = torch.linalg.vector_norm(means, dim=-1) < _VANISHING * norms / frames.sqrt()
        self.gradients[f"norm_b.{name}"] = norms
        self.gradients[f"mean_b.{name}"] = means.masked_fill(vanishes[..., None], 0.0)

    def _norms(self, gradient: Float[Tensor, "clips frames outputs"]) -> Float64[Tensor, "clips 2"]:
        """Frobenius norms over all frames and over those that hold audio."""
        squares = torch.linalg.vector_norm(gradient, dim=-1).double() ** 2
        audio = self.weights[:, 1] > 0
        return torch.stack([squares.sum(1), (squares * audio).sum(1)], dim=1).sqrt()


def _record(arrays: dict[str, np.ndarray], i: int, loss: float, audio_frames: int) -> GradientRecord:
    def of(kind: str, dtype: type) -> dict[str, np.ndarray]:
        prefix = f"{kind}."
        chosen = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        return {module: np.ascontiguousarray(array[i], dtype=dtype) for module, array in sorted(chosen.items())}

    return GradientRecord(
        loss=loss,
        audio_frames=audio_frames,
        g_a={module: Scaled.of(array) for module, array in of("g_a", np.float32).items()},
        norm_a=of("norm_a", np.float64),
        norm_b=of("norm_b", np.float64),
        mean_b=of("mean_b", np.float32),
    )
