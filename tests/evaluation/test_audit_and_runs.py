"""What is said of training data, and how trained folds become rows."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from core.corpora.clip import Clip
from core.corpora.folds import Fold, make_folds
from core.corpora.leakage import facts_of
from core.errors import Refusal
from core.evaluation.audit import audit
from core.evaluation.manifest import Manifest, read_manifest
from core.evaluation.runs import find_folds, row_names
from core.training.manifest import about_fold, write_manifest
from core.training.recipe import Recipe
from tests.corpora.test_corpora_folds import CLIPS

FOLDS = make_folds(CLIPS, "speakers")


def write_fold(
    directory: Path, fold: Fold, scheme: str = "speakers", seed: int = 1, recipe: Recipe | None = None, **facts: object
) -> Path:
    """A trained fold's manifest, written by the code that training uses; no weights."""
    recipe = recipe or Recipe()
    told = {
        "source": ["folder:/nowhere"],
        "where": "",
        "base": "base",
        "base_fingerprint": "print",
        "head": None,
        "method": recipe.method,
        "rank": recipe.rank,
        "alpha": recipe.alpha,
        "targets": list(recipe.targets),
        "layers": None,
        "recipe": recipe.as_json(),
        "seed": seed,
        "labels": ["anger", "happiness", "neutral", "sadness"],
        "scheme": scheme,
        **about_fold(fold, CLIPS),
    }
    (directory / fold.name).mkdir(parents=True, exist_ok=True)
    write_manifest(directory / fold.name, told | facts)
    return directory / fold.name


def read(directory: Path, fold: Fold, *more: object, **facts: object) -> Manifest:
    return read_manifest(write_fold(directory, fold, *more, **facts))  # type: ignore[arg-type]


def clips_of(indices: tuple[int, ...]) -> list[Clip]:
    return [CLIPS[i] for i in indices]


# Audit


def test_a_fold_tested_on_its_own_test_clips_is_clean(tmp_path: Path) -> None:
    """All sessions act the same scripts, and that is said."""
    found = audit(read(tmp_path, FOLDS[0]), clips_of(FOLDS[0].test))
    assert found.clean
    assert found.text == "trained on none of these clips, speakers or sessions, but on some of their scripts"


def test_trained_on_some_of_the_clips(tmp_path: Path) -> None:
    found = audit(read(tmp_path, FOLDS[0]), CLIPS)
    assert found.clean is False
    assert found.text == "TRAINED ON 64 of these 80 clips; BEST EPOCH CHOSEN ON 8 of them"
    assert found.train is not None and len(found.train["speakers"]) == 8


def test_other_clips_of_speakers_or_sessions_that_were_trained_on(tmp_path: Path) -> None:
    manifest = read(tmp_path, FOLDS[0])
    new = replace(next(c for c in CLIPS if c.speaker == "Ses03F"), clip_id="new", dialog="Ses03F_impro99")
    assert audit(manifest, [new]).text == "TRAINED ON 1 of these 1 speakers"
    assert audit(manifest, [replace(new, speaker="somebody")]).text == "TRAINED ON 1 of these 1 sessions"
    partner = replace(new, speaker="Ses01M", session="Ses01")
    found = audit(manifest, [partner])
    assert found.clean
    assert found.text.endswith("none of these clips, speakers or sessions; best epoch chosen on 1 of these speakers")


def test_what_is_not_known_is_not_called_clean_in_words(tmp_path: Path) -> None:
    bare = [Clip("new", "new.wav", 1)]
    assert audit(read(tmp_path, FOLDS[0]), bare).text == (
        "trained on none of these clips (their speakers and sessions can't be compared)"
    )
    voice = [Clip("new", "new.wav", 1, speaker="somebody")]
    assert audit(read(tmp_path, FOLDS[0]), voice).text == (
        "trained on none of these clips or speakers (their sessions can't be compared)"
    )
    assert audit(None, bare).text == "no manifest: unknown what it was trained on"
    assert audit(None, bare).clean is None


def test_the_released_split_is_always_marked(tmp_path: Path) -> None:
    fold = make_folds(CLIPS, "released")[0]
    found = audit(read(tmp_path, fold, "released"), clips_of(fold.test))
    assert found.clean is False
    assert found.text == "TRAINED ON 2 of these 2 speakers; BEST EPOCH CHOSEN ON 8 of them; LEAKING SPLIT (released)"
    elsewhere = [Clip("new", "new.wav", 1, speaker="somebody", session="other")]
    assert "LEAKING SPLIT (released)" in audit(read(tmp_path, fold, "released"), elsewhere).text


# Runs


def test_manifests_are_read_as_training_writes_them(tmp_path: Path) -> None:
    one = read(tmp_path, FOLDS[2], seed=7)
    assert (one.method, one.rank, one.seed, one.fold, one.scheme) == ("lora", 32, 7, "fold3", "speakers")
    assert one.test == facts_of(clips_of(FOLDS[2].test))
    assert one.train == facts_of(clips_of(FOLDS[2].train))


def test_folds_are_found_in_order_and_once(tmp_path: Path) -> None:
    for fold in FOLDS:
        write_fold(tmp_path / "run", fold)
    found, bad = find_folds([tmp_path / "run" / "fold10", tmp_path / "run", tmp_path / "run" / "fold2"])
    assert [one.fold for one in found] == ["fold10", *(f"fold{i}" for i in range(1, 10))]
    assert bad == []


def test_what_is_no_run_or_damaged_is_named_and_the_rest_kept(tmp_path: Path) -> None:
    for fold in FOLDS[:3]:
        write_fold(tmp_path / "run", fold)
    (tmp_path / "run" / "fold1" / "manifest.json").write_text("{")
    data = json.loads((tmp_path / "run" / "fold2" / "manifest.json").read_text())
    del data["splits"]
    (tmp_path / "run" / "fold2" / "manifest.json").write_text(json.dumps(data))
    (tmp_path / "empty").mkdir()
    found, bad = find_folds([tmp_path / "empty", tmp_path / "run"])
    assert [one.fold for one in found] == ["fold3"]
    assert "empty holds no trained fold" in bad[0]
    assert "fold1/manifest.json can't be read as JSON" in bad[1]
    assert "fold2/manifest.json is no whole training manifest (KeyError('splits'))" in bad[2]
    with pytest.raises(Refusal, match="holds no trained fold"):
        find_folds([tmp_path / "empty", tmp_path / "nowhere"])


def test_a_method_of_the_future_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"no whole training manifest .*method 'prompt'"):
        read(tmp_path, FOLDS[0], method="prompt")


def test_folds_and_seeds_share_a_row_and_recipes_never_do(tmp_path: Path) -> None:
    same = [read(tmp_path / f"a{seed}", fold, seed=seed) for seed in (1, 2) for fold in FOLDS[:2]]
    head = read(tmp_path / "head", FOLDS[0], recipe=Recipe(rank=0))
    full = read(tmp_path / "full", FOLDS[0], recipe=Recipe(rank=0, full=True))
    wide = read(tmp_path / "wide", FOLDS[0], recipe=Recipe(rank=64))
    assert row_names([*same, head, full, wide]) == ["LoRA r=32"] * 4 + ["Frozen", "Full", "LoRA r=64"]


@pytest.mark.parametrize(
    "facts",
    [
        {"recipe": Recipe(epochs=3)},
        {"recipe": Recipe(targets=("q_proj",))},
        {"recipe": Recipe(layers=(0, 1))},
        {"scheme": "sessions"},
        {"base_fingerprint": "another"},
        {"source": ["demo"]},
        {"labels": ["anger", "neutral"]},
    ],
)
def test_rows_of_one_name_are_told_apart_by_their_directories(tmp_path: Path, facts: dict[str, object]) -> None:
    one, other = read(tmp_path / "one", FOLDS[0]), read(tmp_path / "two", FOLDS[0], **facts)
    assert row_names([one, other, one]) == ["LoRA r=32 (one)", "LoRA r=32 (two)", "LoRA r=32 (one)"]
    there = read(tmp_path / "one", FOLDS[1], **facts)
    assert row_names([one, there]) == ["LoRA r=32 (one)", "LoRA r=32 (one) #2"]


def test_controls_and_leaks_are_in_the_name(tmp_path: Path) -> None:
    shuffled = read(tmp_path / "a", FOLDS[0], recipe=Recipe(rank=8, shuffle_labels=True))
    released = read(tmp_path / "b", make_folds(CLIPS, "released")[0], "released", recipe=Recipe(rank=8))
    assert row_names([shuffled, released]) == ["LoRA r=8, labels shuffled", "LoRA r=8 [LEAKING: released split]"]
