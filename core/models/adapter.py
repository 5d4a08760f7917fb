"""A PEFT LoRA adapter as its files say, checked without torch."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import encoder
from core.errors import Refusal
from core.models.info import EncoderShape, LoraModule

# What an adapter's config may say that LoRA arithmetic (B A x scaling) or loading takes into account, or that only
# matters while training. Any other field that is set means a variant whose numbers would be wrong here.
_UNDERSTOOD = {
    "peft_type", "task_type", "auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "peft_version",
    "r", "lora_alpha", "lora_dropout", "target_modules", "exclude_modules", "modules_to_save", "rank_pattern",
    "alpha_pattern", "use_rslora", "layers_to_transform", "layers_pattern", "init_lora_weights", "loftq_config",
    "eva_config", "runtime_config", "qalora_group_size", "ensure_weight_tying", "fan_in_fan_out", "megatron_core",
}  # fmt: skip
_PLAIN_INITS = (True, False, None, "gaussian", "eva", "orthogonal")  # the others also change the base's weights
_DECODER = re.compile(r"(?:^|\.)decoder\.")


def check_config(config: Mapping[str, Any], path: Path) -> None:
    """Refuse what is not plain LoRA: DoRA, biases, weight-changing initialisations and so on are never ignored."""
    kind = str(config.get("peft_type"))
    if kind != "LORA":
        raise Refusal(f"{path} is a {kind} adapter; LoRAscope reads LORA ones.")
    if config.get("bias", "none") != "none":
        raise Refusal(
            f"{path} trains biases (bias = {config['bias']!r}), which is not supported: train with bias='none'."
        )
    if config.get("init_lora_weights", True) not in _PLAIN_INITS:
        raise Refusal(
            f"{path} was initialised by {config['init_lora_weights']!r}, which changes the base's weights: "
            "convert it to a plain LoRA (PEFT: `save_pretrained(..., path_initial_model_for_weight_conversion=...)`)."
        )
    for name, value in config.items():
        if name not in _UNDERSTOOD and name != "bias" and value:
            raise Refusal(f"{path} sets {name} = {value!r}, a LoRA variant that is not supported: train without it.")


def read_modules(
    shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any], shape: EncoderShape, feed_forward: int, path: Path
) -> tuple[LoraModule, ...]:
    """The adapted modules in forward order; refuses tensors that are unknown, unpaired, or do not fit the base."""
    ranks: dict[tuple[int, str], dict[str, tuple[int, ...]]] = {}
    for name, size in shapes.items():
        found = encoder.lora_tensor(name)
        if found is not None:
            ranks.setdefault(found[:2], {})[found[2]] = size
        elif encoder.head_tensor(name) is None:
            why = "it adapts the decoder too" if _DECODER.search(name) else "it is no LoRA or head weight"
            raise Refusal(f"{path} holds {name}: {why}; only encoder LoRA with projector and classifier can be read.")
    if not ranks:
        raise Refusal(f"{path} holds no LoRA weights of the encoder: is it the right adapter?")
    modules = []
    for (layer, target), pair in ranks.items():
        modules.append(_module(layer, target, pair, shape, feed_forward, path))
    order = list(encoder.TARGETS)
    modules.sort(key=lambda module: (module.layer, order.index(module.target)))
    _check_complete(modules, config, shape, path)
    return tuple(modules)


def _module(
    layer: int, target: str, pair: dict[str, tuple[int, ...]], shape: EncoderShape, feed_forward: int, path: Path
) -> LoraModule:
    name = f"layer {layer}'s {target}"
    if len(pair) < 2:
        raise Refusal(f"{path} lacks lora_{'B' if 'A' in pair else 'A'} of {name}: copy or train it again.")
    if layer >= shape.layers:
        raise Refusal(f"{path} adapts layer {layer}, its base has layers 0 to {shape.layers - 1}: wrong base?")
    inputs, outputs = encoder.target_sizes(target, shape.width, feed_forward)
    a, b = pair["A"], pair["B"]
    rank = a[0] if a else 0
    if rank == 0 or (a, b) != ((rank, inputs), (outputs, rank)):
        raise Refusal(
            f"{path} does not fit its base: for {name} A is {by(a)} and B {by(b)}, the base's "
            f"projection is {outputs} x {inputs}; give the base it was trained on."
        )
    return LoraModule(layer, target, rank, inputs, outputs)


def by(size: tuple[int, ...]) -> str:
    """A tensor's size in words: `32 x 5`."""
    return " x ".join(map(str, size)) or "a single number"


def _check_complete(modules: list[LoraModule], config: Mapping[str, Any], shape: EncoderShape, path: Path) -> None:
    """Every module that the config's list of targets asks for must be there (a pattern is checked on loading)."""
    targets = config.get("target_modules")
    if not isinstance(targets, list):
        return
    layers = config.get("layers_to_transform")
    chosen = [layers] if isinstance(layers, int) else layers or range(shape.layers)
    have = {encoder.module_path(module.layer, module.target) for module in modules}
    for layer in chosen:
        for target in encoder.TARGETS:
            name = encoder.module_path(layer, target)
            if (
                name not in have
                and any(name == t or name.endswith(f".{t}") for t in targets)
                and not _excluded(name, config)
            ):
                raise Refusal(f"{path} lacks the weights of {name}, which its config adapts: copy or train it again.")


def _excluded(name: str, config: Mapping[str, Any]) -> bool:
    excluded = config.get("exclude_modules") or []
    if isinstance(excluded, str):
        return re.fullmatch(excluded, name) is not None
    return any(name == e or name.endswith(f".{e}") for e in excluded)
