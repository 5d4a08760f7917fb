"""`models`, `clips`, `cache`, `settings`, `demo`: the commands that list and look after things."""

import argparse
import csv
import sys
from collections.abc import Sequence

from core.audio.decoder import decoder
from core.audio.waveform import SAMPLE_RATE
from core.cli.session import CASUALTIES, DONE, WRONG_REQUEST, complain, select_clips, session
from core.corpora.samples import samples_reader
from core.corpora.uploads import Uploads
from core.engine.build import local_engine
from core.errors import Refusal
from core.models.describe import describe_registry
from core.models.info import ModelInfo
from core.settings import Settings, read_settings
from core.training.rows import FOLDER, remove_unread


def models(arguments: argparse.Namespace) -> int:
    """List models with parameters, ranks and targets; with --check, whether they load."""
    with session(arguments) as (settings, store):
        found = describe_registry(settings.registry, store.index, download=arguments.check)
        reasons: dict[str, str | None] = {}
        if arguments.check:
            engine = local_engine(settings, store, samples_reader(decoder(), Uploads(1, settings.cache_dir)))
            reasons = {model.name: engine.check(model) for model in found.models}
            engine.close()
    state = {name: "loads" if reason is None else "refused" for name, reason in reasons.items()}
    head = ("name", "role", "rank", "targets", "layers", "width", "parameters", "classes", "group", "state")
    rows = [_model_row(model, state.get(model.name, "found")) for model in found.models]
    rows += [(refused.name, *[""] * (len(head) - 2), "refused") for refused in found.refused]
    _print_table([head, *rows])
    complaints = [refused.reason for refused in found.refused]
    complaints += [f"{name}: {reason}" for name, reason in reasons.items() if reason is not None]
    complain(complaints)
    if not complaints:
        return DONE
    return CASUALTIES if len(complaints) < len(rows) else WRONG_REQUEST


def _model_row(model: ModelInfo, state: str) -> tuple[str, ...]:
    targets = ",".join(dict.fromkeys(module.target for module in model.lora))
    size = (str(model.shape.layers), str(model.shape.width), f"{model.parameters:,}".replace(",", " "))
    rank = "" if model.rank is None else str(model.rank)
    return (model.name, model.role.value, rank, targets, *size, ",".join(model.labels), model.group, state)


def clips(arguments: argparse.Namespace) -> int:
    """The selection as CSV on stdout."""
    with session(arguments) as (_, store):
        selection = select_clips(arguments, store)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("clip_id", "name", "label", "speaker", "session", "duration_s"))
    for clip in selection.clips:
        duration = f"{clip.n_samples / SAMPLE_RATE:.3f}"
        writer.writerow((clip.clip_id, clip.name, clip.label, clip.speaker, clip.session, duration))
    complain([clip.reason for clip in selection.unusable] + [f"Note: {text}" for text in selection.source.notes])
    if selection.unusable and not selection.clips:
        return WRONG_REQUEST
    return CASUALTIES if selection.unusable else DONE


def cache(arguments: argparse.Namespace) -> int:
    """stats: what it holds; verify: read every record, drop damaged ones; prune: evict the least recently used."""
    with session(arguments) as (_, store):
        if arguments.action == "verify":
            good, bad = store.verify()
            print(f"{good} records are good, {len(bad)} were damaged and are dropped.")
        elif arguments.action == "prune":
            freed = store.prune(arguments.to_gb) + remove_unread(store.directory / FOLDER)
            print(f"Freed {freed / 1e6:.1f} MB.")
        stats = store.stats()
        print(
            f"{stats.directory}: {stats.records} records, {stats.bytes / 1e6:.1f} MB of {stats.limit_bytes / 1e9:g} GB"
        )
        for kind, (count, size) in stats.by_kind.items():
            print(f"  {kind}: {count} records, {size / 1e6:.1f} MB")
        if features := sum(file.stat().st_size for file in (store.directory / FOLDER).glob("*")):
            print(f"  besides, features for training: {features / 1e6:.1f} MB")
    return DONE


def settings(arguments: argparse.Namespace) -> int:
    """Every setting: variable, value, what it does."""
    values = read_settings()
    rows = [("variable", "value", "what it does")]
    for name, field in Settings.model_fields.items():
        rows.append((f"LORASCOPE_{name.upper()}", str(getattr(values, name)), field.description or ""))
    _print_table(rows)
    return DONE


def demo(arguments: argparse.Namespace) -> int:
    """Rebuild the embedded demo."""
    try:
        from core.demo.build import build  # needs torch and requirements-demo.txt
    except ImportError as error:
        raise Refusal(f"{error.name} is missing: `pip install -r requirements-demo.txt` first.") from error

    build(**({} if arguments.out is None else {"out": arguments.out}))
    return DONE


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
