"""How a model is trained: every number, and the presets people ask for by name. Needs no torch."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from core import commas, encoder
from core.errors import Refusal
from core.models.info import Role

Method = Literal["head", "lora", "full"]
Dtype = Literal["auto", "float32", "float16", "bfloat16"]
METHODS = {"head": Role.FROZEN, "lora": Role.LORA, "full": Role.FULL}  # how it was trained, and what it is then


def method_name(method: str, rank: int) -> str:
    """What a trained model is called in tables and registries."""
    return {"head": "Frozen", "lora": f"LoRA r={rank}", "full": "Full"}[method]


@dataclass(frozen=True)
class Recipe:
    """One training run, but for its data. `rank` 0 trains the head alone; `layers` None adapts all of them."""

    rank: int = 32
    alpha: float = 64.0
    dropout: float = 0.1  # of LoRA's input
    targets: tuple[str, ...] = ("v_proj",)
    layers: tuple[int, ...] | None = None
    full: bool = False  # train all of the encoder instead of an adapter
    epochs: int = 20
    learning_rate: float = 5e-5
    batch_size: int = 8
    weight_decay: float = 0.0
    warmup: float = 0.0  # share of the steps over which the learning rate rises; then it falls linearly to 0
    patience: int = 0  # epochs without a better validation UAR before training stops; 0 never stops early
    class_weights: bool = False  # weigh classes by 1 / their share of the training clips
    dtype: Dtype = "auto"  # of the arithmetic; weights and what is saved are float32
    shuffle_labels: bool = False  # a control: training and validation labels are permuted, nothing can be learnt

    @property
    def method(self) -> Method:
        if self.full:
            return "full"
        return "lora" if self.rank else "head"

    def checked(self) -> "Recipe":
        """Itself; raises Refusal for values that make no sense."""
        if self.full and self.rank:
            raise Refusal("--full trains the encoder itself: leave --rank out, or give --rank 0.")
        for name, least in (("rank", 0), ("epochs", 1), ("batch_size", 1), ("patience", 0)):
            if getattr(self, name) < least:
                raise Refusal(f"--{name.replace('_', '-')} is {getattr(self, name)}: give {least} or more.")
        if not 0 < self.learning_rate < 1:
            raise Refusal(f"--learning-rate is {self.learning_rate:g}: give a number between 0 and 1.")
        for name in ("dropout", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise Refusal(f"--{name} is {getattr(self, name):g}: give a share, 0 or more and below 1.")
        if self.weight_decay < 0 or self.alpha <= 0:
            raise Refusal("--weight-decay must be 0 or more, --alpha above 0.")
        unknown = [target for target in self.targets if target not in encoder.TARGETS]
        if unknown or not self.targets:
            raise Refusal(f"--targets: {(unknown or ['nothing'])[0]!r} is none of {', '.join(encoder.TARGETS)}.")
        return self

    def as_json(self) -> dict[str, Any]:
        """For manifests, and to tell two runs apart."""
        return asdict(self) | {"targets": list(self.targets), "layers": self.layers and list(self.layers)}


@dataclass(frozen=True)
class Preset:
    """A named recipe with its folds and seed."""

    recipe: Recipe
    folds: str
    seed: int


# Ma, Sang, Li 2025, section 3: r = 32, alpha = 64, dropout 0.1, "attention projections", 20 epochs, batch 8, fp16.
_PAPER = Recipe(targets=encoder.ATTENTION_TARGETS, dtype="float16")
PRESETS: Mapping[str, Preset] = {
    "paper": Preset(_PAPER, folds="speakers", seed=42),
    # The authors' script adapts v_proj alone, groups clips by the dialog's letter and picks the epoch on test clips.
    "released": Preset(replace(_PAPER, targets=("v_proj",)), folds="released", seed=42),
}


def parse_layers(text: str) -> tuple[int, ...]:
    """`0-3,7` → (0, 1, 2, 3, 7)."""
    layers: set[int] = set()
    for part in commas.split(text):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise Refusal(f"{part!r} in --layers is not understood: write layer numbers as 0-3,7.")
        layers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    if not layers:
        raise Refusal("--layers names no layer: write layer numbers as 0-3,7, or leave it out for all.")
    return tuple(sorted(layers))
