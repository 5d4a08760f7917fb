"""A trained adapter's untrained counterpart: same base, same adapter config, A and B drawn."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from core import encoder
from core.models.files import read_json, tensor_shapes
from core.models.info import ModelFiles, ModelInfo, Role


def untrained_of(model: ModelInfo, *, keep_head: bool, seed: int = 0) -> ModelInfo:
    """The model with A and B from N(0, 0.02^2), as its loading draws them (paper section 3.5; analyses: spectra).

    With `keep_head` under the trained head; without, under the base's own, drawn where the base has none for these
    classes. ValueError for a model without LoRA.
    """
    if not model.lora or model.role is not Role.LORA:
        raise ValueError(f"{model.name} has no trained adapter, so it has no untrained counterpart")
    head, labels = (model.files.head, model.labels) if keep_head else _base_head(model.files, model.labels)
    parts = {"untrained": model.fingerprint, "seed": seed, "head": "trained" if keep_head else "base"}
    return replace(
        model,
        name=f"{model.name} (untrained)" if seed == 0 else f"{model.name} (untrained, seed {seed})",
        role=Role.UNTRAINED,
        fingerprint=hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest(),
        labels=labels,
        files=replace(model.files, head=head),
        weighted_layer_sum=encoder.LAYER_WEIGHTS in tensor_shapes(head),
        seed=seed,
    )


def _base_head(files: ModelFiles, labels: tuple[str, ...]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The base's own files of a head over these classes, and the classes in its order; no files where it has none."""
    found = tuple(path for path in files.encoder if any(map(encoder.head_tensor, tensor_shapes((path,)))))
    sizes = {short: size for name, size in tensor_shapes(found).items() if (short := encoder.head_tensor(name))}
    if sizes.get("classifier.bias") != (len(labels),):
        return (), labels
    named = read_json(files.config).get("id2label")
    own = tuple(str(named.get(str(i))) for i in range(len(labels))) if isinstance(named, dict) else ()
    if set(own) == set(labels):
        return found, own
    unnamed = not own or own == tuple(f"LABEL_{i}" for i in range(len(labels)))
    return (found, labels) if unnamed else ((), labels)
