"""Checkpoints into memory. One base's weights are shared by every model over it; LoRA by PEFT, strictly checked."""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nnsight
import torch
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from core import encoder as names
from core.errors import Refusal
from core.models.files import not_whole, read_json, weight_files
from core.models.head import Head, build_head
from core.models.info import EncoderShape, ModelInfo, Role

_UNTRAINED_SD = 0.02  # of the entries of an untrained adapter's A and B (the paper's draw)
_SAME_ENCODER = 1e-3  # half precision of a head's copy of the base's encoder


class Backbone(nn.Module):
    """An encoder under the module names it has in WhisperForAudioClassification, which adapters are saved with."""

    def __init__(self, encoder: WhisperEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, features: Tensor) -> Tensor:
        return self.encoder(features).last_hidden_state


@dataclass
class LoadedBase:
    """One encoder in memory with the adapters injected so far. `traced` is its nnsight view."""

    backbone: Backbone
    extractor: WhisperFeatureExtractor
    traced: nnsight.NNsight
    adapters: set[str] = field(default_factory=set)

    def activate(self, adapter: str | None) -> None:
        """Run with this adapter only, or with none."""
        for module in self.backbone.modules():
            if isinstance(module, LoraLayer):
                if adapter is None or adapter not in module.lora_A:
                    module.enable_adapters(False)
                else:
                    module.enable_adapters(True)
                    module.set_adapter(adapter, inference_mode=True)


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run: its base, which of the base's adapters it uses, and its own head."""

    info: ModelInfo
    base: LoadedBase
    adapter: str | None
    head: Head


class Loader:
    """Loads models on one device and keeps them. Bases are shared by content, not by name."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self._bases: dict[str, LoadedBase] = {}
        self._models: dict[str, LoadedModel] = {}

    def get(self, info: ModelInfo) -> LoadedModel:
        """The model, loaded on first use; raises Refusal where its weights can't be used."""
        if info.fingerprint not in self._models:
            self._models[info.fingerprint] = self._load(info)
        return self._models[info.fingerprint]

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names of the models in memory."""
        return tuple(model.info.name for model in self._models.values())

    def _load(self, info: ModelInfo) -> LoadedModel:
        base = self._bases.get(info.base_fingerprint)
        if base is None:
            base = self._bases[info.base_fingerprint] = load_base(info, self.device, self.dtype)
        head = _load_head(info, base, self.device)
        adapter = None
        if info.lora:
            adapter = f"a{info.fingerprint[:16]}"  # names a module, which takes no dots
            if adapter not in base.adapters:
                _inject(info, base, adapter, self.dtype)
        return LoadedModel(info, base, adapter, head)


def load_base(info: ModelInfo, device: torch.device, dtype: torch.dtype) -> LoadedBase:
    """The encoder of a model's base, ready to be traced."""
    encoder = read_encoder(info.files.config, info.files.encoder, info.shape, device, dtype)
    backbone = Backbone(encoder).eval().requires_grad_(False)
    return LoadedBase(backbone, read_extractor(info.files.preprocessor, info.shape), nnsight.NNsight(backbone))


def read_encoder(
    config_file: Path, weights: tuple[Path, ...], shape: EncoderShape, device: torch.device, dtype: torch.dtype
) -> WhisperEncoder:
    """The encoder of a checkpoint, decoder left on disk; every tensor must be there and fit. Raises Refusal."""
    try:
        config = WhisperConfig.from_dict(json.loads(config_file.read_text(encoding="utf-8")))
        with torch.device("meta"):
            encoder = WhisperEncoder(config)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise Refusal(f"{config_file} describes no encoder ({_line(error)}): copy or download it again.") from error
    stride = encoder.conv1.stride[0] * encoder.conv2.stride[0]
    if stride * shape.frames != shape.mel_frames:
        raise Refusal(f"{config_file} needs a convolution stride of {stride}, which this version can't read.")
    expected = {name: tensor.shape for name, tensor in encoder.state_dict().items()}
    state = _read(weights, names.encoder_tensor)
    where = weights[0]
    if missing := sorted(expected.keys() - state.keys()):
        raise Refusal(f"{where} lacks encoder.{missing[0]}{_more(missing)}: copy or download it again.")
    if unknown := sorted(state.keys() - expected.keys()):
        raise Refusal(f"{where} holds encoder.{unknown[0]}{_more(unknown)}, which its config.json does not expect.")
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


def _load_head(info: ModelInfo, base: LoadedBase, device: torch.device) -> Head:
    if not info.files.head:
        return build_head(_fresh_head(info), device)
    if info.role is Role.FROZEN:
        _check_same_encoder(info, base)
    return build_head(_read(info.files.head, names.head_tensor), device)


def read_head(directory: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """`projector.weight`, … of a trained head's directory, and its classes as far as its config names them."""
    tensors = _read(weight_files(directory, "model"), names.head_tensor)
    config = directory / "config.json"
    named = read_json(config).get("id2label", {}) if config.is_file() else {}
    return tensors, tuple(str(named[key]) for key in sorted(named, key=int))


def _fresh_head(info: ModelInfo) -> dict[str, Tensor]:
    """A new head as transformers would draw it (N(0, init_std^2), zero biases), seeded."""
    config = WhisperConfig.from_dict(json.loads(info.files.config.read_text(encoding="utf-8")))
    draw = torch.Generator().manual_seed(info.seed)
    inner, classes = config.classifier_proj_size, len(info.labels)
    return {
        "projector.weight": torch.randn(inner, info.shape.width, generator=draw) * config.init_std,
        "projector.bias": torch.zeros(inner),
        "classifier.weight": torch.randn(classes, inner, generator=draw) * config.init_std,
        "classifier.bias": torch.zeros(classes),
    }


def _check_same_encoder(info: ModelInfo, base: LoadedBase) -> None:
    """A frozen model's head may come in a full checkpoint; its encoder must then be the base's."""
    if set(info.files.head) == set(info.files.encoder):
        return
    own = base.backbone.encoder.state_dict()
    for name, tensor in _read(info.files.head, names.encoder_tensor).items():
        mine = own.get(name) if name in own else own.get(_base_layer_name(name))
        if mine is None or mine.shape != tensor.shape or not _close(mine, tensor):
            raise Refusal(
                f"{info.files.head[0]} has an encoder of its own that differs from the base's (encoder.{name}): "
                'it is not frozen; give it as `base` with role = "full".'
            )


def _base_layer_name(name: str) -> str:
    """Where PEFT keeps a projection's own weight once an adapter is injected beside it."""
    stem, _, last = name.rpartition(".")
    return f"{stem}.base_layer.{last}"


def _close(mine: Tensor, other: Tensor) -> bool:
    return torch.allclose(mine.float().cpu(), other.float(), rtol=_SAME_ENCODER, atol=_SAME_ENCODER)


def _inject(info: ModelInfo, base: LoadedBase, adapter: str, dtype: torch.dtype) -> None:
    if info.files.adapter is None or info.files.adapter_config is None:
        raise ValueError(f"{info.name} has LoRA modules but no adapter files")
    # Every key is checked before the shared base is touched, so a refused adapter leaves the other models as they are.
    tensors = _read((info.files.adapter,), lambda name: name if names.lora_tensor(name) else None)
    try:
        config = LoraConfig.from_pretrained(str(info.files.adapter_config.parent))
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise Refusal(f"{info.files.adapter_config} is refused by PEFT: {_line(error)}") from error
    config.inference_mode = True
    config.modules_to_save = None  # heads are kept apart: every model has its own
    _check_targets(info, config, base)
    if info.role is Role.UNTRAINED:
        draw = torch.Generator().manual_seed(info.seed)
        tensors = {n: torch.randn(t.shape, generator=draw) * _UNTRAINED_SD for n, t in sorted(tensors.items())}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several adapters are meant
        inject_adapter_in_model(config, base.backbone, adapter)
    plain = {_peft_name(name): tensor.to(dtype) for name, tensor in tensors.items()}
    loaded: Any = set_peft_model_state_dict(base.backbone, plain, adapter)
    lost = [name for name in loaded.missing_keys if f".{adapter}." in name] + list(loaded.unexpected_keys)
    if lost:
        raise Refusal(f"{info.files.adapter} and its config disagree about {lost[0]}{_more(lost)}.")
    base.adapters.add(adapter)
    base.backbone.to(next(base.backbone.encoder.conv1.parameters()).device, dtype).eval().requires_grad_(False)
    base.traced = nnsight.NNsight(base.backbone)  # the injected modules are new to the old view


def _check_targets(info: ModelInfo, config: LoraConfig, base: LoadedBase) -> None:
    """PEFT's own matching of targets against what the file holds; missing or unexpected keys are an error here."""
    from peft.tuners.tuners_utils import check_target_module_exists
    from peft.utils.other import get_pattern_key

    wanted = set()
    for layer in range(info.shape.layers):
        for target in names.TARGETS:
            path = names.module_path(layer, target)
            if check_target_module_exists(config, path):
                wanted.add(path)
    held = {names.module_path(module.layer, module.target) for module in info.lora}
    if extra := sorted(held - wanted):
        raise Refusal(
            f"{info.files.adapter} holds weights of {extra[0]}{_more(extra)}, which its config does not adapt."
        )
    if missing := sorted(wanted - held):
        raise Refusal(
            f"{info.files.adapter} lacks the weights of {missing[0]}{_more(missing)}, which its config adapts."
        )
    ranks = config.rank_pattern or {}
    for module in info.lora:
        path = names.module_path(module.layer, module.target)
        rank = ranks.get(get_pattern_key(list(ranks), path), config.r)
        if rank != module.rank:
            raise Refusal(
                f"{info.files.adapter} holds rank {module.rank} for {path}, its config says rank {rank}: "
                "give the adapter_config.json that was saved with it."
            )


def _peft_name(name: str) -> str:
    """A tensor's name as PEFT looks for it in the backbone: `base_model.model.encoder.layers…lora_A.weight`."""
    found = names.lora_tensor(name)
    if found is None:
        raise ValueError(f"{name} is no LoRA tensor")
    layer, target, factor = found
    return f"base_model.model.{names.module_path(layer, target)}.lora_{factor}.weight"


def _read(paths: tuple[Path, ...], rename: Callable[[str], str | None]) -> dict[str, Tensor]:
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


def _line(error: Exception) -> str:
    """An error's text on one line."""
    return " ".join(str(error).split())


def _more(items: list[str]) -> str:
    return f" and {len(items) - 1} more" if len(items) > 1 else ""
