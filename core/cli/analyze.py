"""`analyze`: run analyses on a selection of clips and write their numbers, and how they came about."""

import argparse
import importlib.metadata
import json
import math
import platform
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core import __version__
from core.analyses.catalogue import ANALYSES
from core.analyses.request import DEFAULT_FRAMES, AnalysisRequest
from core.analyses.table import write_csv
from core.audio.decoder import decoder
from core.audio.waveform import SAMPLE_RATE
from core.cli.answers import Answers, answer
from core.cli.session import CASUALTIES, DONE, advance, complain, progress, select_clips, session
from core.corpora.clip import Clip
from core.corpora.samples import samples_reader
from core.corpora.select import Unusable
from core.corpora.uploads import Uploads
from core.engine.build import local_engine
from core.engine.interface import EngineStatus
from core.errors import Refusal
from core.models.describe import Models, default_reference, describe_registry
from core.models.info import ModelInfo
from core.models.registry import Refused
from core.settings import Settings

_LIBRARIES = ("torch", "transformers", "peft", "nnsight", "numpy", "scikit-learn", "soundfile", "soxr")


def analyze(arguments: argparse.Namespace) -> int:
    """Write WHAT.csv for each analysis and run.json; casualties are listed there and on stderr."""
    begun = time.monotonic()
    names = parse_what(arguments.what)
    with session(arguments) as (settings, store):
        if not 0 <= arguments.window < math.inf:
            raise Refusal(f"--window is {arguments.window:g} s: give the second at which it begins, 0 or more.")
        chosen = parse_models(arguments.models)
        registry = describe_registry(settings.registry, store.index, download=True, names=chosen)
        models, refused = choose_models(registry, chosen)
        reference = default_reference(models, arguments.reference)
        selection = select_clips(arguments, store)
        if not selection.clips:
            raise Refusal(f"None of the clips can be used; the first: {selection.unusable[0].reason}")
        request = AnalysisRequest(
            models=tuple(models),
            clips=tuple(selection.clips),
            reference=reference,
            variant=arguments.variant,
            frames=arguments.frames or DEFAULT_FRAMES[arguments.variant],
            seed=arguments.seed,
            window_start=round(arguments.window * SAMPLE_RATE),
        )
        make_directory(arguments.out)
        uploads = Uploads(settings.uploads_in_memory, settings.cache_dir / "uploads")
        engine = local_engine(settings, store, samples_reader(decoder(), uploads))
        try:
            with progress("passes", 1) as bar:
                answers = answer(names, request, engine, store, lambda job: _show(bar, job.total, job.done))
            status = engine.status()
        finally:
            engine.close()
        for name, result in answers.results.items():
            write_csv(arguments.out / f"{name}.csv", result.rows())
        casualties = _casualties(refused, selection.unusable, answers)
        run = describe_run(names, request, settings, status, answers, casualties, time.monotonic() - begun)
        run["source_notes"] = list(selection.notes)
        _write_json(arguments.out / "run.json", run)
    complain(casualties + [f"Note: {text}" for text in run["windowed"]])
    return CASUALTIES if casualties else DONE


def parse_what(text: str) -> list[str]:
    """Analyses named on the command line, in the catalogue's order."""
    asked = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in asked if word not in ANALYSES and word != "all"]
    if unknown or not asked:
        raise Refusal(f"{(unknown or ['nothing'])[0]!r} is no analysis; there are {', '.join(ANALYSES)}, and all.")
    return [name for name in ANALYSES if name in asked or "all" in asked]


def parse_models(text: str) -> list[str] | None:
    """Model names from the command line; None for all of them."""
    names = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not names:
        raise Refusal("--models names no model: give names from the registry, or all.")
    return None if names == ["all"] else names


def choose_models(registry: Models, names: list[str] | None) -> tuple[list[ModelInfo], list[Refused]]:
    """The models of these names, or all, and those of them that can't be used. Refuses where none can."""
    refused = {entry.name: entry for entry in registry.refused}
    if names is None:
        models, bad = list(registry.models), list(registry.refused)
    else:
        bad = [refused[name] for name in names if name in refused]
        models = [registry.named(name) for name in names if name not in refused]
    if not models:
        raise Refusal(bad[0].reason)
    return models, bad


def make_directory(directory: Path) -> None:
    """The output directory, made before any pass is made for it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".lorascope"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Refusal(f"{directory} can't be written ({error.strerror}): give another --out.") from error


def describe_run(
    names: Sequence[str],
    request: AnalysisRequest,
    settings: Settings,
    status: EngineStatus,
    answers: Answers,
    casualties: list[str],
    seconds: float,
) -> dict[str, Any]:
    """Everything needed to cite and repeat a run."""
    return {
        "command": "python -m core " + shlex.join(sys.argv[1:]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "analyses": list(names),
        "versions": {"lorascope": __version__, "python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "registry": str(settings.registry),
        "variant": request.variant,
        "frames": request.frames,
        "seed": request.seed,
        "window_start_s": request.window_start / SAMPLE_RATE,
        "device": status.device,
        "dtype": status.precision.dtype,
        "reference": request.reference,
        "models": [
            {"name": m.name, "role": m.role.value, "rank": m.rank, "fingerprint": m.fingerprint, "labels": m.labels}
            for m in request.models
        ],
        "clips": [{"clip_id": clip.clip_id, "name": clip.name, "label": clip.label} for clip in request.clips],
        "windowed": windowed(request.models, request.clips, request.window_start),
        "wall_time_s": round(seconds, 3),
        "cache": {"hits": answers.hits, "misses": answers.computed},
        "casualties": casualties,
        "notes": [
            {"analysis": name, "about": note.about, "reason": note.reason}
            for name, result in answers.results.items()
            for note in result.notes
        ],
    }


def windowed(models: Sequence[ModelInfo], clips: Sequence[Clip], window_start: int) -> list[str]:
    """One sentence for each clip of which a model saw only a window."""
    lines = []
    for clip in clips:
        short = [model for model in models if clip.n_samples > model.shape.window_samples]
        if short:
            start = window_start / SAMPLE_RATE
            end = start + min(model.shape.window_samples for model in short) / SAMPLE_RATE
            lines.append(
                f"{clip.name} is {clip.n_samples / SAMPLE_RATE:.1f} s long: only {start:g} to {end:g} s were "
                f"analysed ({', '.join(model.name for model in short)}); --window moves that."
            )
    return lines


def _casualties(refused: list[Refused], unusable: list[Unusable], answers: Answers) -> list[str]:
    lines = [entry.reason for entry in refused] + [clip.reason for clip in unusable]
    by_reason: dict[str, list[str]] = {}
    for failure in answers.failures:
        by_reason.setdefault(f"{failure.model}: {failure.reason}", []).append(failure.clip.name)
    return lines + [f"{reason} ({len(clips)} clips: {', '.join(clips[:5])})" for reason, clips in by_reason.items()]


def _show(bar: Any, total: int, done: int) -> None:
    bar.total = total
    advance(bar, done)


def _write_json(path: Path, data: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)
