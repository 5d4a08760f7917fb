"""The sidebar's sample: which of a slice's clips the pages about many clips take, and how they are split."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from core.corpora.select import value_of
from core.corpora.source import Listed
from core.models.info import ModelInfo
from core.studies.slices import CORRECT, FIELDS
from core.ui import clips, links
from core.ui.keys import NUMBERS, Key
from core.ui.notices import notice
from core.ui.selection import Clips

_BALANCED_HELP = "Clips of each class, drawn at random by the seed; 25 as in the paper, 0 takes all."
_LIMIT_HELP = "The first so many clips, as these have no labels to balance; 0 takes all."
_SEED_HELP = "Of the balanced sample, and of bootstrap and permutations."
_BY_HELP = """Every curve once for each group of clips. Groups are sets of their own: spectra and CKA are
computed anew for each. `correct:` splits by whether the named model's own answer is right."""


def choose(chosen: Clips, kept: Sequence[Listed], models: Sequence[ModelInfo]) -> Clips:
    """Draw the controls for the clips that the slice keeps (none for uploads); raises Refusal."""
    labelled = bool(kept) and all(clip.label is not None for clip in kept)
    key, label, text = (Key.BALANCED, "Per class", _BALANCED_HELP) if labelled else (Key.LIMIT, "At most", _LIMIT_HELP)
    left, right = st.columns(2)
    count = _number(left, key, label, text)
    seed = _number(right, Key.SEED, "Seed", _SEED_HELP)
    one = _one(chosen)
    by = _by(kept, models)
    if one is not None:
        return replace(chosen, clip=one, seed=seed)
    if labelled:
        return replace(chosen, balanced=count or None, seed=seed, by=by)
    return replace(chosen, limit=count or None, seed=seed, by=by)


def _by(kept: Sequence[Listed], models: Sequence[ModelInfo]) -> str | None:
    options = [field for field in FIELDS if len({value_of(clip, field) for clip in kept} - {None}) > 1]
    if any(clip.label for clip in kept):
        options += [f"{CORRECT}{model.name}" for model in models]
    asked = links.asked(Key.BY)
    if asked and asked not in options:
        notice(f"These clips can't be split by {asked}.")
        st.session_state[Key.BY] = None
    return st.selectbox(
        "Split by",
        options,
        index=None,
        key=Key.BY,
        bind="query-params",
        placeholder="No split",
        help=_BY_HELP,
    )


def _number(cell: st.delta_generator.DeltaGenerator, key: Key, label: str, text: str) -> int:
    number = cell.number_input(label, 0, value=NUMBERS[key], step=1, key=key, bind="query-params", help=text)
    return NUMBERS[key] if number is None else int(number)


def _one(chosen: Clips) -> str | None:
    options = clips.labels(chosen.source, chosen.where, Key.ONLY)
    asked = links.asked(Key.ONLY)
    if asked and asked not in options:
        notice(f"There is no clip {asked} in {chosen.source}.")
        st.session_state[Key.ONLY] = None
    return st.selectbox(
        "One clip alone",
        options,
        index=None,
        key=Key.ONLY,
        bind="query-params",
        placeholder="All of them, or one alone" if options else "None yet",
        filter_mode="contains",
        label_visibility="collapsed",
    )
