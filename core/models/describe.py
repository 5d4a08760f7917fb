"""From a registry entry to everything that can be known of a model without loading it."""

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import encoder
from core.errors import Refusal
from core.models import adapter as adapters
from core.models import files
from core.models.adapter import by
from core.models.fingerprint import fingerprint
from core.models.info import EncoderShape, LoraModule, ModelFiles, ModelInfo, Role
from core.models.registry import Entry, Refused, read_registry
from core.store.index import Index

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Models:
    """A registry as it stands: usable models in file order, and the others with their reasons."""

    models: tuple[ModelInfo, ...]
    refused: tuple[Refused, ...]

    def named(self, name: str) -> ModelInfo:
        """The model of that name; refuses an unknown one with the names there are."""
        for model in self.models:
            if model.name == name:
                return model
        for other in self.refused:
            if other.name == name:
                raise Refusal(other.reason)
        raise _unknown(name, [model.name for model in self.models])


def describe_registry(
    path: Path, index: Index, *, download: bool = False, names: Collection[str] | None = None
) -> Models:
    """Describe the models of a registry file, or those of these names; one that can't be used does not harm the others.

    Raises Refusal for a name that the file does not have.
    """
    entries, refused = read_registry(path)
    if names is not None:
        known = [entry.name for entry in entries] + [entry.name for entry in refused]
        for name in names:
            if name not in known:
                raise _unknown(name, known)
        entries = [entry for entry in entries if entry.name in names]
        refused = [entry for entry in refused if entry.name in names]
    models = []
    for entry in entries:
        try:
            models.append(describe(entry, index, download=download))
        except Refusal as error:
            refused.append(Refused(entry.name, f"{entry.name}: {error}"))
    return Models(tuple(models), tuple(refused))


def _unknown(name: str, known: Sequence[str]) -> Refusal:
    there = ", ".join(map(repr, known)) or "none that can be used"
    return Refusal(f"There is no model {name!r} in the registry; there are {there}.")


@dataclass(frozen=True)
class Base:
    """The encoder of a base checkpoint as its files say. `tensors` are all names and shapes in `weights`."""

    directory: Path
    config: dict[str, Any]
    weights: tuple[Path, ...]
    preprocessor: Path | None
    shape: EncoderShape
    tensors: Shapes
    fingerprint: str


def describe_base(entry: Entry, index: Index, *, download: bool = False) -> Base:
    """Find an entry's base and read its headers. Raises Refusal where it is missing, damaged, or not Whisper."""
    directory = files.best_checkpoint(files.resolve(entry.base, entry, download=download), "config.json")
    config = files.read_json(directory / "config.json")
    weights = files.weight_files(directory, "model")
    preprocessor = directory / "preprocessor_config.json"
    found = [preprocessor] if preprocessor.is_file() else []
    shape = encoder.read_shape(config, files.read_json(preprocessor) if found else {}, directory)
    tensors = files.tensor_shapes(weights)
    if not any(encoder.encoder_tensor(name) for name in tensors):
        raise Refusal(f"{weights[0]} holds no Whisper encoder: give a whisper checkpoint as `base`.")
    own = fingerprint({"encoder": weights, "config": [directory / "config.json"], "extractor": found}, index)
    return Base(directory, config, weights, preprocessor if found else None, shape, tensors, own)


def describe(entry: Entry, index: Index, *, download: bool = False) -> ModelInfo:
    """Find a model's files and check that their headers fit together.

    Raises Refusal, in one sentence, where a file is missing, pickled, damaged or does not fit the others.
    """
    base = describe_base(entry, index, download=download)
    config, weights, shape = base.config, base.weights, base.shape

    lora: tuple[LoraModule, ...] = ()
    adapter_file, adapter_config, adapter_shapes = None, None, Shapes()
    if entry.adapter is not None:
        directory = files.best_checkpoint(files.resolve(entry.adapter, entry, download=download), "adapter_config.json")
        adapter_config = directory / "adapter_config.json"
        adapter_json = files.read_json(adapter_config)
        adapters.check_config(adapter_json, adapter_config)
        adapter_file = files.weight_files(directory, "adapter_model")[0]
        adapter_shapes = files.tensor_shapes((adapter_file,))
        feed_forward = encoder.whole_number(config, "encoder_ffn_dim", base.directory / "config.json")
        lora = adapters.read_modules(adapter_shapes, adapter_json, shape, feed_forward, adapter_file)
    role = entry.role or _usual_role(entry)
    _check_role(role, entry)

    head_files, head_config = _find_head(entry, role, adapter_file, weights, download)
    own_file = (head_files or (adapter_file or base.directory,))[0]
    head_shapes = files.tensor_shapes(head_files)
    if head_files and config.get("use_weighted_layer_sum") and encoder.LAYER_WEIGHTS not in head_shapes:
        # PEFT saves no layer weights: they stay the base's, whose own head goes first and is replaced by what follows
        head_files = (*(path for path in weights if encoder.LAYER_WEIGHTS in files.tensor_shapes((path,))), *head_files)
        head_shapes = files.tensor_shapes(head_files)
    # a head to be drawn is as wide as the adapter's own
    own_head = head_shapes or (adapter_shapes if any(map(encoder.head_tensor, adapter_shapes)) else Shapes())
    classes = _check_head(own_head, shape.layers, shape.width, own_file) if own_head else len(entry.labels)
    labels = _labels(entry, classes, head_config, config)

    parts: dict[str, Any] = {"base": base.fingerprint, "role": "untrained" if role is Role.UNTRAINED else "trained"}
    parts |= {"adapter": [adapter_file, adapter_config] if adapter_file and adapter_config else []}
    parts |= {"head": head_files or str(classes)}
    return ModelInfo(
        name=entry.name,
        role=role,
        group=entry.group or Path(entry.base).name,
        fingerprint=fingerprint(parts, index),
        base_fingerprint=base.fingerprint,
        labels=labels,
        shape=shape,
        lora=lora,
        files=ModelFiles(
            config=base.directory / "config.json",
            encoder=weights,
            head=head_files,
            adapter=adapter_file,
            adapter_config=adapter_config,
            preprocessor=base.preprocessor,
        ),
        parameters=_parameters(base.tensors, lora, adapter_shapes, head_shapes),
        weighted_layer_sum=encoder.LAYER_WEIGHTS in head_shapes,
        synthetic=entry.synthetic,
    )


def _usual_role(entry: Entry) -> Role:
    if entry.adapter is not None:
        return Role.LORA
    return Role.FROZEN if entry.head is not None else Role.FULL


def _check_role(role: Role, entry: Entry) -> None:
    if role in (Role.LORA, Role.UNTRAINED) and entry.adapter is None:
        raise Refusal(f'role = "{role}" needs `adapter` (its directory or hub id).')
    if role in (Role.FROZEN, Role.FULL) and entry.adapter is not None:
        raise Refusal(f'role = "{role}" has no adapter: remove `adapter`, or give role = "lora".')


def _find_head(
    entry: Entry, role: Role, adapter_file: Path | None, base_files: tuple[Path, ...], download: bool
) -> tuple[tuple[Path, ...], dict[str, Any]]:
    """The files that hold projector and classifier, and the config beside them that may name the classes."""
    if entry.head is not None:
        directory = files.best_checkpoint(files.resolve(entry.head, entry, download=download), "model.safetensors")
        if found := _with_head(files.weight_files(directory, "model")):
            config = directory / "config.json"
            return found, files.read_json(config) if config.is_file() else {}
        raise Refusal(f"{directory} holds no projector and classifier: give the directory of the trained head.")
    if role is Role.LORA and adapter_file is not None:
        if found := _with_head((adapter_file,)):
            return found, {}
        raise Refusal(
            f"{adapter_file} holds no projector and classifier: train with modules_to_save=['projector', "
            "'classifier'], or add `head = …` with the directory that has them."
        )
    found = _with_head(base_files)
    if found or role is Role.UNTRAINED:  # an untrained model whose base has no head gets a fresh one when it is loaded
        return found, {}
    raise Refusal(f"{base_files[0].parent} has no projector and classifier: add `head = …` or `adapter = …`.")


def _with_head(candidates: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(path for path in candidates if any(map(encoder.head_tensor, files.tensor_shapes((path,)))))


def _check_head(shapes: Shapes, layers: int, width: int, path: Path) -> int:
    """Number of classes; refuses a head that lacks weights or does not fit the encoder."""
    head = {short: size for name, size in shapes.items() if (short := encoder.head_tensor(name))}
    for name in ("projector.weight", "projector.bias", "classifier.weight", "classifier.bias"):
        if name not in head:
            raise Refusal(f"{path} lacks {name}: save projector and classifier with their weights and biases.")
    projector, classifier = head["projector.weight"], head["classifier.weight"]
    inner, classes = (*projector, 0)[0], (*classifier, 0)[0]
    expected = {"projector": ((inner, width), (inner,)), "classifier": ((classes, inner), (classes,))}
    if any((head[f"{name}.weight"], head[f"{name}.bias"]) != sizes for name, sizes in expected.items()):
        raise Refusal(
            f"The head in {path} does not fit: its projector is {by(projector)} and its classifier {by(classifier)}, "
            f"the encoder's width is {width}; give the base it was trained on, and a bias for every output."
        )
    mixed = head.get(encoder.LAYER_WEIGHTS, (layers + 1,))
    if mixed != (layers + 1,):
        raise Refusal(f"The head in {path} weighs {by(mixed)} layers, its encoder has {layers} and its input.")
    return classes


def _labels(entry: Entry, classes: int, head: dict[str, Any], base: dict[str, Any]) -> tuple[str, ...]:
    if entry.labels:
        if len(entry.labels) != classes:
            raise Refusal(
                f"`labels` names {len(entry.labels)} classes, its classifier has {classes}: name each, in order."
            )
        return entry.labels
    for config in (head, base):
        named = config.get("id2label")
        named = named if isinstance(named, dict) else {}
        names = tuple(str(named.get(str(i), f"LABEL_{i}")) for i in range(classes))
        if len(named) == classes and names != tuple(f"LABEL_{i}" for i in range(classes)):
            return names
    example = ["anger", "happiness", "neutral", "sadness"] if classes == 4 else [f"class {i}" for i in range(classes)]
    raise Refusal(
        f"its checkpoint does not name its {classes} classes: add the line labels = {json.dumps(example)} "
        "to the registry, in the index order it was trained with."
    )


def _parameters(base: Shapes, lora: tuple[LoraModule, ...], adapter: Shapes, head: Shapes) -> int:
    """Weights of encoder, LoRA and head."""
    in_encoder = sum(math.prod(size) for name, size in base.items() if encoder.encoder_tensor(name))
    in_lora = sum(math.prod(size) for name, size in adapter.items() if encoder.lora_tensor(name)) if lora else 0
    in_head = {short: math.prod(size) for name, size in head.items() if (short := encoder.head_tensor(name))}
    return in_encoder + in_lora + sum(in_head.values())


def default_reference(models: Sequence[ModelInfo], wanted: str | None = None) -> str:
    """The model to compare with: the wanted one, else the frozen model of the first one's group, else the first."""
    if wanted is not None:
        if wanted not in {model.name for model in models}:
            raise Refusal(f"The reference {wanted!r} is not among the chosen models: choose it too.")
        return wanted
    for model in models:
        if model.role is Role.FROZEN and model.group == models[0].group:
            return model.name
    return models[0].name
