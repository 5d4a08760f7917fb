"""Random checkpoints in the shapes that users have, written in the real formats."""

from pathlib import Path

from core.models.describe import describe_registry
from core.models.info import ModelInfo
from core.store.index import Index
from tests.checkpoints import LABELS, base_config, save_adapter, save_base, save_head, small_config, write_registry

SHAPES = {"base": base_config, "small-test": small_config}  # whisper-base's, and one that takes seconds
REGISTRY = "models.toml"


def write_models(directory: Path, shape: str = "base") -> tuple[ModelInfo, ModelInfo]:
    """A random encoder under a trained head, and LoRA r = 32 on its v_proj; `directory / REGISTRY` lists both."""
    base = save_base(directory / "base", SHAPES[shape]())
    save_head(directory / "head", base)
    save_adapter(directory / "r32", base, r=32, lora_alpha=64, target_modules=["v_proj"])
    entries: list[dict[str, object]] = [
        {"name": "frozen", "base": "base", "head": "head"},
        {"name": "LoRA r=32", "base": "base", "adapter": "r32", "labels": LABELS},
    ]
    registry = write_registry(directory / REGISTRY, entries)
    frozen, lora = describe_registry(registry, Index(directory / "index.sqlite")).models
    return frozen, lora
