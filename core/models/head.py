"""The classification head: projector, mean over frames, classifier. Affine throughout, so it composes to one map."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Head:
    """A head in float32 whatever the encoder's dtype. `layer_weights` only of a checkpoint that sums its layers."""

    projector: nn.Linear
    classifier: nn.Linear
    layer_weights: Tensor | None = None

    def __call__(self, states: Tensor) -> Tensor:
        """Logits (clips x C) of encoder outputs (clips x T x d), run as the checkpoint's own class runs it."""
        return self.classifier(self.projector(states.float()).mean(dim=1))

    def tensors(self) -> Iterator[Tensor]:
        """Its weights."""
        yield from (*self.projector.parameters(), *self.classifier.parameters())
        if self.layer_weights is not None:
            yield self.layer_weights

    def composed(self) -> tuple[Tensor, Tensor]:
        """(C x d, C) float64: the head as one affine map, so that a clip's logits are the mean of its frames'."""
        outer = self.classifier.weight.double()
        weight = outer @ self.projector.weight.double()
        return weight, outer @ self.projector.bias.double() + self.classifier.bias.double()


def build_head(tensors: dict[str, Tensor], device: torch.device) -> Head:
    """A head from `projector.weight`, `projector.bias`, `classifier.…` and, where there are, `layer_weights`."""
    made = {}
    for name in ("projector", "classifier"):
        weight, bias = tensors[f"{name}.weight"].float(), tensors[f"{name}.bias"].float()
        linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
        linear.load_state_dict({"weight": weight.to(device), "bias": bias.to(device)}, assign=True)
        made[name] = linear.requires_grad_(False)
    weights = tensors.get("layer_weights")
    return Head(made["projector"], made["classifier"], None if weights is None else weights.float().to(device))
