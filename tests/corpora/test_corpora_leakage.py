"""What training and test share: the audit shows every leak, and no leak where there is none."""

from dataclasses import replace

from core.corpora.clip import Clip
from core.corpora.folds import make_folds
from core.corpora.leakage import Facts, facts_of, shared
from tests.corpora.test_corpora_folds import CLIPS, SESSIONS

SCRIPTS = [f"impro0{i}" for i in range(1, 5)]


def audit(clips: list[Clip], scheme: str) -> list[dict[str, list[str]]]:
    """Of each fold, what training and test share."""
    return [
        shared(facts_of([clips[i] for i in fold.train]), facts_of([clips[i] for i in fold.test]))
        for fold in make_folds(clips, scheme)
    ]


def test_the_released_split_shows_its_leak() -> None:
    """Both speakers of the tested session, the session, and the scripts; its dialogs are kept apart."""
    for session, found in zip([s for s in SESSIONS for _ in "FM"], audit(CLIPS, "released"), strict=True):
        assert found == {
            "speakers": [f"{session}F", f"{session}M"],
            "sessions": [session],
            "dialogs": [],
            "scripts": SCRIPTS,
            "clips": [],
        }


def test_speakers_and_sessions_share_nothing_but_the_scripts() -> None:
    """Every session plays the same ones, so no division by who speaks can keep them apart."""
    for scheme in ("speakers", "sessions"):
        for found in audit(CLIPS, scheme):
            assert found == {"speakers": [], "sessions": [], "dialogs": [], "scripts": SCRIPTS, "clips": []}


def test_the_same_sound_under_two_names_shows_as_a_shared_clip() -> None:
    """One recording filed under two speakers: nothing but its id gives it away."""
    double = replace(next(c for c in CLIPS if c.speaker == "Ses05F"), clip_id="same", name="copy")
    clips = [replace(c, clip_id="same") if c.name == "Ses01F_impro01_F000" else c for c in CLIPS]
    found = audit([*clips, double], "speakers")
    assert [one["clips"] for one in found] == [["same"] if i in (0, 8) else [] for i in range(10)]
    assert all(not one["speakers"] for one in found)


def test_what_is_unknown_is_never_shared() -> None:
    """Two clips without speaker are not of the same speaker; and a dialog that is no IEMOCAP one has no script."""
    one, other = Clip("a", "a.wav", 1, dialog="d1"), Clip("b", "b.wav", 1, dialog="d1")
    assert facts_of([one]) == Facts(frozenset({"a"}), dialogs=frozenset({"d1"}))
    assert shared(facts_of([one]), facts_of([other])) == {
        "speakers": [],
        "sessions": [],
        "dialogs": ["d1"],
        "scripts": [],
        "clips": [],
    }


def test_facts_survive_a_manifest() -> None:
    facts = facts_of(CLIPS[:7])
    lists = facts.lists()
    assert list(lists) == ["clip_ids", "speakers", "sessions", "dialogs", "scripts"]
    assert all(values == sorted(values) and values for values in lists.values())
    assert Facts.from_lists(lists) == facts
    assert Facts.from_lists({"speakers": ["S1"]}) == Facts(speakers=frozenset({"S1"}))
