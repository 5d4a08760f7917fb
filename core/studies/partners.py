"""Partners of a clip that is looked at alone: a minimal pair takes two, so the other comes from its whole source."""

from collections.abc import Sequence

from core.analyses.causal_pairs import candidates, nearest
from core.audio.decoder import Decoder
from core.corpora.clip import Clip
from core.corpora.select import identify
from core.corpora.source import Listed
from core.errors import Refusal
from core.models.info import ModelInfo
from core.store.index import Index


def proposed(clip: Clip, listed: Sequence[Listed], model: ModelInfo, decoder: Decoder, index: Index) -> list[Clip]:
    """The clips of a source that make a minimal pair with this one, the nearest first; unreadable ones are left out."""
    clips, _ = identify(candidates(clip, listed, model), decoder, index)
    return nearest(clip, [other for other in clips if other.clip_id != clip.clip_id])


def of_all(
    clip: Clip,
    listed: Sequence[Listed],
    models: Sequence[ModelInfo],
    decoder: Decoder,
    index: Index,
    named: str | None = None,
) -> tuple[Clip, ...]:
    """Each model's nearest partner of the clip, since their classes may differ; or, for all, the one that is `named`.
    Refuses a name that no model can take."""
    found: dict[Clip, None] = {}
    for model in models:
        fits = proposed(clip, listed, model, decoder, index)
        found |= dict.fromkeys(fits[:1] if named is None else [other for other in fits if other.name == named])
    if named is not None and not found:
        raise Refusal(
            f"{named} makes no minimal pair with {clip.name}: a partner is by the same speaker with another emotion "
            "that the model knows, and says the same words where one does."
        )
    return tuple(found)
