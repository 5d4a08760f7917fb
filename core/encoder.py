"""The one file that knows Whisper's module names and what its modules return.

Torch-free on import: the web process reads names and shapes from here, the capture reads activations.
Of transformers 5: a layer returns a tensor, `self_attn` a tuple, and the encoder's output is after `layer_norm`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import Refusal
from core.models.info import EncoderShape

# LoRA targets and where they lie in a layer, in the order in which a forward pass reaches them.
TARGETS = {
    "q_proj": "self_attn.q_proj",
    "k_proj": "self_attn.k_proj",
    "v_proj": "self_attn.v_proj",
    "out_proj": "self_attn.out_proj",
    "fc1": "fc1",
    "fc2": "fc2",
}
ATTENTION_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj")
LAYER_WEIGHTS = "layer_weights"  # of WhisperForAudioClassification with use_weighted_layer_sum
CONV_STRIDE = 2  # conv1 has stride 1, conv2 stride 2; not in the config, checked again when a model is loaded

_ENCODER_PREFIXES = (
    "model.encoder.",
    "encoder.",
)  # of WhisperForConditionalGeneration, of WhisperForAudioClassification
_PATHS = "|".join(re.escape(path) for path in TARGETS.values())
_LORA_TENSOR = re.compile(
    rf"(?:base_model\.model\.)?(?:model\.)?encoder\.layers\.(\d+)\.({_PATHS})\.lora_([AB])(?:\.default)?\.weight"
)
_HEAD_TENSOR = re.compile(
    r"(?:base_model\.model\.)?(projector|classifier)\.(?:modules_to_save\.)?(?:default\.)?(weight|bias)"
)
_DEFAULT_HOP_SAMPLES = 160  # transformers' own defaults where a base has no preprocessor_config.json
_DEFAULT_SAMPLING_RATE = 16_000


def encoder_tensor(name: str) -> str | None:
    """A checkpoint's tensor name within the encoder (`layers.0.fc1.weight`), or None if it is not the encoder's."""
    prefix = next((p for p in _ENCODER_PREFIXES if name.startswith(p)), None)
    return name.removeprefix(prefix) if prefix else None


def head_tensor(name: str) -> str | None:
    """`projector.weight`, …, `layer_weights` from a checkpoint's or an adapter's tensor name, else None."""
    if name == LAYER_WEIGHTS:
        return name
    match = _HEAD_TENSOR.fullmatch(name)
    return f"{match[1]}.{match[2]}" if match else None


def lora_tensor(name: str) -> tuple[int, str, str] | None:
    """(layer, target, `A` or `B`) from an adapter's tensor name, else None."""
    match = _LORA_TENSOR.fullmatch(name)
    if not match:
        return None
    target = next(target for target, path in TARGETS.items() if path == match[2])
    return int(match[1]), target, match[3]


def module_path(layer: int, target: str) -> str:
    """Name of an adapted module as PEFT sees it."""
    return f"encoder.layers.{layer}.{TARGETS[target]}"


def lora_name(layer: int, target: str, factor: str) -> str:
    """The tensor of one factor (`A` or `B`) as PEFT looks for it: `base_model.model.encoder.layers…lora_A.weight`."""
    return f"base_model.model.{module_path(layer, target)}.lora_{factor}.weight"


def whole_number(data: Mapping[str, Any], name: str, file: Path, default: int | None = None) -> int:
    """A count that a config file gives; refused with the file's name where it is missing or none."""
    value = data.get(name, default)
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        said = "lacks a" if value is None else f"says {name} = {value!r}, no"
        raise Refusal(f"{file} {said} usable {name}: copy or download it again.")
    return number


def read_shape(config: Mapping[str, Any], preprocessor: Mapping[str, Any], where: Path) -> EncoderShape:
    """The encoder's dimensions from the config and feature extractor of the checkpoint in the directory `where`."""
    if config.get("model_type") != "whisper":
        raise Refusal(
            f"{where} is a {config.get('model_type') or 'nameless'} checkpoint, not Whisper: "
            "LoRAscope reads Whisper encoders."
        )
    file = where / "config.json"
    layers, width = whole_number(config, "encoder_layers", file), whole_number(config, "d_model", file)
    frames, mel_bins = whole_number(config, "max_source_positions", file), whole_number(config, "num_mel_bins", file)
    file = where / "preprocessor_config.json"
    hop = whole_number(preprocessor, "hop_length", file, _DEFAULT_HOP_SAMPLES)
    rate = whole_number(preprocessor, "sampling_rate", file, _DEFAULT_SAMPLING_RATE)
    if rate != _DEFAULT_SAMPLING_RATE:
        raise Refusal(
            f"{where} expects audio at {rate} Hz; LoRAscope works at {_DEFAULT_SAMPLING_RATE} Hz as Whisper does."
        )
    window = frames * CONV_STRIDE * hop
    if "chunk_length" in preprocessor:
        chunk = whole_number(preprocessor, "chunk_length", file)
        if chunk * rate != window:
            raise Refusal(
                f"{where} contradicts itself: its feature extractor cuts {chunk} s, its encoder takes "
                f"{window / rate:g} s ({frames} positions); make chunk_length and max_source_positions agree."
            )
    made = whole_number(preprocessor, "feature_size", file, mel_bins)
    if made != mel_bins:
        raise Refusal(
            f"{where} contradicts itself: its feature extractor makes {made} mel bins, "
            f"its encoder takes {mel_bins}; use the preprocessor_config.json that belongs to it."
        )
    return EncoderShape(layers, width, frames, CONV_STRIDE * hop, mel_bins, frames * CONV_STRIDE, rate)


def target_sizes(target: str, width: int, feed_forward: int) -> tuple[int, int]:
    """(inputs, outputs) of a target projection."""
    return {"fc1": (width, feed_forward), "fc2": (feed_forward, width)}.get(target, (width, width))


def attention_output(layer: Any) -> Any:
    """a_l of a traced layer: after `out_proj`, before it is added."""
    return layer.self_attn.output[0]


def mlp_output(layer: Any) -> Any:
    """m_l of a traced layer. Equal to out_l - (h_l + a_l) in eval mode, and not rounded by those sums."""
    return layer.fc2.output


def mlp_block(layer: Any, states: Any) -> Any:
    """m_l of a layer that is not traced, for the residual stream after its attention was added (eval mode)."""
    return layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(states))))


def lora_a_output(layer: Any, target: str, adapter: str) -> Any:
    """lora_A's output of a traced layer's target under a loaded adapter."""
    return adapted_module(layer, target).lora_A[adapter].output


def lora_b_output(layer: Any, target: str, adapter: str) -> Any:
    """lora_B's output, before PEFT scales it; runs right after lora_A."""
    return adapted_module(layer, target).lora_B[adapter].output


def adapted_module(layer: Any, target: str) -> Any:
    """A layer's target projection; the layer may be traced or not."""
    return getattr(layer.self_attn if target in ATTENTION_TARGETS else layer, target)
