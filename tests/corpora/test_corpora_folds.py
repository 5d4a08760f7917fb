"""Folds: whatever the scheme, what is tested stays out of training, but where the scheme says otherwise."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest

from core.corpora.clip import Clip
from core.corpora.folds import SCHEMES, Fold, make_folds, natural_order
from core.errors import Refusal

SESSIONS = [f"Ses{number:02}" for number in range(1, 6)]
EMOTIONS = ("anger", "happiness", "neutral", "sadness")


def ten_speakers() -> list[Clip]:
    """As IEMOCAP: five sessions of two speakers, both of whom speak in dialogs of either letter; in no useful order."""
    clips = []
    for emotion, letter, voice, session in product(EMOTIONS, "FM", "FM", SESSIONS):
        dialog = f"{session}{letter}_impro0{EMOTIONS.index(emotion) + 1}"
        name = f"{dialog}_{voice}000"
        clips.append(
            Clip(f"id of {name}", name, 16_000, None, emotion, f"{session}{voice}", session, dialog, split=None)
        )
    return clips


CLIPS = ten_speakers()


def of(fold: Fold, part: str, field: str, clips: Sequence[Clip] = CLIPS) -> set[str | None]:
    return {getattr(clips[i], field) for i in getattr(fold, part)}


def without(clips: Sequence[Clip], *fields: str) -> list[Clip]:
    return [replace(clip, **dict.fromkeys(fields)) for clip in clips]


@pytest.mark.parametrize("scheme", ["speakers", "sessions", "released"])
def test_every_clip_is_tested_exactly_once(scheme: str) -> None:
    tested = [i for fold in make_folds(CLIPS, scheme) for i in fold.test]
    assert sorted(tested) == list(range(len(CLIPS)))


@pytest.mark.parametrize("scheme", ["speakers", "sessions"])
def test_parts_are_disjoint_and_nobody_tested_is_in_training(scheme: str) -> None:
    """Neither the speaker nor who shared a session with them; and the epoch is chosen on others than either."""
    for fold in make_folds(CLIPS, scheme):
        assert len({*fold.train, *fold.validation, *fold.test}) == len(CLIPS)
        assert len(fold.train) + len(fold.validation) + len(fold.test) == len(CLIPS)
        for field in ("speaker", "session", "dialog"):
            assert not of(fold, "train", field) & of(fold, "test", field)
        for part in ("train", "test"):
            assert not of(fold, part, "speaker") & of(fold, "validation", "speaker")
        assert not fold.leaking


def test_speakers_test_one_and_validate_on_its_partner() -> None:
    folds = make_folds(CLIPS, "speakers")
    assert [fold.name for fold in folds] == [f"fold{i}" for i in range(1, 11)]
    assert [fold.held_out for fold in folds] == [f"{session}{voice}" for session in SESSIONS for voice in "FM"]
    for fold in folds:
        partner = fold.held_out[:5] + {"F": "M", "M": "F"}[fold.held_out[5]]
        assert of(fold, "test", "speaker") == {fold.held_out}
        assert of(fold, "validation", "speaker") == {partner}
        assert len(of(fold, "train", "speaker")) == 8


def test_sessions_test_one_and_validate_on_the_next_around_the_end() -> None:
    folds = make_folds(CLIPS, "sessions")
    assert [fold.held_out for fold in folds] == SESSIONS
    assert [of(fold, "validation", "session") for fold in folds] == [{s} for s in SESSIONS[1:] + SESSIONS[:1]]
    assert all(len(of(fold, "train", "session")) == 3 for fold in folds)


def test_released_splits_by_the_dialogs_letter_and_chooses_on_the_test_clips() -> None:
    """Which leaks: both speakers of a tested dialog are in training, in the session's dialogs of the other letter."""
    folds = make_folds(CLIPS, "released")
    assert [fold.held_out for fold in folds] == [f"{session}{letter}" for session in SESSIONS for letter in "FM"]
    for fold in folds:
        assert fold.leaking and fold.validation == fold.test
        assert {dialog[:6] for dialog in of(fold, "test", "dialog") if dialog} == {fold.held_out}
        assert len(of(fold, "test", "speaker")) == 2
        assert of(fold, "test", "speaker") < of(fold, "train", "speaker")
        assert len(fold.train) + len(fold.test) == len(CLIPS)


def test_without_sessions_the_next_speaker_validates_and_the_rest_trains() -> None:
    """Also of speakers that are numbered without leading zeros: S10 comes after S9."""
    names = {speaker: f"S{i}" for i, speaker in enumerate(natural_order(str(clip.speaker) for clip in CLIPS), 1)}
    clips = [replace(clip, session=None, speaker=names[str(clip.speaker)]) for clip in CLIPS]
    folds = make_folds(clips, "speakers")
    order = [f"S{i}" for i in range(1, 11)]
    assert [fold.held_out for fold in folds] == order
    assert [of(fold, "validation", "speaker", clips) for fold in folds] == [{s} for s in order[1:] + order[:1]]
    assert all(len(of(fold, "train", "speaker", clips)) == 8 for fold in folds)


def test_a_partner_from_any_shared_session_leaves_training_everywhere() -> None:
    """B spoke with A in one session and with C in another: A's fold must not train on B at all."""
    pairs = [("A", "one"), ("B", "one"), ("B", "two"), ("C", "two"), ("D", "three"), ("E", "three")]
    clips = [Clip(f"id {i}", f"c{i}", 1, None, "anger", *pair) for i, pair in enumerate(pairs)]
    fold = make_folds(clips, "speakers")[0]
    assert (fold.held_out, of(fold, "validation", "speaker", clips)) == ("A", {"B"})
    assert of(fold, "train", "speaker", clips) == {"C", "D", "E"}


def test_a_session_fold_with_a_speaker_of_another_session_is_marked() -> None:
    """One session apart does not mean one speaker apart; the fold is made, and says so."""
    clips = [replace(clip, speaker="Ses01F") if clip.speaker == "Ses03F" else clip for clip in CLIPS]
    leaking = {fold.held_out: fold.leaking for fold in make_folds(clips, "sessions")}
    assert leaking == {"Ses01": True, "Ses02": False, "Ses03": True, "Ses04": False, "Ses05": False}


def test_given_takes_the_sources_own_split() -> None:
    split = {"Ses04": "validation", "Ses05": "test"}
    clips = [replace(clip, split=split.get(str(clip.session), "train")) for clip in CLIPS]
    (fold,) = make_folds(clips, "given")
    assert (fold.name, fold.held_out, fold.leaking) == ("fold1", "given", False)
    assert of(fold, "train", "session", clips) == {"Ses01", "Ses02", "Ses03"}
    assert of(fold, "validation", "session", clips) == {"Ses04"}
    assert of(fold, "test", "session", clips) == {"Ses05"}


def test_given_may_have_no_test_clips_and_is_marked_where_speakers_are_shared() -> None:
    clips = [replace(clip, split="validation" if clip.session == "Ses04" else "train") for clip in CLIPS]
    (fold,) = make_folds(clips, "given")
    assert fold.test == () and not fold.leaking
    clips = [replace(clip, split=("train", "validation", "test")[i % 3]) for i, clip in enumerate(CLIPS)]
    assert make_folds(clips, "given")[0].leaking


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_clip_gets_lost_on_the_way(scheme: str) -> None:
    clips = [replace(clip, split=("train", "validation", "test")[i % 3]) for i, clip in enumerate(CLIPS)]
    for fold in make_folds(clips, scheme):
        assert {*fold.train, *fold.validation, *fold.test} == set(range(len(CLIPS)))


REFUSED = {
    "no label": (without(CLIPS[:1], "label") + CLIPS[1:], "speakers", r"1 clip has no label \(Ses01F_impro01_F000\)"),
    "no speaker": (without(CLIPS, "speaker"), "speakers", "speaker of 80 clips .* use --folds sessions"),
    "one without session": (without(CLIPS[:1], "session") + CLIPS[1:], "speakers", "session of 1 clip is not known"),
    "no session": (without(CLIPS, "session"), "sessions", "session of 80 clips .* use --folds speakers"),
    "no dialog": (without(CLIPS, "dialog"), "released", "dialog of 80 clips"),
    "other dialogs": ([replace(clip, dialog="d1") for clip in CLIPS], "released", "'d1': use --folds speakers"),
    "no split": (CLIPS, "given", "split of 80 clips"),
    "two speakers": ([c for c in CLIPS if c.session == "Ses01"], "speakers", r"3 speakers or more.*Ses01F, Ses01M"),
    "two sessions": ([c for c in CLIPS if c.session in SESSIONS[:2]], "sessions", "3 sessions or more"),
    "one group": ([c for c in CLIPS if str(c.dialog)[:6] == "Ses01F"], "released", "no training clips"),
    "one session": ([replace(c, session="x") for c in CLIPS], "speakers", "fold1 .tests Ses01F. has no training clips"),
    "nobody to validate": ([c for c in CLIPS if c.speaker != "Ses02M"], "speakers", "Ses02F. has no validation clips"),
    "only training": ([replace(c, split="train") for c in CLIPS], "given", "no validation clips"),
    "no clips": ([], "speakers", "no clips"),
    "no such scheme": (CLIPS, "random", "'random' is no way .* speakers, sessions, released, given"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_divided_is_refused_with_what_is_missing(case: str) -> None:
    clips, scheme, sentence = REFUSED[case]
    with pytest.raises(Refusal, match=sentence):
        make_folds(clips, scheme)
