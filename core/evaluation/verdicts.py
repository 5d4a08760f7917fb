"""Can a checkpoint be trusted on some clips? One plain sentence for each way in which it could have seen them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.corpora.clip import Clip
from core.corpora.leakage import Facts, facts_of
from core.evaluation.audit import Audit, audit
from core.evaluation.manifest import Manifest

_NAMED = 6  # speakers and so on that a sentence lists


class Level(StrEnum):
    """What a verdict means for a score on the clips."""

    LEAK = "leak"  # it would be too good
    NOTE = "note"  # worth knowing when reading it
    CLEAN = "clean"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Verdict:
    """One finding: what it is about, and its sentence."""

    level: Level
    about: str
    text: str


def verdicts(manifest: Manifest | None, clips: Sequence[Clip]) -> tuple[Verdict, ...]:
    """Every way in which training and these clips can overlap, in the order of how much each says."""
    if manifest is None:
        text = "No training manifest lies beside it, so nobody can say what it was trained on."
        return (Verdict(Level.UNKNOWN, "training", text),)
    found = audit(manifest, clips)
    assert found.train is not None and found.validation is not None
    tested = facts_of(clips)
    return (
        _clips(found, len(tested.clip_ids)),
        *(
            _shared(name, found.train[name], getattr(manifest.train, name), getattr(tested, name))
            for name in ("speakers", "sessions", "dialogs", "scripts")
        ),
        _selection(found, manifest, tested),
        *_scheme(manifest),
    )


def worst(found: Sequence[Verdict]) -> Level:
    """The level that a table shows: a leak outweighs everything, and what is not known a clean bill."""
    levels = {verdict.level for verdict in found}
    if Level.LEAK in levels:
        return Level.LEAK
    told = {verdict.about: verdict.level for verdict in found}
    return Level.UNKNOWN if Level.UNKNOWN in (told.get("training"), told.get("speakers")) else Level.CLEAN


def said(levels: Mapping[str, Level], n_clips: int) -> str:
    """Which models can be trusted on so many clips, in one to three sentences."""
    many = n_clips != 1
    these = f"these {n_clips:,} clips".replace(",", "\u2009") if many else "this clip"
    leaks = [name for name, level in levels.items() if level is Level.LEAK]
    clean = [name for name, level in levels.items() if level is Level.CLEAN]
    unknown = [name for name, level in levels.items() if level is Level.UNKNOWN]
    sentences = []
    if leaks:
        sentences.append(
            f"**Do not trust scores of {_names(leaks)} on {these}**: training, or the choice of the epoch, saw what it "
            "should not have."
        )
    if clean:
        heard = "none of them, nor their speakers" if many else "neither it nor its speaker"
        sentences.append(f"{_names(clean)} can be trusted on {these}: training heard {heard}.")
    if unknown:
        sentences.append(
            f"Of {_names(unknown)} nobody can tell: it is not known whom training heard, or who speaks here."
        )
    return " ".join(sentences)


def _clips(found: Audit, total: int) -> Verdict:
    assert found.train is not None
    seen = len(found.train["clips"])
    return Verdict(Level.LEAK if seen else Level.CLEAN, "clips", f"{_of('clips', seen, total)} in training.")


def _shared(name: str, seen: Sequence[str], trained: frozenset[str], tested: frozenset[str]) -> Verdict:
    if seen:
        # the same script is acted in every session, so it says less than a voice that was heard
        level = Level.NOTE if name == "scripts" else Level.LEAK
        return Verdict(level, name, f"{_of(name, len(seen), len(tested))} in training: {_some(seen)}.")
    if not tested or not trained:
        whose = "of these clips" if not tested else "of the training clips"
        return Verdict(Level.UNKNOWN, name, f"The {name} {whose} are not known, so they can't be compared.")
    return Verdict(Level.CLEAN, name, f"{_of(name, 0, len(tested))} in training.")


def _selection(found: Audit, manifest: Manifest, tested: Facts) -> Verdict:
    assert found.validation is not None
    clips, speakers = found.validation["clips"], found.validation["speakers"]
    if clips:
        many = f"{len(clips)} of these {len(tested.clip_ids)} clips"
        text = f"Its best epoch was chosen on {many if len(tested.clip_ids) > 1 else 'this clip'}."
        return Verdict(Level.LEAK, "selection", text)
    if manifest.validation.clip_ids & manifest.test.clip_ids:
        text = "Its best epoch was chosen on its own test clips: the scores in its manifest are too good."
        return Verdict(Level.LEAK, "selection", text)
    if speakers:
        text = f"Its best epoch was chosen on other clips of {len(speakers)} of these speakers: {_some(speakers)}."
        return Verdict(Level.NOTE, "selection", text)
    others = " and other speakers" if manifest.validation.speakers and tested.speakers else ""
    return Verdict(Level.CLEAN, "selection", f"Its best epoch was chosen on other clips{others}.")


def _scheme(manifest: Manifest) -> tuple[Verdict, ...]:
    if not manifest.leaking:
        return ()
    text = f"Its folds (`{manifest.scheme}`) leak: speakers of its test clips are in its training clips."
    return (Verdict(Level.LEAK, "folds", text),)


def _of(name: str, seen: int, total: int) -> str:
    """`3 of these 8 speakers were`, `None of these 8 speakers was`, `This session was`, `This session was not`."""
    if total == 1:
        return f"This {name.removesuffix('s')} was{'' if seen else ' not'}"
    return f"{seen or 'None'} of these {total:,} {name} {'were' if seen > 1 else 'was'}".replace(",", "\u2009")


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _names(models: Sequence[str]) -> str:
    if len(models) > _NAMED:
        return _some(models)
    *some, last = models
    return f"{', '.join(some)} and {last}" if some else last
