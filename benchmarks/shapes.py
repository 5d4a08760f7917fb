"""Random checkpoints in the shapes that users have, written in the real formats."""

from pathlib import Path

from core.models.describe import describe_registry
from core.models.info import ModelInfo
from core.store.index import Index
from tests.checkpoints import LABELS, base_config, save_adapter, save_base, write_registry


def base_shaped_model(directory: Path) -> ModelInfo:
    """LoRA r = 32 on v_proj over a random encoder of whisper-base's shape."""
    base = save_base(directory / "base", base_config())
    save_adapter(directory / "r32", base, r=32, lora_alpha=64, target_modules=["v_proj"])
    entry = {"name": "whisper-base shape, LoRA r=32", "base": "base", "adapter": "r32", "labels": LABELS}
    registry = write_registry(directory / "models.toml", [entry])
    return describe_registry(registry, Index(directory / "index.sqlite")).models[0]
