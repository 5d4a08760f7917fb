"""Stories are found in answers, and their sentences say what the answers are."""

import numpy as np
import pytest

from core.demo.stories import Told, tell

CLASSES = ("anger", "happiness", "neutral", "sadness")
RANKS = ("r=8", "r=32", "r=64")


def points(*answers: tuple[str, float]) -> np.ndarray:
    """Probabilities in which each point's answer has the given share and the others share the rest."""
    rows = []
    for name, share in answers:
        row = np.full(4, (1 - share) / 3)
        row[CLASSES.index(name)] = share
        rows.append(row)
    return np.array(rows)


def told(name: str, emotion: str, frozen: np.ndarray, *lora: np.ndarray) -> Told:
    return Told(name, "Ses01F", emotion, {"Frozen": frozen} | dict(zip(RANKS, lora, strict=True)))


WRONG, RIGHT = points(("neutral", 0.4), ("anger", 0.7)), points(("neutral", 0.4), ("sadness", 0.9))
LATE = points(("neutral", 0.4), ("anger", 0.8), ("sadness", 0.7))


@pytest.mark.parametrize(
    ("clip", "title", "said"),
    [
        (
            told("only lora", "sadness", WRONG, RIGHT, RIGHT, RIGHT),
            "not by the frozen encoder",
            ("takes Ses01F's sadness for anger (70%)", "r=32 settles on it at point 1 of 1, with 90% at the end"),
        ),
        (
            told("rank", "sadness", RIGHT, WRONG, RIGHT, RIGHT),
            "Rank matters here",
            ("r=8 answers anger (70%)", "r=64 answers sadness (90%)"),
        ),
        (
            told("mind", "sadness", LATE, LATE, LATE, LATE),
            "A change of mind: sadness",
            ("at point 1 of 2, r=8 would answer anger (80%)", "most clips read neutral there", "sadness (70%)"),
        ),
        (
            told("nobody", "sadness", WRONG, WRONG, WRONG, WRONG),
            "Nobody hears it",
            ("Frozen anger, r=8 anger, r=32 anger, r=64 anger",),
        ),
    ],
)
def test_each_kind(clip: Told, title: str, said: tuple[str, ...]) -> None:
    count = len(clip.models["Frozen"])
    plain = points(*[("neutral", 0.4)] * (count - 1), ("sadness", 0.9))  # there is nothing to tell about these
    others = [told(f"plain {i}", "sadness", plain, plain, plain, plain) for i in range(2)]
    (story,) = tell([*others, clip], CLASSES, "Frozen", RANKS)
    assert (story["clip"], story["variant"], story["frames"]) == (clip.name, "corrected", "all")
    assert story["models"] == ["Frozen", *RANKS]
    assert title in story["title"]
    for part in said:
        assert part in story["text"]


def test_no_clip_is_told_twice_and_the_clearest_is_chosen() -> None:
    faint = points(("neutral", 0.4), ("sadness", 0.5))
    clips = [
        told("faint", "sadness", WRONG, faint, faint, faint),
        told("clear", "sadness", WRONG, RIGHT, RIGHT, RIGHT),
    ]
    stories = tell(clips, CLASSES, "Frozen", RANKS)
    assert stories[0]["clip"] == "clear"
    assert len({story["clip"] for story in stories}) == len(stories)


def test_what_most_clips_read_at_a_depth_is_no_change_of_mind() -> None:
    clips = [told(f"late {i}", "sadness", LATE, LATE, LATE, LATE) for i in range(3)]
    assert tell(clips, CLASSES, "Frozen", RANKS) == []


def test_nothing_to_tell() -> None:
    assert tell([told("plain", "sadness", RIGHT, RIGHT, RIGHT, RIGHT)], CLASSES, "Frozen", RANKS) == []
