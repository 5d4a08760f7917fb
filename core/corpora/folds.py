"""Which clips train a model, choose its epoch and test it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.corpora.clip import Clip
from core.errors import Refusal

FEWEST_SPEAKERS = 3  # one to test, one to validate, the rest to train
SCHEMES = ("speakers", "sessions", "released", "given")
_DIALOG = re.compile(r"Ses\d\d[FM]")  # session, and whose turn it was to wear the markers: not who speaks
_PIECES = re.compile(r"(\d+)", re.ASCII)
_HINTS = {
    "speakers": ": each session needs two speakers or more, and there must be two sessions; or use --folds sessions.",
    "sessions": ": give clips of more sessions.",
    "released": ": give more dialogs.",
    "given": ": the source must put some clips into train and some into validation; or use --folds speakers.",
}


@dataclass(frozen=True)
class Fold:
    """One division of the clips, as indices into the sequence it was made from.

    `held_out` is what is tested: a speaker, a session, a dialog's first six characters, or "given". `leaking` where a
    test speaker is in training too, or the epoch is chosen on test clips (then `validation` is `test`).
    """

    name: str
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    held_out: str
    leaking: bool = False


def make_folds(clips: Sequence[Clip], scheme: str) -> list[Fold]:
    """Folds "fold1", "fold2", … in the natural order of what they hold out.

    speakers   test one speaker, validate on the others of its session; the session leaves training. Where no session is
               known: validate on the next speaker (after the last comes the first), train on the rest.
    sessions   test one session, validate on the next, train on the rest.
    released   as the training script of arXiv 2509.08454 does: test one group of dialogs (`Ses01F`), train on the
               others, choose the epoch on the test clips. A session's speakers are in both its groups: this leaks.
    given      one fold, as the source divides its clips; there may be no test clips.

    Raises Refusal where a clip has no label, the clips lack what the scheme needs, or a part would be empty.
    """
    if scheme not in SCHEMES:
        raise Refusal(f"{scheme!r} is no way to make folds; there are {', '.join(SCHEMES)}.")
    if not clips:
        raise Refusal("There are no clips to make folds of: choose some.")
    bare = [clip.name for clip in clips if clip.label is None]
    if bare:
        raise Refusal(f"{_count(bare, 'clip has', 'clips have')} no label ({bare[0]}): leave out what has none.")
    made = {"speakers": _by_speaker, "sessions": _by_session, "released": _released, "given": _given}[scheme](clips)
    for fold in made:
        for part, indices in (("training", fold.train), ("validation", fold.validation)):
            if not indices:
                raise Refusal(
                    f"{fold.name} (tests {fold.held_out}) has no {part} clips under --folds {scheme}{_HINTS[scheme]}"
                )
    return made


def _by_speaker(clips: Sequence[Clip]) -> list[Fold]:
    speakers = _known(clips, [clip.speaker for clip in clips], "speaker", "sessions")
    order = natural_order(speakers)
    if len(order) < FEWEST_SPEAKERS:
        raise Refusal(
            f"--folds speakers needs 3 speakers or more (one to test, one to validate, the rest to train), and these "
            f"clips have {len(order)} ({', '.join(order)})."
        )
    with_session = any(clip.session is not None for clip in clips)
    if with_session:
        _known(clips, [clip.session for clip in clips], "session", "given")
    sessions = {name: {clip.session for clip in clips if clip.speaker == name} for name in order}
    folds = []
    for i, tested in enumerate(order):
        if with_session:
            partners = {name for name in order if name != tested and sessions[name] & sessions[tested]}
        else:
            partners = {order[(i + 1) % len(order)]}
        folds.append(_fold(clips, i, tested, speakers, {tested}, partners))
    return folds


def _by_session(clips: Sequence[Clip]) -> list[Fold]:
    sessions = _known(clips, [clip.session for clip in clips], "session", "speakers")
    order = natural_order(sessions)
    if len(order) < 3:
        raise Refusal(
            f"--folds sessions needs 3 sessions or more (one to test, one to validate, the rest to train), and these "
            f"clips have {len(order)} ({', '.join(order)}): use --folds speakers."
        )
    following = order[1:] + order[:1]
    return [
        _fold(clips, i, tested, sessions, {tested}, {after})
        for i, (tested, after) in enumerate(zip(order, following, strict=True))
    ]


def _released(clips: Sequence[Clip]) -> list[Fold]:
    dialogs = _known(clips, [clip.dialog for clip in clips], "dialog", "speakers")
    for clip, dialog in zip(clips, dialogs, strict=True):
        if not _DIALOG.match(dialog):
            raise Refusal(
                f"--folds released reads the letter in IEMOCAP's dialogs (Ses01F_…), and {clip.name} is of {dialog!r}: "
                "use --folds speakers."
            )
    groups = [dialog[:6] for dialog in dialogs]
    folds = []
    for i, tested in enumerate(natural_order(groups)):
        test = tuple(k for k, group in enumerate(groups) if group == tested)
        train = tuple(k for k, group in enumerate(groups) if group != tested)
        folds.append(Fold(f"fold{i + 1}", train, test, test, tested, leaking=True))
    return folds


def _given(clips: Sequence[Clip]) -> list[Fold]:
    splits = _known(clips, [clip.split for clip in clips], "split", "speakers")
    train, validation, test = (
        tuple(k for k, split in enumerate(splits) if split == name) for name in ("train", "validation", "test")
    )
    return [Fold("fold1", train, validation, test, "given", _share_speakers(clips, train, test))]


def _fold(
    clips: Sequence[Clip], i: int, name: str, groups: Sequence[str], tested: set[str], validated: set[str]
) -> Fold:
    test = tuple(k for k, group in enumerate(groups) if group in tested)
    validation = tuple(k for k, group in enumerate(groups) if group in validated)
    train = tuple(k for k, group in enumerate(groups) if group not in tested | validated)
    return Fold(f"fold{i + 1}", train, validation, test, name, _share_speakers(clips, train, test))


def _share_speakers(clips: Sequence[Clip], train: Iterable[int], test: Iterable[int]) -> bool:
    ours, theirs = ({clips[k].speaker for k in part} - {None} for part in (train, test))
    return bool(ours & theirs)


def _known(clips: Sequence[Clip], values: Sequence[str | None], what: str, instead: str) -> list[str]:
    """The values, all of them there; refuses clips without, with what to use instead."""
    lacking = [clip.name for clip, value in zip(clips, values, strict=True) if value is None]
    if lacking:
        raise Refusal(
            f"The {what} of {_count(lacking, 'clip is', 'clips are')} not known ({lacking[0]}): "
            f"use --folds {instead}, or name it in the source."
        )
    return [str(value) for value in values]


def natural_order(names: Iterable[str]) -> list[str]:
    """Different names, numbers in them by size: S2 before S10."""
    return sorted(set(names), key=lambda name: [(int(p), "") if p.isdigit() else (-1, p) for p in _PIECES.split(name)])


def _count(names: Sequence[str], one: str, many: str) -> str:
    return f"{len(names)} {one if len(names) == 1 else many}"
