"""Between which runs outputs are patched; minimal pairs of a selection: one speaker, same words, another emotion."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.analyses.causal_measures import own_label_note
from core.analyses.reading import distinct
from core.analyses.request import AnalysisRequest, Note
from core.corpora.clip import Clip
from core.emotions import class_index
from core.models.info import ModelInfo


@dataclass(frozen=True)
class Pairs:
    """For each clip with a clean run (its id): the clip of the corrupt run, None where it is the same one."""

    sources: Mapping[str, Clip | None]
    notes: tuple[Note, ...] = ()


def pairs(request: AnalysisRequest, model: ModelInfo) -> Pairs:
    """The request's pairs under one model, and what must be said of them."""
    clips = distinct(request.clips)
    if request.pairing == "minimal":
        sources = minimal_pairs(clips, model)
        return Pairs(sources, tuple(_minimal_notes(clips, sources, model)))
    if request.pairing == "dial" and not model.lora:
        return Pairs({}, (Note(model.name, "It has no LoRA to dial: there is no such pair of runs to patch between."),))
    note = own_label_note(request, model)
    return Pairs({clip.clip_id: None for clip in clips}, (note,) if note else ())


def minimal_pairs(clips: Sequence[Clip], model: ModelInfo) -> dict[str, Clip]:
    """For each clip (its id) the nearest by the same speaker whose label is another of the model's classes: first those
    that say the same words, of these the one closest in length. A clip without speaker or label has none.
    """
    label = {clip.clip_id: class_index(clip.label, model.labels) for clip in clips}
    words = {clip.clip_id: _words(clip) for clip in clips}
    by_speaker: dict[str, list[Clip]] = {}
    for clip in clips:
        if clip.speaker is not None and label[clip.clip_id] is not None:
            by_speaker.setdefault(clip.speaker, []).append(clip)

    def nearest(clip: Clip, others: Sequence[Clip]) -> Clip:
        said = words[clip.clip_id]
        return min(
            others,
            key=lambda other: (
                not said or words[other.clip_id] != said,
                abs(clip.n_samples - other.n_samples),
                other.clip_id,
            ),
        )

    return {
        clip.clip_id: nearest(clip, others)
        for of in by_speaker.values()
        for clip in of
        if (others := [other for other in of if label[other.clip_id] != label[clip.clip_id]])
    }


def _minimal_notes(clips: Sequence[Clip], sources: Mapping[str, Clip], model: ModelInfo) -> list[Note]:
    notes, about = [], f"{model.name} pairs"
    if alone := len(clips) - len(sources):
        reason = f"{alone} of {len(clips)} clips have no partner: a clip by the same speaker with another emotion."
        notes.append(Note(about, reason))
    both = [(clip, sources[clip.clip_id]) for clip in clips if clip.clip_id in sources]
    if other := sum(not _words(clip) or _words(clip) != _words(source) for clip, source in both):
        notes.append(Note(about, f"In {other} of {len(both)} pairs the words differ, or are not known."))
    if any(clip.n_samples != source.n_samples for clip, source in both):
        reason = "Clips of a pair differ in length: frames are mapped linearly over those of each that hold audio."
        notes.append(Note(about, reason))
    return notes


def _words(clip: Clip) -> tuple[str, ...]:
    """Of its transcript, whatever its case and punctuation; nothing where there is none."""
    return tuple(re.findall(r"[\w']+", (clip.transcript or "").casefold()))
