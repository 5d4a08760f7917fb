"""What `evaluate` can be asked to evaluate: models of a registry on a selection of clips, or trained folds."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.audio.decoder import decoder
from core.cli.session import advance, choose_models, parse_models, progress, select_clips
from core.corpora.clip import Clip
from core.corpora.select import Slice, choose, identify, parse_where
from core.corpora.source import list_source
from core.errors import Refusal
from core.evaluation.manifest import Manifest, manifest_of
from core.evaluation.runs import describe_fold, find_folds, row_names
from core.models.describe import default_reference, describe_registry
from core.models.info import ModelInfo
from core.settings import Settings
from core.store.store import Store


@dataclass(frozen=True)
class Candidate:
    """A model with the clips it is to be tested on; `row` is shared by folds and seeds of one recipe."""

    row: str
    title: str
    model: ModelInfo
    clips: tuple[Clip, ...]
    manifest: Manifest | None
    fold: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class Candidates:
    """All of them, the row to compare with, and what could not be used."""

    candidates: list[Candidate]
    reference: str
    casualties: list[str]
    notes: list[str]


def of_models(arguments: argparse.Namespace, settings: Settings, store: Store) -> Candidates:
    """Models of the registry, every one on the same clips."""
    chosen = parse_models(arguments.models)
    models, refused = choose_models(
        describe_registry(settings.registry, store.index, download=True, names=chosen), chosen
    )
    reference = default_reference(models, arguments.reference)
    clips, casualties, notes = _selected(arguments, store)
    casualties = [entry.reason for entry in refused] + casualties
    candidates = []
    for model in models:
        manifest = None
        try:
            manifest = manifest_of(model)
        except Refusal as error:
            notes.append(f"{model.name}: {error}")
        candidates.append(Candidate(model.name, model.name, model, clips, manifest))
    return Candidates(candidates, reference, casualties, notes)


def of_runs(arguments: argparse.Namespace, settings: Settings, store: Store) -> Candidates:
    """Trained folds, each on the clips it was to be tested on, or all of them on the clips that are given."""
    manifests, casualties = find_folds(arguments.runs)
    names = row_names(manifests)
    reference = _reference(manifests, names, arguments.reference)
    base = arguments.base
    if base and Path(base).expanduser().is_dir():
        base = str(Path(base).expanduser().resolve())
    notes: list[str] = []
    if arguments.clips:
        given, missing, notes = _selected(arguments, store)
        tests = {one.directory: given for one in manifests}
    else:
        tests, missing = find_test_clips(manifests, store)
    casualties += missing
    candidates = []
    for one, row in zip(manifests, names, strict=True):
        if one.directory not in tests:
            continue
        several = len({other.seed for other, name in zip(manifests, names, strict=True) if name == row}) > 1
        title = f"{one.fold} seed {one.seed}" if several else one.fold
        try:
            model = describe_fold(one, f"{row} {title}", base, store.index)
        except Refusal as error:
            casualties.append(f"{one.directory}: {error}")
            continue
        candidates.append(Candidate(row, title, model, tests[one.directory], one, one.fold, one.seed))
    if not candidates:
        raise Refusal(casualties[0])
    return Candidates(candidates, reference, casualties, notes)


def _selected(arguments: argparse.Namespace, store: Store) -> tuple[tuple[Clip, ...], list[str], list[str]]:
    selection = select_clips(arguments, store)
    if not selection.clips:
        raise Refusal(f"None of the clips can be used; the first: {selection.unusable[0].reason}")
    if all(clip.label is None for clip in selection.clips):
        raise Refusal("None of the clips has a label, so nothing can be right or wrong: choose labelled clips.")
    return tuple(selection.clips), [clip.reason for clip in selection.unusable], list(selection.source.notes)


def _reference(manifests: Sequence[Manifest], names: Sequence[str], wanted: str | None) -> str:
    """The wanted row, else the first frozen one, else the first."""
    if wanted is not None and wanted not in names:
        there = ", ".join(map(repr, dict.fromkeys(names)))
        raise Refusal(f"The reference {wanted!r} is not among the rows; there are {there}.")
    frozen = [name for one, name in zip(manifests, names, strict=True) if one.method == "head"]
    return wanted or (frozen or list(names))[0]


def find_test_clips(manifests: Sequence[Manifest], store: Store) -> tuple[dict[Path, tuple[Clip, ...]], list[str]]:
    """Each fold's test clips, found again by their sound in the source it was trained from; and what is not there."""
    tests: dict[Path, tuple[Clip, ...]] = {}
    casualties: list[str] = []
    sources: dict[tuple[tuple[str, ...], str], tuple[list[Clip], list[str]]] = {}
    for one in manifests:
        source = (one.source, one.where)
        if not one.test.clip_ids:
            casualties.append(f"{one.directory} has no test clips of its own: give some with --clips.")
            continue
        if source not in sources:
            try:
                sources[source] = _read_source(one, store)
            except Refusal as error:
                sources[source] = [], [str(error)]
        clips, unusable = sources[source]
        # the same sound under two names is the first one, as everywhere
        there = {clip.clip_id: clip for clip in reversed(clips) if clip.clip_id in one.test.clip_ids}
        gone = len(one.test.clip_ids) - len(there)
        if gone:
            casualties += [reason for reason in unusable if reason not in casualties]  # these may be the ones
            casualties.append(
                f"{one.directory}: {gone} of its {len(one.test.clip_ids)} test clips are not in "
                f"{' '.join(one.source)} any more (moved, changed or damaged)."
            )
        if there:
            tests[one.directory] = tuple(reversed(there.values()))
    return tests, casualties


def _read_source(manifest: Manifest, store: Store) -> tuple[list[Clip], list[str]]:
    """A source's clips, and why others of it can't be used (which may have been so in training)."""
    listing = list_source(manifest.source, store.directory)
    listed = choose(listing.clips, Slice(parse_where(manifest.where)))
    with progress("clips", len(listed)) as bar:
        clips, unusable = identify(listed, decoder(), store.index, lambda done: advance(bar, done))
    return clips, [clip.reason for clip in unusable]
