"""Recipes: presets, what may be given, and what is refused."""

import re

import pytest

from core.cli.arguments import parse
from core.cli.train import choose_recipe
from core.errors import Refusal
from core.training.recipe import PRESETS, Recipe, parse_layers


def chosen(*words: str) -> tuple[Recipe, str, int]:
    return choose_recipe(parse(["train", "--base", "b", "--clips", "demo", "--out", "o", *words]))


def test_the_papers_preset_is_the_papers_recipe() -> None:
    """Section 3: r = 32, alpha = 64, dropout 0.1, attention projections, 5e-5, 20 epochs, batches of 8, fp16."""
    recipe, folds, seed = chosen("--preset", "paper")
    assert (recipe.rank, recipe.alpha, recipe.dropout) == (32, 64.0, 0.1)
    assert recipe.targets == ("q_proj", "k_proj", "v_proj", "out_proj")
    assert (recipe.learning_rate, recipe.epochs, recipe.batch_size, recipe.dtype) == (5e-5, 20, 8, "float16")
    assert (folds, seed) == ("speakers", 42)


def test_the_released_preset_differs_in_targets_and_folds_alone() -> None:
    recipe, folds, _ = chosen("--preset", "released")
    assert recipe.targets == ("v_proj",)
    assert folds == "released"
    assert recipe.as_json() | {"targets": 0} == PRESETS["paper"].recipe.as_json() | {"targets": 0}


def test_what_is_given_goes_before_the_preset() -> None:
    recipe, folds, seed = chosen("--preset", "released", "--rank", "8", "--folds", "sessions", "--seed", "3")
    assert (recipe.rank, recipe.alpha, recipe.epochs, folds, seed) == (8, 16.0, 20, "sessions", 3)


def test_alpha_is_twice_the_rank_unless_given() -> None:
    assert chosen("--rank", "5")[0].alpha == 10
    assert chosen("--rank", "5", "--alpha", "7.5")[0].alpha == 7.5


def test_three_methods() -> None:
    assert [chosen(*words)[0].method for words in ((), ("--rank", "0"), ("--full",))] == ["lora", "head", "full"]


def test_layers() -> None:
    assert parse_layers("0-3, 7,2") == (0, 1, 2, 3, 7)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--full", "--rank", "4"), "--full trains the encoder itself"),
        (("--targets", "v_proj,k"), "'k' is none of q_proj"),
        (("--targets", ","), "'nothing' is none of"),
        (("--layers", "3-1"), "'3-1' in --layers is not understood"),
        (("--layers", ""), "--layers names no layer"),
        (("--learning-rate", "2"), "--learning-rate is 2"),
        (("--dropout", "1"), "--dropout is 1"),
        (("--warmup", "-0.1"), "--warmup is -0.1"),
        (("--alpha", "0"), "--alpha above 0"),
        (("--epochs", "0"), "1 or more"),
        (("--preset", "mine"), "invalid choice"),
    ],
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(Refusal, match=re.escape(sentence)):
        chosen(*words)
