"""Names in one word."""

import pytest

from core.commas import join, split


@pytest.mark.parametrize("names", [[], ["a"], ["a", "b c"], ["large-v2, r=32", "r=8"], [",", "x,"]])
def test_what_is_joined_is_split_again(names: list[str]) -> None:
    assert split(join(names)) == names


def test_blanks_and_nothing_are_left_out() -> None:
    assert split(" a , ,b,") == ["a", "b"] and split("") == []
