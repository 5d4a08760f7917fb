"""What a checkpoint's files hold, as modules and tensors: every tensor must be there, fit and be finite."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from core import encoder as names
from core.errors import Refusal
from core.models.files import not_whole, read_json, weight_files
from core.models.info import EncoderShape


def read_encoder(
    config_file: Path, weights: tuple[Path, ...], shape: EncoderShape, device: torch.device, dtype: torch.dtype
) -> WhisperEncoder:
    """The encoder of a checkpoint, decoder left on disk; every tensor must be there and fit. Raises Refusal."""
    try:
        config = WhisperConfig.from_dict(json.loads(config_file.read_text(encoding="utf-8")))
        with torch.device("meta"):
            encoder = WhisperEncoder(config)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise Refusal(f"{config_file} describes no encoder ({one_line(error)}): copy or download it again.") from error
    stride = encoder.conv1.stride[0] * encoder.conv2.stride[0]
    if stride * shape.frames != shape.mel_frames:
        raise Refusal(f"{config_file} needs a convolution stride of {stride}, which this version can't read.")
    expected = {name: tensor.shape for name, tensor in encoder.state_dict().items()}
    state = read_tensors(weights, names.encoder_tensor)
    where = weights[0]
    if missing := sorted(expected.keys() - state.keys()):
        raise Refusal(f"{where} lacks encoder.{missing[0]}{and_more(missing)}: copy or download it again.")
    if unknown := sorted(state.keys() - expected.keys()):
        raise Refusal(f"{where} holds encoder.{unknown[0]}{and_more(unknown)}, which its config.json does not expect.")
    for name, tensor in state.items():
        if tensor.shape != expected[name]:
            raise Refusal(
                f"{where} does not fit its config.json: encoder.{name} is {tuple(tensor.shape)}, "
                f"expected {tuple(expected[name])}."
            )
    encoder.load_state_dict({name: tensor.to(device, dtype) for name, tensor in state.items()}, assign=True)
    return encoder


def read_extractor(preprocessor: Path | None, shape: EncoderShape) -> WhisperFeatureExtractor:
    """The checkpoint's own feature extractor, or one that fits its encoder where it has none."""
    if preprocessor is not None:
        return WhisperFeatureExtractor.from_pretrained(preprocessor.parent)
    hop = shape.samples_per_frame // names.CONV_STRIDE
    seconds = shape.window_samples // shape.sampling_rate
    return WhisperFeatureExtractor(shape.mel_bins, shape.sampling_rate, hop_length=hop, chunk_length=seconds)


def read_head(directory: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """`projector.weight`, … of a trained head's directory, and its classes as far as its config names them."""
    tensors = read_tensors(weight_files(directory, "model"), names.head_tensor)
    config = directory / "config.json"
    named = read_json(config).get("id2label", {}) if config.is_file() else {}
    return tensors, tuple(str(named[key]) for key in sorted(named, key=int))


def read_tensors(paths: tuple[Path, ...], rename: Callable[[str], str | None]) -> dict[str, Tensor]:
    """Tensors whose names `rename` knows, as they are on disk (CPU); refuses NaN and Inf."""
    tensors: dict[str, Tensor] = {}
    for path in paths:
        try:
            with safe_open(path, framework="pt") as file:
                wanted = {name: short for name in file.keys() if (short := rename(name)) is not None}  # noqa: SIM118
                found = {name: file.get_tensor(name) for name in wanted}
        except (SafetensorError, OSError) as error:  # it was whole when the registry was read
            raise not_whole(path, error) from error
        for name, tensor in found.items():
            if not torch.isfinite(tensor).all():
                raise Refusal(f"{path} holds NaN or Inf in {name}: training diverged there; give a sound checkpoint.")
            tensors[wanted[name]] = tensor
    return tensors


def one_line(error: Exception) -> str:
    """An error's text on one line."""
    return " ".join(str(error).split())


def and_more(items: list[str]) -> str:
    """How many there are besides the first, for the end of a phrase; empty where it is alone."""
    return f" and {len(items) - 1} more" if len(items) > 1 else ""
