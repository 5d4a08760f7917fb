"""What is trained: a classifier over a base's encoder with LoRA or all of it, or a head alone over frozen means."""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperForAudioClassification
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from core.emotions import canonical
from core.errors import Refusal
from core.models.describe import Base
from core.models.reading import read_encoder, read_head
from core.training.recipe import Recipe

_HEAD = ("projector", "classifier")


class FrozenHead(nn.Module):
    """Projector and classifier over the mean of a frozen encoder's frames.

    WhisperForAudioClassification projects every frame and then takes the mean; the projector is affine, so the mean
    can come first: the encoder runs once a clip instead of once an epoch.
    """

    def __init__(self, projector: nn.Linear, classifier: nn.Linear) -> None:
        super().__init__()
        self.projector = projector
        self.classifier = classifier

    def forward(
        self, means: Float[Tensor, "clips d"], labels: Int[Tensor, " clips"] | None = None
    ) -> dict[str, Tensor]:
        logits = self.classifier(self.projector(means))
        if labels is None:
            return {"logits": logits}
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


@dataclass(frozen=True)
class Fresh:
    """An untrained network for one fold; `config` names its classes."""

    network: nn.Module
    config: WhisperConfig


def load_encoder(base: Base) -> WhisperEncoder:
    """The base's encoder in float32 on the CPU; the Trainer moves it."""
    return read_encoder(base.directory / "config.json", base.weights, base.shape, torch.device("cpu"), torch.float32)


def make(base: Base, encoder: WhisperEncoder, recipe: Recipe, labels: tuple[str, ...], head: Path | None) -> Fresh:
    """A network as the recipe says, drawn from torch's current seed; `encoder` is copied where training changes it.

    `head` is a directory with a trained head of the same classes to start from.
    """
    config = WhisperConfig.from_dict(
        base.config
        | {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
        | {"use_weighted_layer_sum": False, "architectures": ["WhisperForAudioClassification"], "dtype": "float32"}
    )
    projector = _linear(config.d_model, config.classifier_proj_size, config.init_std)
    classifier = _linear(config.classifier_proj_size, len(labels), config.init_std)
    if head is not None:
        _start_from(head, labels, {"projector": projector, "classifier": classifier})
    if recipe.method == "head":
        return Fresh(FrozenHead(projector, classifier), config)
    with torch.device("meta"):
        model = WhisperForAudioClassification(config)
    model.encoder = copy.deepcopy(encoder)
    model.projector, model.classifier = projector, classifier
    model.encoder.requires_grad_(recipe.full)
    model.encoder.embed_positions.requires_grad_(False)  # sinusoids: Whisper never trains them
    return Fresh(_adapted(model, recipe, base) if recipe.rank else model, config)


def _linear(inputs: int, outputs: int, spread: float) -> nn.Linear:
    """Drawn as transformers draws a new head."""
    linear = nn.Linear(inputs, outputs)
    nn.init.normal_(linear.weight, std=spread)
    nn.init.zeros_(linear.bias)
    return linear


def _adapted(model: WhisperForAudioClassification, recipe: Recipe, base: Base) -> nn.Module:
    beyond = [layer for layer in recipe.layers or () if layer >= base.shape.layers]
    if beyond:
        raise Refusal(f"--layers names layer {beyond[0]}; {base.directory} has layers 0 to {base.shape.layers - 1}.")
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,  # type: ignore[arg-type]  # PEFT takes fractions too
        lora_dropout=recipe.dropout,
        target_modules=list(recipe.targets),
        layers_to_transform=None if recipe.layers is None else list(recipe.layers),
        layers_pattern=None if recipe.layers is None else "layers",
        modules_to_save=list(_HEAD),
        task_type=None,
    )
    return get_peft_model(model, config)


def _start_from(head: Path, labels: tuple[str, ...], fresh: dict[str, nn.Linear]) -> None:
    tensors, named = read_head(head)
    if named and tuple(map(canonical, named)) != tuple(map(canonical, labels)):
        raise Refusal(f"{head} knows {', '.join(named)}, these clips {', '.join(labels)}: give a head for them.")
    for part, linear in fresh.items():
        for name, parameter in linear.named_parameters():
            trained = tensors.get(f"{part}.{name}")
            if trained is None or trained.shape != parameter.shape:
                raise Refusal(
                    f"{head} has no {part}.{name} of shape {tuple(parameter.shape)}: give a head over this base."
                )
            parameter.data.copy_(trained)


def save(network: nn.Module, config: WhisperConfig, base: Base, name: str, out: Path) -> None:
    """Write a trained network the way the registry reads it: an adapter, a head, or a whole classifier.

    `name` is what the base is called, for the adapter's own config.
    """
    if isinstance(network, FrozenHead):
        save_file(network.state_dict(), out / "model.safetensors", {"format": "pt"})
        config.save_pretrained(out)
    elif isinstance(network, PeftModel):
        network.peft_config["default"].base_model_name_or_path = name
        network.save_pretrained(str(out), save_embedding_layers=False)
        (out / "README.md").unlink(missing_ok=True)  # PEFT's empty template
    else:
        assert isinstance(network, WhisperForAudioClassification)
        network.save_pretrained(out)
        if base.preprocessor is not None:
            (out / base.preprocessor.name).write_bytes(base.preprocessor.read_bytes())
