"""What several folders of tests share: one shelf of random checkpoints, and clips to run them on."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

LABELS = ("anger", "happiness", "neutral", "sadness")
SIX_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch on one thread: on tiny models, others only wait for each other, ten times longer on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `base`, and over it `head` (frozen), `lora` (r = 5), `wide` (r = 3, all six targets) and `full`.

    Windows are 1 s long. Copy what you want to break.
    """
    # tests that need no checkpoints need no torch either
    from tests.checkpoints import classifier_over, save_adapter, save_base, save_extractor, save_head, small_config

    root = tmp_path_factory.mktemp("shelf")
    config = small_config(layers=3, width=32, seconds=1)
    base = save_base(root / "base", config)
    save_head(root / "head", base, seed=1)
    save_adapter(root / "lora", base, seed=2)
    save_adapter(root / "wide", base, seed=3, r=3, lora_alpha=5, target_modules=SIX_TARGETS)
    classifier_over(base, 4).save_pretrained(root / "full")
    save_extractor(root / "full", config)
    return root


@pytest.fixture(scope="session")
def registry(shelf: Path) -> Path:
    """A registry of four models on the shelf, one of each kind."""
    from tests.checkpoints import write_registry

    over_base = {"base": "base", "group": "tiny"}
    return write_registry(
        shelf / "models.toml",
        [
            {"name": "Frozen", "head": "head", "role": "frozen"} | over_base,
            {"name": "LoRA", "adapter": "lora", "labels": LABELS} | over_base,
            {"name": "Wide", "adapter": "wide", "labels": LABELS} | over_base,
            {"name": "Full", "base": "full", "group": "other"},
        ],
    )


def save_sound(path: Path, seconds: float, seed: int, rate: int = 16_000) -> Path:
    """A tone with some noise, as 16-bit WAV, different for every seed."""
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * (120 + 45 * seed) * time) + 0.05 * draw.standard_normal(time.size)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        soundfile.write(file, tone, rate, format="WAV", subtype="PCM_16")
    return path


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight short clips with metadata: two of each class, by two speakers."""
    folder = tmp_path_factory.mktemp("voices")
    rows = []
    for i in range(8):
        name = f"clip{i}.wav"
        save_sound(folder / name, 0.4 + 0.07 * i, i)
        rows.append((name, LABELS[i % 4], f"S{i % 2}", "one" if i < 4 else "two"))
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file_name", "label", "speaker", "session"), *rows])
    return folder
