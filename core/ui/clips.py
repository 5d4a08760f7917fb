"""Which clip: its label in the select box and the address, and the clip behind a label.

A clip on disk goes by its name in its source. An upload goes by its name and its whole id, so that an address finds its
records even after the sound has gone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from core.corpora.clip import Clip
from core.corpora.select import Slice, choose
from core.corpora.source import UPLOADS
from core.engine.interface import Pass
from core.errors import Refusal
from core.models.info import ModelInfo
from core.store.forward import ForwardRecord
from core.ui import context, links
from core.ui.keys import Key

_BETWEEN = " · "
_ID = re.compile(rf"(?:(?P<name>.*){_BETWEEN})?(?P<id>[0-9a-f]{{64}})", re.DOTALL)


@dataclass(frozen=True)
class Chosen:
    """A clip to look at; `kept` is False for an upload whose sound has gone."""

    clip: Clip
    kept: bool = True


def upload_label(clip: Clip) -> str:
    return f"{clip.name}{_BETWEEN}{clip.clip_id}"


def labels(source: str, where: Mapping[str, str], key: Key = Key.CLIP) -> list[str]:
    """Labels of a slice's clips, with the one that `key` asks for where that is an upload we no longer hold.

    Raises Refusal where the source can't be listed.
    """
    if source != UPLOADS:
        return [listed.name for listed in choose(context.listing(source).clips, Slice(where))]
    found = [upload_label(clip) for clip in context.uploads().clips()]
    asked = links.asked(key)
    match = _ID.fullmatch(asked or "")
    if asked and match and asked not in found:
        found = [asked, *(label for label in found if not label.endswith(match["id"]))]
    return found


def resolve(source: str, label: str, models: tuple[ModelInfo, ...], start_s: float) -> Chosen:
    """The clip behind a label. Raises Refusal, in one sentence, where there is none."""
    if source != UPLOADS:
        listed = next((one for one in context.listing(source).clips if one.name == label), None)
        if listed is None:
            raise Refusal(f"There is no clip {label} in {source}: choose another one.")
        clip = context.identified(listed)
        return Chosen(clip)
    match = _ID.fullmatch(label)
    if match is None:
        raise Refusal(f"{label!r} names no upload: choose one, or upload the clip again.")
    held = next((clip for clip in context.uploads().clips() if clip.clip_id == match["id"]), None)
    if held is not None:
        return Chosen(held)
    return Chosen(_from_records(match["id"], match["name"] or f"upload {match['id'][:8]}", models, start_s), kept=False)


def _from_records(clip_id: str, name: str, models: tuple[ModelInfo, ...], start_s: float) -> Clip:
    """A clip of which only records are left. They know how much of the window it filled, not how long it was."""
    precision = context.engine().precision
    for model in models:
        rate, window = model.shape.sampling_rate, model.shape.window_samples
        start = round(start_s * rate)
        guess = Clip(clip_id, name, start + window if start else window)
        arrays = context.store().read(Pass.over(model, guess, start).keys(precision)[0])
        if arrays is not None:
            held = ForwardRecord.from_arrays(arrays).n_samples
            return Clip(clip_id, name, start + window if start else held)
    raise Refusal(f"{name} was not kept, neither its sound nor its results: upload it again.")
