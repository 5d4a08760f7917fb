"""An independent float64 computation of gradients: hooks and autograd on transformers' and PEFT's own classes."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn


@dataclass
class Gradients:
    """One clip against one class; by module, T x width. `x` and `y` are what lora_A and lora_B give."""

    loss: float
    x: dict[str, np.ndarray] = field(default_factory=dict)
    y: dict[str, np.ndarray] = field(default_factory=dict)
    g_a: dict[str, np.ndarray] = field(default_factory=dict)
    g_b: dict[str, np.ndarray] = field(default_factory=dict)


def run_gradients(model: nn.Module, features: Tensor, target: int) -> Gradients:
    """`model` is a PeftModel around a WhisperForAudioClassification; `features` mel x frames of one clip."""
    model = model.double().eval()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    outputs: dict[tuple[str, str], Tensor] = {}
    for name, module in model.named_modules():
        factor = name.split(".")[-2] if name.endswith(".default") else ""
        if factor in ("lora_A", "lora_B"):
            parts = name.split(".layers.")[1].split(".")
            key = f"{parts[0]}.{parts[-3]}", factor

            def keep(module: nn.Module, given: object, out: Tensor, key: tuple[str, str] = key) -> None:
                out.retain_grad()
                outputs[key] = out

            module.register_forward_hook(keep)
    logits = model(input_features=features[None].double()).logits
    loss = -torch.log_softmax(logits, dim=-1)[0, target]
    loss.backward()
    found = Gradients(loss.item())
    for (module_name, factor), out in outputs.items():
        values, gradients = (found.x, found.g_a) if factor == "lora_A" else (found.y, found.g_b)
        values[module_name] = out.detach()[0].numpy()
        gradients[module_name] = out.grad[0].numpy()
    return found
