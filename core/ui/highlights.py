"""Which demo clips to look at first: those the models disagree about, as far as the demo's own measurements tell."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from core import paths
from core.corpora.source import Listed
from core.emotions import canonical

_LOOKS = 4


def highlights(listed: Sequence[Listed], metrics: Path = paths.DEMO / "metrics.json") -> list[Listed]:
    """A few clips with different labels and, where they can, speakers; those where few models are wrong come first.

    Empty only where `listed` is. Without `metrics` the clips' own order decides.
    """
    answers = _answers(metrics)
    ranked = sorted(listed, key=lambda clip: (_wrong(clip, answers), canonical(clip.label or "")))  # stable
    chosen: list[Listed] = []
    for clip in ranked:
        if clip.label in {one.label for one in chosen}:
            continue
        fresh = [one for one in ranked if one.label == clip.label and one.speaker not in {c.speaker for c in chosen}]
        best = _wrong(clip, answers)
        chosen.append(next((one for one in fresh if _wrong(one, answers) == best), clip))
    return chosen[:_LOOKS]


def _wrong(clip: Listed, answers: Sequence[Mapping[str, str]]) -> int:
    """How many models are wrong about it, 1 the best: where nobody or everybody is, there is nothing to compare."""
    given = [model[clip.name] for model in answers if clip.name in model]
    count = sum(canonical(answer) != canonical(clip.label or "") for answer in given)
    return count if 0 < count < len(given) else len(answers) + 1


def _answers(metrics: Path) -> list[Mapping[str, str]]:
    """Each model's answer to each clip."""
    try:
        models = json.loads(metrics.read_text(encoding="utf-8"))["shipped_clips"]["models"]
        return [model["answers"] for model in models.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
