"""The sentences on top of the Clip page say what the numbers say."""

import numpy as np
import pytest

from core.figures.clip import ClipView
from core.models.info import Role
from core.ui.answers import answer

CLASSES = ("anger", "happiness", "sadness")


def view(model: str, final: int, saturation: int | None, last: int | None = None, points: int = 9) -> ClipView:
    """A model that answers class `final` with 0.8 and reads class `last` at the last point."""
    probabilities = np.full((points, 3), 0.1)
    probabilities[:, final if last is None else last] = 0.8
    own = np.full(3, 0.1)
    own[final] = 0.8
    return ClipView(model, Role.LORA, 8, CLASSES, probabilities, own, saturation, np.zeros(points))


def test_the_reference_comes_first_and_each_says_its_own() -> None:
    views = [view("LoRA", 0, 5), view("Frozen", 2, 8)]
    assert answer(views, "Frozen", None) == [
        "**Frozen** says **sadness** (0.800), but only at the last point (8 of 8).",
        "**LoRA** says **anger** (0.800) from point 5 of 8 on.",
    ]


@pytest.mark.parametrize(
    "one, text",
    [
        (view("M", 0, 0), "**M** says **anger** (0.800) at every depth, from the input on."),
        (
            view("M", 0, None, last=1),
            "**M** says **anger** (0.800), but never settles on it in this variant: the last point reads happiness.",
        ),
    ],
)
def test_where_it_settles(one: ClipView, text: str) -> None:
    assert answer([one], "M", None) == [text]


def test_models_that_say_the_same_share_a_sentence() -> None:
    views = [view("A", 0, 5), view("B", 0, 4), view("C", 1, None, last=0), view("D", 1, None, last=2)]
    assert answer(views, "A", "angry") == [
        "**A** and **B** say **anger** (0.800 each) from points 5 and 4 of 8 on.",
        "**C** and **D** say **happiness** (0.800 each), but neither settles on it in this variant: "
        "the last point reads anger and sadness.",
        "The clip is labelled anger: A and B are right.",
    ]


def test_the_label_in_any_spelling() -> None:
    assert answer([view("A", 0, 1)], "A", "Sad")[-1] == "The clip is labelled sadness: wrong."
    assert answer([view("A", 2, 1), view("B", 2, 1)], "A", "sad")[-1] == "The clip is labelled sadness: all are right."
    assert answer([view("A", 0, 1), view("B", 0, 1)], "A", "sad")[-1] == "The clip is labelled sadness: none is right."


def test_numbers_that_are_none_are_not_read() -> None:
    broken = ClipView("A", Role.LORA, 8, CLASSES, np.full((3, 3), np.nan), np.full(3, np.nan), None, np.full(3, np.nan))
    assert answer([broken], "A", "anger") == ["A gave numbers that are not finite, so there is nothing to read."]
