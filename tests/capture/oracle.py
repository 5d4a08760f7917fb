"""An independent float64 computation of a clip's numbers: plain PyTorch hooks on transformers' and PEFT's classes."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

FRAME_SAMPLES = 320


@dataclass
class Oracle:
    """Per-clip float64 numbers; 0 = all frames, 1 = those that hold audio."""

    relative: np.ndarray  # 2 x 3 x L
    cosine: np.ndarray
    residual_norm: np.ndarray  # 2 x (L+1)
    stream: np.ndarray  # (L+1) x T x d
    mean_raw: np.ndarray  # 2 x (L+1) x d
    mean_normed: np.ndarray
    lens_raw: np.ndarray  # (L+1) x T x C
    lens_normed: np.ndarray
    logits: np.ndarray
    x_a: dict[str, np.ndarray]  # T x r by module


def run_oracle(model: nn.Module, features: Tensor, n_samples: int) -> Oracle:
    """`model` is a WhisperForAudioClassification or a PeftModel around one; `features` mel x frames of one clip."""
    model = model.double().eval()
    classifier = model.get_base_model() if hasattr(model, "get_base_model") else model
    encoder = classifier.encoder
    seen: dict[str, Tensor] = {}
    hooks = []
    for i, layer in enumerate(encoder.layers):
        hooks.append(layer.register_forward_pre_hook(lambda m, args, i=i: seen.__setitem__(f"h{i}", args[0])))
        hooks.append(layer.self_attn.register_forward_hook(lambda m, a, out, i=i: seen.__setitem__(f"a{i}", out[0])))
        hooks.append(layer.register_forward_hook(lambda m, a, out, i=i: seen.__setitem__(f"o{i}", out)))
    lora = {}
    for name, module in model.named_modules():
        if name.endswith(".lora_A.default"):
            parts = name.split(".layers.")[1].split(".")
            key = f"{parts[0]}.{parts[-3]}"
            hooks.append(module.register_forward_hook(lambda m, a, out, key=key: lora.__setitem__(key, out[0])))
    with torch.no_grad():
        logits = model(input_features=features[None].double()).logits[0]
    for hook in hooks:
        hook.remove()

    layers = len(encoder.layers)
    frames = seen["h0"].shape[1]
    count = max(1, int(np.ceil(n_samples / FRAME_SAMPLES)))
    masks = [slice(0, frames), slice(0, count)]
    relative, cosine = np.zeros((2, 3, layers)), np.zeros((2, 3, layers))
    for i in range(layers):
        h, a, out = seen[f"h{i}"][0], seen[f"a{i}"][0], seen[f"o{i}"][0]
        mlp = out - (h + a)
        for c, part in enumerate((a, mlp, a + mlp)):
            ratio = part.norm(dim=-1) / h.norm(dim=-1).clamp_min(1e-6)
            angle = torch.nn.functional.cosine_similarity(part, h, dim=-1, eps=1e-8)
            for f, mask in enumerate(masks):
                relative[f, c, i], cosine[f, c, i] = ratio[mask].mean(), angle[mask].mean()
    points = torch.stack([seen["h0"][0], *(seen[f"o{i}"][0] for i in range(layers))])
    with torch.no_grad():
        normed = encoder.layer_norm(points)
        lens = [classifier.classifier(classifier.projector(states)) for states in (points, normed)]

    def means(values: Tensor) -> np.ndarray:
        return np.stack([values[:, mask].mean(dim=1).numpy() for mask in masks])

    return Oracle(
        relative=relative,
        cosine=cosine,
        residual_norm=means(points.norm(dim=-1)),
        stream=points.numpy(),
        mean_raw=means(points),
        mean_normed=means(normed),
        lens_raw=lens[0].numpy(),
        lens_normed=lens[1].numpy(),
        logits=logits.numpy(),
        x_a={key: value.numpy() for key, value in lora.items()},
    )


def close(got: object, wanted: object, tolerance: float = 1e-4) -> bool:
    """|difference| <= tolerance x max(|x|, 0.01), elementwise."""
    got, wanted = np.asarray(got, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    return bool((np.abs(got - wanted) <= tolerance * np.maximum(np.abs(wanted), 0.01)).all())


def near(got: np.ndarray, wanted: np.ndarray, tolerance: float = 2e-6) -> bool:
    """Largest difference against the array's largest entry: for arrays whose single entries cancel to nearly 0."""
    return bool(np.abs(np.asarray(got, dtype=np.float64) - wanted).max() <= tolerance * np.abs(wanted).max())
