"""Every setting of LoRAscope: a type, a default and one line on what it does.

Read from environment variables `LORASCOPE_*` (or a `.env` in the working directory), checked once.
"""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from core import paths
from core.errors import Refusal

Dtype = Literal["auto", "float32", "float16", "bfloat16"]


class Settings(BaseSettings):
    """All settings; `python -m core settings` prints them with their values."""

    model_config = SettingsConfigDict(env_prefix="LORASCOPE_", env_file=".env", extra="ignore", frozen=True)

    registry: Path = Field(paths.DEFAULT_REGISTRY, description="Registry file that lists the models (TOML).")
    cache_dir: Path = Field(paths.DEFAULT_CACHE, description="Directory of the activation cache.")
    cache_max_gb: float = Field(20.0, gt=0, description="Cache size in GB from which the least recently used go.")
    spill_max_gb: float = Field(
        16.0, ge=0, description="Disk that a set's gradients may take until its CKA is done (GB)."
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="Where models run: auto, cpu, cuda:0.")
    device_memory_gb: float = Field(
        0.0, ge=0, description="GB that loaded models may take before the least recently used go; 0: half the device's."
    )
    dtype: Dtype = Field("auto", description="Precision models run in; auto is float32, the one to cite.")
    threads: int = Field(0, ge=0, description="CPU threads of the worker; 0 means one a core.")
    batch_size: int = Field(4, ge=1, le=256, description="Clips a forward pass takes at once.")
    min_clip_s: float = Field(0.1, gt=0, description="Shorter clips are refused (seconds).")
    max_clip_s: float = Field(600.0, gt=0, description="Longer clips are refused (seconds).")
    max_clip_mb: float = Field(25.0, gt=0, description="Larger uploads are refused (MB of the encoded file).")
    max_channels: int = Field(16, ge=1, description="Audio with more channels is refused.")
    decode_timeout_s: float = Field(60.0, gt=0, description="Decoding one file is given up after this (seconds).")
    uploads_in_memory: int = Field(64, ge=1, description="Uploads held in memory before the oldest goes.")


def read_settings(**overrides: object) -> Settings:
    """Settings from the environment with `overrides` on top; a bad value is refused by name."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks each at run time
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "?"
        raise Refusal(
            f"Setting LORASCOPE_{name.upper()} is {first.get('input')!r}: {first['msg']}. "
            f"See `python -m core settings` for what each setting takes."
        ) from error


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return read_settings()
