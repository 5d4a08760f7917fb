"""Random checkpoints in the exact formats users have: written by transformers and PEFT themselves."""

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import (
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
    WhisperForConditionalGeneration,
)
from transformers.utils import logging

logging.set_verbosity_error()  # a base's decoder is rightly unused, and its head rightly new
logging.disable_progress_bar()

LABELS = ("anger", "happiness", "neutral", "sadness")
SPECIAL_TOKENS = {
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}


def small_config(layers: int = 5, width: int = 48, seconds: int = 2, **more: object) -> WhisperConfig:
    """Odd shapes on purpose: nothing may depend on Whisper's own sizes."""
    settings = {
        "d_model": width,
        "encoder_layers": layers,
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": width * 3,
        "decoder_layers": 1,
        "decoder_attention_heads": 4,
        "decoder_ffn_dim": width,
        "vocab_size": 16,
        "max_source_positions": 50 * seconds,
        "max_target_positions": 8,
        "classifier_proj_size": 24,
        "num_labels": len(LABELS),
        "init_std": 0.08,
    }
    return WhisperConfig(**(SPECIAL_TOKENS | settings | more))


def base_config(**more: object) -> WhisperConfig:
    """whisper-base's encoder (the decoder, which LoRAscope never reads, is kept small)."""
    settings = {
        "d_model": 512,
        "encoder_layers": 6,
        "encoder_attention_heads": 8,
        "encoder_ffn_dim": 2048,
        "decoder_layers": 1,
        "decoder_attention_heads": 8,
        "decoder_ffn_dim": 64,
        "vocab_size": 64,
        "num_labels": len(LABELS),
    }
    return WhisperConfig(**(SPECIAL_TOKENS | settings | more))


def _shake(model: torch.nn.Module, seed: int) -> None:
    """Random biases and norms too: zeros and ones would hide mistakes."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.1)


def save_base(directory: Path, config: WhisperConfig, *, seed: int = 0, classifier: bool = False) -> Path:
    """A base as the hub holds it; with `classifier` a WhisperForAudioClassification checkpoint."""
    torch.manual_seed(seed)
    model = (WhisperForAudioClassification if classifier else WhisperForConditionalGeneration)(config)
    _shake(model, seed)
    model.save_pretrained(directory)
    save_extractor(directory, config)
    return directory


def save_extractor(directory: Path, config: WhisperConfig) -> None:
    seconds = config.max_source_positions // 50
    WhisperFeatureExtractor(config.num_mel_bins, chunk_length=seconds).save_pretrained(directory)


def classifier_over(
    base: Path, seed: int, labels: tuple[str, ...] = LABELS, **more: object
) -> WhisperForAudioClassification:
    """The base's encoder with a head drawn from `seed`, as a training script would make it."""
    torch.manual_seed(seed)
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    config = WhisperConfig.from_pretrained(base, **names, **more)
    model = WhisperForAudioClassification.from_pretrained(base, config=config, dtype=torch.float32)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in (model.projector, model.classifier):
            module.weight.copy_(torch.randn(module.weight.shape, generator=draw) * 0.3)
            module.bias.copy_(torch.randn(module.bias.shape, generator=draw) * 0.3)
    return model.eval()


def save_head(directory: Path, base: Path, *, seed: int = 1, labels: tuple[str, ...] = LABELS) -> Path:
    """A frozen encoder's trained projector and classifier, with the config that names its classes."""
    model = classifier_over(base, seed, labels)
    directory.mkdir(parents=True, exist_ok=True)
    head = {n: t.contiguous() for n, t in model.state_dict().items() if n.startswith(("projector", "classifier"))}
    save_file(head, directory / "model.safetensors")
    model.config.save_pretrained(directory)
    return directory


def save_adapter(
    directory: Path, base: Path, *, seed: int = 2, labels: tuple[str, ...] = LABELS, **lora: object
) -> Path:
    """A PEFT adapter with projector and classifier, A and B both random (a fresh B would be zero)."""
    model = classifier_over(base, seed, labels)
    settings = {"r": 5, "lora_alpha": 7, "target_modules": ["q_proj", "v_proj"], "lora_dropout": 0.1} | lora
    adapted = get_peft_model(model, LoraConfig(modules_to_save=["projector", "classifier"], **settings))
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.1)
    adapted.save_pretrained(directory)
    return directory


def write_registry(path: Path, models: list[dict[str, object]]) -> Path:
    """A registry file; values are strings or lists of strings."""
    tables = []
    for model in models:
        lines = [f"{key} = {_toml(value)}" for key, value in model.items()]
        tables.append("[[model]]\n" + "\n".join(lines) + "\n")
    path.write_text("\n".join(tables), encoding="utf-8")
    return path


def _toml(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'
