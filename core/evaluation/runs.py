"""What `core train` left behind: folds as models, and which of them make one row."""

from collections.abc import Sequence
from pathlib import Path

from core.corpora.folds import natural_order
from core.errors import Refusal
from core.evaluation.manifest import Manifest, read_manifest
from core.models.describe import describe
from core.models.info import ModelInfo
from core.models.registry import Entry
from core.store.index import Index
from core.training.manifest import MANIFEST
from core.training.recipe import METHODS, method_name


def find_folds(directories: Sequence[Path]) -> tuple[list[Manifest], list[str]]:
    """Manifests of folds (a fold's directory, or one that holds folds), each once, and what can't be used of them.

    Raises Refusal where nothing can.
    """
    found: dict[Path, Manifest] = {}
    bad: list[str] = []
    for directory in directories:
        folds = _folds(directory)
        if not folds:
            bad.append(f"{directory} holds no trained fold: give what `core train --out` wrote, or a fold in it.")
        for fold in folds:
            try:
                found.setdefault(fold.resolve(), read_manifest(fold))
            except Refusal as error:
                bad.append(str(error))
    if not found:
        raise Refusal(bad[0])
    return list(found.values()), bad


def _folds(directory: Path) -> list[Path]:
    if (directory / MANIFEST).is_file():
        return [directory]
    return [directory / name for name in natural_order(path.parent.name for path in directory.glob(f"*/{MANIFEST}"))]


def row_names(manifests: Sequence[Manifest]) -> list[str]:
    """For each fold the name of its row: folds and seeds of one recipe share one, other recipes never do.

    A split that leaks is part of the name, so that no table, file or figure can lose it.
    """
    names: dict[str, str] = {}  # by recipe
    plain = {one.recipe: _plain_name(one) for one in manifests}
    for one in manifests:
        if one.recipe in names:
            continue
        name = plain[one.recipe]
        if list(plain.values()).count(name) > 1:
            places = {other.directory.parent.name for other in manifests if other.recipe == one.recipe}
            name += f" ({', '.join(natural_order(places))})"
        taken, again = name, 2
        while name in names.values():
            name, again = f"{taken} #{again}", again + 1
        names[one.recipe] = name
    return [names[one.recipe] for one in manifests]


def _plain_name(manifest: Manifest) -> str:
    name = method_name(manifest.method, manifest.rank)
    if manifest.shuffled:
        name += ", labels shuffled"
    return f"{name} [LEAKING: {manifest.scheme} split]" if manifest.leaking else name


def describe_fold(manifest: Manifest, name: str, base: str | None, index: Index) -> ModelInfo:
    """The model a fold's directory holds, over its own base or another copy of it.

    Raises Refusal where files are missing or damaged, or the base is not the one it was trained over.
    """
    trained = manifest.directory
    entry = Entry(
        name=name,
        base=trained.name if manifest.method == "full" else base or manifest.base,
        directory=trained.parent,
        role=METHODS[manifest.method],
        labels=manifest.labels,
        adapter=trained.name if manifest.method == "lora" else None,
        head=trained.name if manifest.method == "head" else None,
    )
    model = describe(entry, index, download=True)
    if manifest.method != "full" and model.base_fingerprint != manifest.base_fingerprint:
        raise Refusal(f"{entry.base} is not the base {trained} was trained over: give that one with --base.")
    return model
