"""Ways to break a copy of a checkpoint."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from core.models.info import ModelInfo

Tensors = dict[str, Tensor]
Describe = Callable[..., ModelInfo]  # the fixture `look`


def copied(source: Path, to: Path) -> Path:
    return Path(shutil.copytree(source, to))


def edit_tensors(file: Path, change: Callable[[Tensors], Tensors | None]) -> None:
    """Rewrite a safetensors file; `change` edits the tensors in place or returns others."""
    tensors = load_file(file)
    changed = change(tensors)
    save_file(tensors if changed is None else changed, file, metadata={"format": "pt"})


def edit_json(file: Path, **changes: object) -> None:
    """Set keys of a JSON file; None removes one."""
    data = json.loads(file.read_text())
    for name, value in changes.items():
        if value is None:
            data.pop(name, None)
        else:
            data[name] = value
    file.write_text(json.dumps(data))


def put_nan(file: Path, name: str) -> None:
    def change(tensors: Tensors) -> None:
        tensors[name].view(-1)[3] = float("nan")

    edit_tensors(file, change)


def first(tensors: Tensors, part: str) -> str:
    """The first tensor's name, in alphabetical order, that contains `part`."""
    return next(name for name in sorted(tensors) if part in name)


def pickled(adapter: Path, to: Path) -> Path:
    copied(adapter, to)
    (to / "adapter_model.safetensors").rename(to / "adapter_model.bin")
    return to


def headless(adapter: Path, to: Path) -> Path:
    copied(adapter, to)
    edit_tensors(
        to / "adapter_model.safetensors",
        lambda tensors: {name: tensor for name, tensor in tensors.items() if "lora_" in name},
    )
    return to


def with_nan(adapter: Path, to: Path) -> Path:
    copied(adapter, to)
    file = to / "adapter_model.safetensors"
    put_nan(file, first(load_file(file), "lora_A"))
    return to


def truncated(adapter: Path, to: Path) -> Path:
    copied(adapter, to)
    file = to / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    return to
