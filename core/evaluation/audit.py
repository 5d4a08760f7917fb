"""Did training see what a model is tested on? In one line, and in full."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.corpora.clip import Clip
from core.corpora.leakage import Facts, facts_of, shared
from core.evaluation.manifest import Manifest

Shared = dict[str, list[str]]


@dataclass(frozen=True)
class Audit:
    """`clean` is None where nothing can be told. `train` and `validation` hold what they share with the clips."""

    clean: bool | None
    text: str
    train: Shared | None = None
    validation: Shared | None = None


UNKNOWN = Audit(None, "no manifest: unknown what it was trained on")
UNTRAINED = Audit(None, "its adapter is not trained")


def audit(manifest: Manifest | None, clips: Sequence[Clip]) -> Audit:
    """What the clips share with those a model was trained on, and with those its epoch was chosen on."""
    if manifest is None:
        return UNKNOWN
    tested = facts_of(clips)
    seen, chosen = shared(manifest.train, tested), shared(manifest.validation, tested)
    sentence = _trained_on(seen, manifest.train, tested)
    leaks = any(seen[name] for name in ("clips", "speakers", "sessions", "dialogs"))
    if chosen["clips"]:
        sentence += f"; BEST EPOCH CHOSEN ON {len(chosen['clips'])} of them"
    elif chosen["speakers"]:
        sentence += f"; best epoch chosen on {len(chosen['speakers'])} of these speakers"
    if manifest.leaking:
        sentence += f"; LEAKING SPLIT ({manifest.scheme})"
    return Audit(not (leaks or chosen["clips"] or manifest.leaking), sentence, seen, chosen)


def _trained_on(seen: Shared, train: Facts, tested: Facts) -> str:
    there = {
        "clips": tested.clip_ids,
        "speakers": tested.speakers,
        "sessions": tested.sessions,
        "dialogs": tested.dialogs,
    }
    for name, values in there.items():
        if seen[name]:
            return f"TRAINED ON {len(seen[name])} of these {len(values)} {name}"
    known = [name for name in ("speakers", "sessions") if getattr(train, name) and getattr(tested, name)]
    unknown = [name for name in ("speakers", "sessions") if name not in known]
    *some, last = ["clips", *known]
    sentence = f"trained on none of these {', '.join(some)} or {last}" if some else "trained on none of these clips"
    if unknown:
        sentence += f" (their {' and '.join(unknown)} can't be compared)"
    return f"{sentence}, but on some of their scripts" if seen["scripts"] else sentence
