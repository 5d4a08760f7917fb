"""Passes and records into spectra: how many directions adapters use (Ma, Sang, Li, section 3.5, Fig. 3a-d)."""

import numpy as np

from core.analyses.adapters import adapted, adapter_tasks
from core.analyses.reading import distinct, missing_note, repeat_note
from core.analyses.request import AnalysisRequest, Note, Records
from core.analyses.spectra_result import Efficiency, ModelSpectra, Spectra
from core.analyses.spectra_sums import SV90, Measured, activations, gradients
from core.analyses.spectra_weights import subspaces, weight_spectra
from core.analyses.statistics import jackknife_interval, speaker_note
from core.engine.interface import Task
from core.models.info import ModelInfo
from core.store.model import ModelRecord


def needs(request: AnalysisRequest, records: Records | None = None) -> tuple[Task, ...]:
    """Weights, gradients and forward records of each adapter and of its untrained counterparts."""
    return adapter_tasks(request, records, lora=False)


def compute(records: Records, request: AnalysisRequest) -> Spectra:
    """Spectra of every model with LoRA and of its untrained counterparts, from Grams that are summed over clips."""
    notes = [repeat_note(request), speaker_note([clip.speaker for clip in distinct(request.clips)])]
    found: list[ModelSpectra] = []
    weights: dict[str, ModelRecord] = {}
    ratios: list[Efficiency] = []
    for trained, untrained in adapted(request):
        measured: dict[str, list[Measured]] = {}
        for model in (trained, *untrained):
            record = records.weights(model)
            if record is None:
                notes.append(Note(model.name, "Its weights have no record, so nothing can be said of its adapter."))
                continue
            weights[model.name] = record
            forward, used = activations(records, request, model, record)
            backward, gradient_notes = gradients(records, request, model)
            both = measured[model.name] = forward + backward
            notes += [missing_note(request, model, used), *gradient_notes]
            notes += [_no_update_note(model, record), *(_undefined_note(model, one) for one in both)]
            name = None if model is trained else trained.name
            found.append(ModelSpectra(model, name, weight_spectra(model, record), tuple(m.spectrum() for m in both)))
        for first in untrained[:1]:
            if {trained.name, first.name} <= measured.keys():
                ratios += _efficiency(trained, first, measured[trained.name], measured[first.name])
    pairs = tuple(subspaces([model for model in request.models if model.name in weights], weights))
    kept = dict.fromkeys(note for note in notes if note is not None)
    return Spectra(request.variant, tuple(found), tuple(ratios), pairs, tuple(kept))


def _efficiency(
    model: ModelInfo, untrained: ModelInfo, mine: list[Measured], theirs: list[Measured]
) -> list[Efficiency]:
    """Ratios of mean SV90 over modules, for what both have; the same speaker is left out of both."""
    by_kind = {(one.component, one.gradient): one for one in theirs}
    ratios = []
    for one in mine:
        other = by_kind.get((one.component, one.gradient))
        if other is None:
            continue
        value = np.asarray(other.table[-1, SV90] / one.table[-1, SV90])
        without = [
            np.asarray(other.without[name][-1, SV90] / table[-1, SV90])
            for name, table in one.without.items()
            if name in other.without
        ]
        ratio = jackknife_interval(value, without, min(one.n, other.n))
        ratios.append(Efficiency(model.name, untrained.name, one.component, one.gradient, ratio))
    return ratios


def _undefined_note(model: ModelInfo, one: Measured) -> Note | None:
    broken = [module.name for module, row in zip(model.lora, one.table, strict=False) if np.isnan(row[SV90])]
    if not broken:
        return None
    about = f"{model.name} {'grad ' if one.gradient else ''}{one.component}"
    reason = f"Undefined for {', '.join(broken)} (and so the mean): it is 0 throughout or not finite."
    return Note(about, f"{reason} An adapter that was never trained has B = 0." if one.component == "B" else reason)


def _no_update_note(model: ModelInfo, record: ModelRecord) -> Note | None:
    still = [module.name for module in model.lora if not record.modules[module.name].s_dw[0] > 0]
    reason = f"It is 0 in {', '.join(still)}: no spectrum there, and no directions to compare."
    return Note(f"{model.name} dW", reason) if still else None
