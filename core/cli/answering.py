"""From the options of `analyze` and `report` to answers: models, clips, passes, results, and how they came about."""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from core.analyses.request import DEFAULT_FRAMES, AnalysisRequest
from core.analyses.tidy import Table
from core.audio.decoder import decoder
from core.audio.waveform import SAMPLE_RATE
from core.cli.output import clip_json, failed_passes, model_json
from core.cli.session import Selection, choose_models, parse_models, progress, select_clips, session, show
from core.corpora.clip import Clip
from core.corpora.samples import samples_reader
from core.corpora.select import parse_where
from core.corpora.uploads import Uploads
from core.engine.build import local_engine
from core.engine.interface import EngineStatus
from core.errors import Refusal
from core.models.describe import default_reference, describe_registry
from core.models.info import ModelInfo
from core.provenance import origin
from core.settings import Settings
from core.store.store import Store
from core.studies import partners
from core.studies.answers import Answers, answer
from core.studies.compute import tables
from core.studies.slices import check_by


@dataclass(frozen=True)
class Answered:
    """Analyses of a request, and what could not be used: one sentence each."""

    names: tuple[str, ...]
    request: AnalysisRequest
    settings: Settings
    status: EngineStatus
    answers: Answers[Table]
    casualties: tuple[str, ...]
    source_notes: tuple[str, ...]
    seconds: float

    def run_json(self) -> dict[str, Any]:
        """Everything needed to cite and repeat it."""
        request, answers = self.request, self.answers
        return {
            **origin(),
            "analyses": list(self.names),
            "registry": str(self.settings.registry),
            "variant": request.variant,
            "frames": request.frames,
            "seed": request.seed,
            "untrained_seeds": request.untrained_seeds,
            "window_start_s": request.window_start / SAMPLE_RATE,
            "causal": request.parts,
            "pairs": request.pairing,
            "partners": [clip_json(clip) for clip in request.partners],
            "span_s": request.span,
            "device": self.status.device,
            "dtype": self.status.precision.dtype,
            "reference": request.reference,
            "models": [model_json(model) for model in request.models],
            "clips": [clip_json(clip) for clip in request.clips],
            "groups": {name: [clip.clip_id for clip in group.clips] for name, group in answers.groups.items() if name},
            "windowed": self.windowed(),
            "wall_time_s": round(self.seconds, 3),
            "cache": {"hits": answers.hits, "misses": answers.computed},
            "casualties": list(self.casualties),
            "notes": [
                {"analysis": name, "about": note.about, "reason": note.reason} | ({"group": group} if group else {})
                for group, results in answers.results.items()
                for name, table in results.items()
                for note in table.notes
            ],
            "source_notes": list(self.source_notes),
        }

    def windowed(self) -> list[str]:
        """One sentence for each clip of which a model saw only a window."""
        lines = []
        for clip in self.request.clips:
            short = [model for model in self.request.models if clip.n_samples > model.shape.window_samples]
            if short:
                start = self.request.window_start / SAMPLE_RATE
                end = start + min(model.shape.window_samples for model in short) / SAMPLE_RATE
                lines.append(
                    f"{clip.name} is {clip.n_samples / SAMPLE_RATE:.1f} s long: only {start:g} to {end:g} s were "
                    f"analysed ({', '.join(model.name for model in short)}); --window moves that."
                )
        return lines


def answered(arguments: argparse.Namespace, names: Sequence[str], prepare: Callable[[], None]) -> Answered:
    """Do everything that the options ask for; `prepare` comes before the first pass. Raises Refusal, also its own."""
    begun = time.monotonic()
    by = None if arguments.by is None else check_by(arguments.by)
    with session(arguments) as (settings, store):
        if not 0 <= arguments.window < math.inf:
            raise Refusal(f"--window is {arguments.window:g} s: give the second at which it begins, 0 or more.")
        chosen = parse_models(arguments.models)
        registry = describe_registry(settings.registry, store.index, download=True, names=chosen)
        models, refused = choose_models(registry, chosen)
        reference = default_reference(models, arguments.reference)
        if arguments.span is not None and "causal" in names:
            _check_span(arguments.span, models)
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
            untrained_seeds=arguments.untrained_seeds,
            parts=arguments.causal,
            pairing=arguments.pairs,
            partners=_partners(arguments, names, selection, models, store),
            span=arguments.span,
        )
        prepare()
        uploads = Uploads(settings.uploads_in_memory, settings.cache_dir / "uploads")
        engine = local_engine(settings, store, samples_reader(decoder(), uploads))
        try:
            with progress("passes", 1) as bar:
                answers = answer(
                    names,
                    request,
                    engine,
                    store,
                    lambda names, groups: tables(names, groups, store, engine.precision),
                    by=by,
                    progress=lambda job, _: show(bar, job.total, job.done),
                )
            status = engine.status()
        finally:
            engine.close()
    unusable = [model.reason for model in refused] + [clip.reason for clip in selection.unusable]
    return Answered(
        names=tuple(names),
        request=request,
        settings=settings,
        status=status,
        answers=answers,
        casualties=(*unusable, *failed_passes(answers.failures)),
        source_notes=tuple(selection.source.notes),
        seconds=time.monotonic() - begun,
    )


def _check_span(span: tuple[float, float], models: Sequence[ModelInfo]) -> None:
    """Refuses a span that no run of one of the models can hold."""
    for model in models:
        seconds = model.shape.window_samples / model.shape.sampling_rate
        if span[1] > seconds:
            raise Refusal(
                f"--span ends at {span[1]:g} s, but {model.name} hears {seconds:g} s: give 0-{seconds:g} or less."
            )


def _partners(
    arguments: argparse.Namespace, names: Sequence[str], selection: Selection, models: Sequence[ModelInfo], store: Store
) -> tuple[Clip, ...]:
    """Of a clip that is asked for by name; of a slice's clips each has another one of the slice."""
    if "causal" not in names or "patching" not in arguments.causal or arguments.pairs != "minimal":
        if arguments.partner is not None:
            raise Refusal("--partner is for a minimal pair: add --pairs minimal, and causal to the analyses.")
        return ()
    if "name" not in parse_where(arguments.where) or len(selection.clips) > 1:
        if arguments.partner is not None:
            raise Refusal("--partner is for one clip alone: choose it with --where name=…, a name of its own.")
        return ()
    (clip,) = selection.clips
    return partners.of_all(clip, selection.source.clips, models, decoder(), store.index, arguments.partner)
