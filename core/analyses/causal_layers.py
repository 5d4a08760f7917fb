"""Single layers switched off and on: how much of a prediction hangs on each, and what stands behind it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from core.analyses.causal_measures import (
    Labels,
    best_other,
    coincidence,
    contrast,
    outcomes,
    own_label_note,
    share,
    undefined,
    undefined_note,
)
from core.analyses.causal_result import Effects, Name, over_clips
from core.analyses.lens import kl_curve
from core.analyses.reading import forward_records, match_labels, missing_note
from core.analyses.request import AnalysisRequest, Note, Records
from core.corpora.clip import Clip
from core.engine.interface import Pass, Task
from core.engine.interventions import DialPass, LayerPass
from core.interventions import Dial
from core.models.info import ModelInfo
from core.store.forward import COMPONENTS, FRAMES
from core.store.intervention import ABLATIONS

LOST, RESTORED = ("without", "without_a", "without_b"), ("only", "only_a", "only_b", "first", "last")


@dataclass(frozen=True)
class _Runs:
    """One model's clips with their logits under everything that was done; NaN where there is no record.

    `dialled` in the order of `_dials`; `write` is what the off run's layers lack of the sum's relative contribution,
    `kl_drop` what each layer takes off the intact run's lens KL (nats).
    """

    clips: tuple[Clip, ...]
    label: Labels
    intact: Float64[np.ndarray, "clips classes"]
    dialled: Float64[np.ndarray, "clips dials classes"]
    ablated: Float64[np.ndarray, "clips ablations layers classes"]
    write: Float64[np.ndarray, "clips layers"]
    kl_drop: Float64[np.ndarray, "clips layers"]

    @cached_property
    def other(self) -> Labels:
        """What the label is held against: the best other class of the off run, without LoRA of the intact one."""
        return best_other(self.dialled[:, 0] if self.dialled.shape[1] else self.intact, self.label)


def layer_tasks(request: AnalysisRequest, model: ModelInfo, clip: Clip) -> Iterator[Task]:
    """The clip as it is, under every position of the dial, and with each layer switched."""
    yield Pass.over(model, clip, request.window_start)
    for dial in _dials(model):
        yield DialPass.over(model, clip, request.window_start, dial)
    for layer in range(model.shape.layers):
        yield LayerPass.over(model, clip, request.window_start, layer)


def layer_effects(
    records: Records, request: AnalysisRequest, model: ModelInfo
) -> tuple[Effects | None, list[Note | None]]:
    """The model's numbers, None without any record, and what must be said of them."""
    runs = _read(records, request, model)
    if runs is None:
        return None, [missing_note(request, model, ())]
    notes = [missing_note(request, model, runs.clips), own_label_note(request, model), _gaps_note(model, runs)]
    intact, speakers = outcomes(runs.intact, runs.label), [clip.speaker for clip in runs.clips]
    whole = {("intact", name): values for name, values in intact.items()}
    layers = {}
    for i, component in enumerate(ABLATIONS):
        for name, values in outcomes(runs.ablated[:, i], runs.label).items():
            layers[component, name] = values
            layers[component, f"{name}_change"] = values - intact[name][:, None]
    layers["lens", "kl_drop"] = runs.kl_drop
    if not model.lora:
        whole["intact", "contrast"] = contrast(runs.intact, runs.label, runs.other)
        return over_clips(model, None, whole, layers, speakers, request.seed), notes
    whole |= _dialled(model, runs, intact)
    intact_contrast, off_contrast = whole["intact", "contrast"], whole["off", "contrast"]
    gap = intact_contrast - off_contrast
    for component in (*LOST, *RESTORED):
        now = contrast(runs.ablated[:, ABLATIONS.index(component)], runs.label, runs.other)
        if component in LOST:
            layers[component, "lost_share"] = share(intact_contrast[:, None] - now, gap)
        else:
            layers[component, "restored_share"] = share(now - off_contrast[:, None], gap)
    layers["write", "relative_change"] = runs.write
    effects = over_clips(model, None, whole, layers, speakers, request.seed)
    close = effects.whole["intact", "undefined"] = undefined(gap)
    notes.append(undefined_note(f"{model.name} shares", close, "clips", "the intact run and the one with LoRA off"))
    for effect, statistic in (("without", "lost_share"), ("only", "restored_share")):
        for name, values in (("write", np.abs(runs.write)), ("kl_drop", runs.kl_drop)):
            found = coincidence(layers[effect, statistic], values, speakers)
            effects.whole[f"{effect}~{name}", "spearman"] = found
            if np.isnan(found.value):
                reason = "Undefined: it takes three layers that have both, and neither the same at all of them."
                notes.append(Note(f"{model.name} {effect}~{name}", reason))
    return effects, notes


def _dialled(model: ModelInfo, runs: _Runs, intact: Mapping[str, np.ndarray]) -> dict[Name, np.ndarray]:
    """The off run, the contrast of it and of the intact one, and dW cut to every rank, clip by clip."""
    off = runs.dialled[:, 0]
    low = contrast(off, runs.label, runs.other)
    whole: dict[Name, np.ndarray] = {("off", name): values for name, values in outcomes(off, runs.label).items()}
    whole["off", "contrast"] = low
    whole["intact", "contrast"] = np.where(np.isnan(low), np.nan, contrast(runs.intact, runs.label, runs.other))
    cut = {dial.rank: outcomes(runs.dialled[:, i], runs.label) for i, dial in enumerate(_dials(model)) if dial.rank}
    for rank, found in (cut | {model.rank: intact}).items():
        whole |= {(f"rank:{rank}", name): values for name, values in found.items()}
        whole |= {(f"rank:{rank}", f"{name}_change"): values - intact[name] for name, values in found.items()}
    return whole


def _dials(model: ModelInfo) -> list[Dial]:
    """Off, then dW cut to rank 1, 2, 4, … below the full one."""
    layers, full = model.shape.layers, model.rank or 0
    ranks = [2**i for i in range(full.bit_length()) if 2**i < full]
    return [Dial.even(0.0, layers), *(Dial.even(1.0, layers, rank) for rank in ranks)] if model.lora else []


def _read(records: Records, request: AnalysisRequest, model: ModelInfo) -> _Runs | None:
    """Clips with a forward record, and whatever other records they have."""
    layers, classes, dials = model.shape.layers, len(model.labels), _dials(model)
    chosen = FRAMES.index(request.frames), COMPONENTS.index("sum")
    clips, intact, dialled, ablated, write, drop = [], [], [], [], [], []
    for clip, record in forward_records(records, request, model):
        clips.append(clip)
        intact.append(record.logits)
        drop.append(-np.diff(kl_curve(record, request.variant, request.frames)))
        turned = [records.dialled(model, clip, dial) for dial in dials]
        dialled.append(np.array([one.logits if one else np.full(classes, np.nan) for one in turned]))
        off = turned[0] if turned else None
        write.append(record.relative[chosen] - off.relative[chosen] if off else np.full(layers, np.nan))
        logits = np.full((len(ABLATIONS), layers, classes), np.nan)
        for layer in range(layers):
            found = records.ablation(model, clip, layer)
            for name, values in found.logits.items() if found else ():
                logits[ABLATIONS.index(name), layer] = values
        ablated.append(logits)
    if not clips:
        return None
    label, _ = match_labels(model, clips)
    said = np.stack(intact)
    turned_logits = np.stack(dialled).reshape(len(clips), len(dials), classes)
    label = np.where(label < 0, said.argmax(axis=1), label)
    return _Runs(tuple(clips), label, said, turned_logits, np.stack(ablated), np.stack(write), np.stack(drop))


def _gaps_note(model: ModelInfo, runs: _Runs) -> Note | None:
    """How many layers of clips have no record yet."""
    there = np.isfinite(runs.ablated).any(axis=(1, 3))
    reason = f"{(~there).sum()} of {there.size} switched layers have no record: each is over the clips it has."
    return None if there.all() else Note(f"{model.name} layers", reason)
