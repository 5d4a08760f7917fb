"""Between which runs outputs are patched; minimal pairs of a selection: one speaker, same words, another emotion."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from core.analyses.causal_measures import own_label_note
from core.analyses.reading import distinct
from core.analyses.request import AnalysisRequest, Note
from core.corpora.clip import Clip
from core.corpora.source import Listed
from core.emotions import class_index
from core.models.info import ModelInfo

C = TypeVar("C", Clip, Listed)


@dataclass(frozen=True)
class Pairs:
    """For each clip with a clean run (its id): the clip of the corrupt run, None where it is the same one."""

    sources: Mapping[str, Clip | None]
    notes: tuple[Note, ...] = ()


def pairs(request: AnalysisRequest, model: ModelInfo) -> Pairs:
    """The request's pairs under one model, and what must be said of them."""
    clips = distinct(request.clips)
    if request.pairing == "minimal":
        sources = minimal_pairs(clips, model, request.partners)
        return Pairs(sources, tuple(_minimal_notes(clips, sources, model)))
    if request.pairing == "dial" and not model.lora:
        return Pairs({}, (Note(model.name, "It has no LoRA to dial: there is no such pair of runs to patch between."),))
    note = own_label_note(request, model)
    return Pairs({clip.clip_id: None for clip in clips}, (note,) if note else ())


def minimal_pairs(clips: Sequence[Clip], model: ModelInfo, more: Sequence[Clip] = ()) -> dict[str, Clip]:
    """For each clip (its id) the nearest of its candidates among these clips and `more`; some have none."""
    alike: dict[tuple[str, int], list[Clip]] = {}  # by speaker and class
    for clip in distinct((*clips, *more)):
        label = class_index(clip.label, model.labels)
        if clip.speaker is not None and label is not None:
            alike.setdefault((clip.speaker, label), []).append(clip)
    asked = {clip.clip_id for clip in clips}
    found: dict[str, list[Clip]] = {}
    for (speaker, label), of in alike.items():
        fits = [one for key, others in alike.items() if key[0] == speaker and key[1] != label for one in others]
        found |= {clip.clip_id: nearest(clip, fits) for clip in of if fits and clip.clip_id in asked}
    return {clip_id: others[0] for clip_id, others in found.items()}


def candidates(clip: Clip, listed: Sequence[Listed], model: ModelInfo) -> list[Listed]:
    """Of a source's clips, not decoded yet, those that could be the clip's partner: its speaker's, with another one of
    the model's classes; where some of them say the same words, they alone."""
    label = class_index(clip.label, model.labels)
    if clip.speaker is None or label is None:
        return []
    of = [other for other in listed if other.speaker == clip.speaker]
    return _alike(clip, [other for other in of if class_index(other.label, model.labels) not in (None, label)])


def nearest(clip: Clip, fits: Sequence[Clip]) -> list[Clip]:
    """Where some say the same words, they alone; the closest in length first."""
    return sorted(_alike(clip, fits), key=lambda other: (abs(clip.n_samples - other.n_samples), other.clip_id))


def _alike(clip: Clip, fits: Sequence[C]) -> list[C]:
    said = _words(clip.transcript)
    return [other for other in fits if said and _words(other.transcript) == said] or list(fits)


def same_words(clip: Clip, other: Clip | Listed) -> bool:
    """Whether both are known to say the same, whatever case and punctuation their transcripts have."""
    words = _words(clip.transcript)
    return bool(words) and words == _words(other.transcript)


def _minimal_notes(clips: Sequence[Clip], sources: Mapping[str, Clip], model: ModelInfo) -> list[Note]:
    notes, about = [], f"{model.name} pairs"
    if alone := len(clips) - len(sources):
        reason = f"{alone} of {len(clips)} clips have no partner: a clip by the same speaker with another emotion."
        notes.append(Note(about, reason))
    both = [(clip, sources[clip.clip_id]) for clip in clips if clip.clip_id in sources]
    if other := sum(not same_words(clip, source) for clip, source in both):
        notes.append(Note(about, f"In {other} of {len(both)} pairs the words differ, or are not known."))
    if mutual := sum(source.clip_id in sources and sources[source.clip_id] == clip for clip, source in both):
        reason = (
            f"{mutual} of {len(both)} clips are their partner's partner: what one direction restores there, the "
            "other loses."
        )
        notes.append(Note(about, reason))
    if any(clip.n_samples != source.n_samples for clip, source in both):
        reason = "Clips of a pair differ in length: frames are mapped linearly over those of each that hold audio."
        notes.append(Note(about, reason))
    return notes


@lru_cache(maxsize=1 << 14)
def _words(transcript: str | None) -> tuple[str, ...]:
    return tuple(re.findall(r"[\w']+", (transcript or "").casefold()))
