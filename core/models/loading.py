"""Checkpoints into memory. One base's weights are shared by every model over it; LoRA by PEFT, strictly checked."""

import gc
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import nnsight
import torch
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from core import encoder as names
from core.errors import Refusal
from core.models.draws import fresh_head, untrained_draw
from core.models.head import Head, build_head
from core.models.info import ModelInfo, Role
from core.models.memory import Memory, ModelMemory
from core.models.reading import and_more, one_line, read_encoder, read_extractor, read_tensors

_SAME_ENCODER = 1e-3  # half precision of a head's copy of the base's encoder


class Backbone(nn.Module):
    """An encoder under the module names it has in WhisperForAudioClassification, which adapters are saved with."""

    peft_config: dict[str, LoraConfig]  # by adapter; PEFT sets it

    def __init__(self, encoder: WhisperEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, inputs: Tensor, start: int | None = None, stop: int | None = None) -> Tensor:
        """The encoder's output for log-mel features. With `start`, for the residual stream entering that layer instead;
        with `stop` too, only the residual stream entering that layer."""
        if start is None:
            return self.encoder(inputs).last_hidden_state
        for layer in self.encoder.layers[start:stop]:
            inputs = layer(inputs, None)
        return self.encoder.layer_norm(inputs) if stop is None else inputs


@dataclass
class LoadedBase:
    """One encoder in memory with the adapters injected so far. `traced` is its nnsight view."""

    backbone: Backbone
    extractor: WhisperFeatureExtractor
    traced: nnsight.NNsight
    bytes: int
    adapted: tuple[LoraLayer, ...] = ()  # where any adapter sits

    def activate(self, adapter: str | None) -> None:
        """Run with this adapter only, or with none."""
        for module in self.adapted:
            wanted = adapter is not None and adapter in module.lora_A
            if wanted == module.disable_adapters:
                module.enable_adapters(wanted)
            if adapter is not None and wanted:  # after that, which asks for gradients of what it enables
                module.set_adapter(adapter, inference_mode=True)

    def look_again(self) -> None:
        """After adapters came or went: the traced view and `adapted` as the modules are now."""
        self.traced = nnsight.NNsight(self.backbone)
        self.adapted = tuple(module for module in self.backbone.modules() if isinstance(module, LoraLayer))

    def remove(self, adapter: str) -> None:
        """Forget an adapter's weights; the base's own stay where they are."""
        for module in self.adapted:
            module.set_adapter([], inference_mode=True)  # PEFT would turn to another one, and warn
            module.delete_adapter(adapter)
        self.backbone.peft_config.pop(adapter)
        self.look_again()

    def tensors(self, adapter: str) -> Iterable[Tensor]:
        """An adapter's A and B."""
        return (tensor for name, tensor in self.backbone.named_parameters() if f".{adapter}." in name)


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run: its base, which of the base's adapters it uses, and its own head."""

    info: ModelInfo
    base: LoadedBase
    adapter: str | None
    head: Head


class Loader:
    """Loads models on one device and keeps them while their weights fit into `limit_bytes` together; then the least
    recently used go, a base with the last model over it. Bases are shared by content, not by name."""

    def __init__(self, device: torch.device, dtype: torch.dtype, limit_bytes: int = sys.maxsize) -> None:
        self.device = device
        self.dtype = dtype
        self._limit = limit_bytes
        self._bases: dict[str, LoadedBase] = {}
        self._models: dict[str, LoadedModel] = {}  # the least recently used first
        self._known: dict[str, ModelMemory] = {}

    def get(self, info: ModelInfo, in_use: ModelInfo | None = None) -> LoadedModel:
        """The model, loaded if it is not in memory; raises Refusal where its weights can't be used.

        Others may go to make room, `in_use` never. A model that is too large even alone is loaded all the same.
        """
        kept = {info.fingerprint} | ({in_use.fingerprint} if in_use else set())
        model = self._models.pop(info.fingerprint, None)
        if model is None:
            self._make_room(self._need(info), kept, info.base_fingerprint)
            try:
                model = self._load(info)
            finally:
                self._drop_bases(but=info.base_fingerprint if model else None)  # none stays for a refused model
        self._models[info.fingerprint] = model
        self._make_room(0, kept, info.base_fingerprint)  # what was needed is now known
        return model

    @property
    def memory(self) -> Memory:
        """What is and was loaded, and what it takes."""
        known = (replace(model, loaded=name in self._models) for name, model in self._known.items())
        return Memory(self._limit, tuple(known))

    def _load(self, info: ModelInfo) -> LoadedModel:
        base = self._bases.get(info.base_fingerprint)
        if base is None:
            base = self._bases[info.base_fingerprint] = load_base(info, self.device, self.dtype)
        head = _load_head(info, base, self.device)
        adapter = None
        if info.lora:
            adapter = f"a{info.fingerprint[:16]}"  # names a module, which takes no dots
            _inject(info, base, adapter, self.dtype)
        own = [*head.tensors(), *(base.tensors(adapter) if adapter else ())]
        self._known[info.fingerprint] = ModelMemory(
            info.name, info.fingerprint, info.base_fingerprint, _bytes(own), base.bytes
        )
        return LoadedModel(info, base, adapter, head)

    def _used(self) -> int:
        bases = sum(base.bytes for base in self._bases.values())
        return bases + sum(self._known[name].own_bytes for name in self._models)

    def _need(self, info: ModelInfo) -> int:
        """Bytes that loading a model will add, nearly: the head is kept in float32."""
        base = self._bases.get(info.base_fingerprint)
        return info.parameters * self.dtype.itemsize - (base.bytes if base else 0)

    def _make_room(self, need: int, kept: set[str], base: str) -> None:
        """Let models go, the least recently used first, until `need` bytes more would fit or none but `kept` are left.
        `base` stays in any case."""
        going = [name for name in self._models if name not in kept]
        while going and self._used() + need > self._limit:
            self._drop(going.pop(0))
            self._drop_bases(but=base)
            gc.collect()  # traced views are cycles
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _drop(self, name: str) -> None:
        model = self._models.pop(name)
        if model.adapter:
            model.base.remove(model.adapter)

    def _drop_bases(self, but: str | None) -> None:
        """Let bases go that no model in memory uses."""
        used = {model.info.base_fingerprint for model in self._models.values()} | {but}
        self._bases = {name: base for name, base in self._bases.items() if name in used}


def load_base(info: ModelInfo, device: torch.device, dtype: torch.dtype) -> LoadedBase:
    """The encoder of a model's base, ready to be traced."""
    encoder = read_encoder(info.files.config, info.files.encoder, info.shape, device, dtype)
    backbone = Backbone(encoder).eval().requires_grad_(False)
    extractor = read_extractor(info.files.preprocessor, info.shape)
    return LoadedBase(backbone, extractor, nnsight.NNsight(backbone), _bytes(backbone.parameters()))


def _load_head(info: ModelInfo, base: LoadedBase, device: torch.device) -> Head:
    if not info.files.head:
        return build_head(fresh_head(info), device)
    if info.role is Role.FROZEN:
        _check_same_encoder(info, base)
    return build_head(read_tensors(info.files.head, names.head_tensor), device)


def _check_same_encoder(info: ModelInfo, base: LoadedBase) -> None:
    """A frozen model's head may come in a full checkpoint; its encoder must then be the base's."""
    if set(info.files.head) == set(info.files.encoder):
        return
    own = base.backbone.encoder.state_dict()
    for name, tensor in read_tensors(info.files.head, names.encoder_tensor).items():
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
    tensors = read_tensors((info.files.adapter,), lambda name: name if names.lora_tensor(name) else None)
    try:
        config = LoraConfig.from_pretrained(str(info.files.adapter_config.parent))
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise Refusal(f"{info.files.adapter_config} is refused by PEFT: {one_line(error)}") from error
    config.inference_mode = True
    config.modules_to_save = None  # heads are kept apart: every model has its own
    _check_targets(info, config, base)
    if info.role is Role.UNTRAINED:
        tensors = untrained_draw(tensors, info.seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several adapters are meant
        inject_adapter_in_model(config, base.backbone, adapter)
    base.look_again()
    plain = {_peft_name(name): tensor.to(dtype) for name, tensor in tensors.items()}
    loaded: Any = set_peft_model_state_dict(base.backbone, plain, adapter)
    lost = [name for name in loaded.missing_keys if f".{adapter}." in name] + list(loaded.unexpected_keys)
    if lost:
        base.remove(adapter)
        raise Refusal(f"{info.files.adapter} and its config disagree about {lost[0]}{and_more(lost)}.")
    base.backbone.to(next(base.backbone.encoder.conv1.parameters()).device, dtype).eval().requires_grad_(False)


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
            f"{info.files.adapter} holds weights of {extra[0]}{and_more(extra)}, which its config does not adapt."
        )
    if missing := sorted(wanted - held):
        raise Refusal(
            f"{info.files.adapter} lacks the weights of {missing[0]}{and_more(missing)}, which its config adapts."
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
    """A file's name of a tensor as PEFT looks for it in the backbone."""
    found = names.lora_tensor(name)
    if found is None:
        raise ValueError(f"{name} is no LoRA tensor")
    layer, target, factor = found
    return names.lora_name(layer, target, factor)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
