"""From what a registry entry names to files on this disk: local directories, Trainer output, the Hub's cache."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from core.errors import Refusal
from core.models.registry import Entry

_WANTED = [  # of a hub repository: no pickles, and not the copies in other precisions that lie beside the weights
    "config.json",
    "preprocessor_config.json",
    "adapter_config.json",
    "adapter_model.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
]
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def resolve(reference: str, entry: Entry, *, download: bool) -> Path:
    """Directory behind `reference`: a path (relative to the registry file), else a hub id.

    With `download` a hub id that is not in the local Hugging Face cache is fetched; without, it is refused.
    """
    local = (entry.directory / Path(reference).expanduser()).resolve()
    if local.is_dir():
        return local
    if local.is_file():
        raise Refusal(f"{local} is a file; name the directory that holds it.")
    if not _HUB_ID.fullmatch(reference):
        raise Refusal(f"{local} does not exist: check the path (it is relative to the registry file).")
    return _from_hub(reference, entry.revision if reference == entry.base else None, download=download)


def _from_hub(repository: str, revision: str | None, *, download: bool) -> Path:
    # huggingface_hub takes 0.3 s to import and most registries are local
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    with contextlib.suppress(LocalEntryNotFoundError):
        local = Path(snapshot_download(repository, revision=revision, allow_patterns=_WANTED, local_files_only=True))
        if any(local.glob("*.safetensors")):  # a snapshot may hold what somebody else needed, a tokenizer say
            return local
    if not download:
        raise Refusal(
            f"{repository} is not on this machine yet: fetch it once with `python -m core models --check`, "
            "or give the path of a local copy."
        )
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=_WANTED))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise Refusal(
            f"{repository} is no local directory and could not be fetched from the Hub "
            f"({type(error).__name__}): check the name and the network, or give the path of a local copy."
        ) from error


def best_checkpoint(directory: Path, marker: str) -> Path:
    """`directory` if it holds `marker` itself; of a Trainer's output the best checkpoint, else the last one."""
    if (directory / marker).is_file():
        return directory
    numbered = sorted(
        (int(match[1]), path)
        for path in directory.glob("checkpoint-*")
        if (match := re.fullmatch(r"checkpoint-(\d+)", path.name)) and (path / marker).is_file()
    )
    if not numbered:
        return directory
    last = numbered[-1][1]
    state = last / "trainer_state.json"
    best = read_json(state).get("best_model_checkpoint") if state.is_file() else None
    chosen = directory / Path(str(best)).name if best else last
    return chosen if (chosen / marker).is_file() else last


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; refused with the file's name where it is missing or not one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Refusal(f"{path.parent} has no {path.name}: is it the right directory?") from error
    except (OSError, ValueError) as error:
        raise Refusal(f"{path} can't be read as JSON ({error}): copy the checkpoint again.") from error
    if not isinstance(data, dict):
        raise Refusal(f"{path} does not hold a JSON object: copy the checkpoint again.")
    return data


def weight_files(directory: Path, stem: str) -> tuple[Path, ...]:
    """`stem`.safetensors or its shards; refuses pickled weights and directories without any."""
    single = directory / f"{stem}.safetensors"
    if single.is_file():
        return (single,)
    index = directory / f"{stem}.safetensors.index.json"
    if index.is_file():
        names = read_json(index).get("weight_map")
        names = sorted({str(name) for name in names.values()}) if isinstance(names, dict) else []
        shards = tuple(directory / name for name in names)
        for shard in shards:
            if not shard.is_file():
                raise Refusal(f"{shard} is missing though {index.name} lists it: copy or download it again.")
        if shards:
            return shards
    pickled = next((path.name for pattern in _PICKLED for path in sorted(directory.glob(pattern))), None)
    if pickled:
        raise Refusal(
            f"{directory / pickled} is pickled, which can run code when it is opened: "
            "save it as safetensors (`save_pretrained(..., safe_serialization=True)`)."
        )
    raise Refusal(f"{directory} holds no {stem}.safetensors: is it the right directory?")


def tensor_shapes(files: tuple[Path, ...]) -> dict[str, tuple[int, ...]]:
    """Names and shapes from the files' headers; no weights are read."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in files:
        try:
            with safe_open(path, framework="numpy") as file:
                shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise not_whole(path, error) from error
    return shapes


def not_whole(path: Path, error: Exception) -> Refusal:
    """The refusal of a weight file that can't be read."""
    return Refusal(f"{path} is not a whole safetensors file ({error}): copy or download it again.")
