"""Groups of clips, and what a kept result is the result of."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.analyses.stored import StoredRecords
from core.errors import Refusal
from core.store.key import Precision
from core.studies import compute
from core.studies.compute import kept, result_key, tables
from core.studies.slices import check_by
from core.studies.study import State, Study
from tests.conftest import save_sound
from tests.studies.conftest import World, ended

CLIPS = 8
Opened = Callable[..., World]


def members(study: Study) -> dict[str, set[str]]:
    return {group: {clip.name for clip in request.clips} for group, request in study.now.groups.items()}


def names(*numbers: int) -> set[str]:
    return {f"clip{i}.wav" for i in numbers}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (
            "emotion",
            {"anger": names(0, 4), "happiness": names(1, 5), "neutral": names(2, 6), "sadness": names(3, 7)},
        ),
        ("speaker", {"S0": names(0, 2, 4, 6), "S1": names(1, 3, 5, 7)}),
        ("session", {"one": names(0, 1, 2, 3), "two": names(4, 5, 6, 7)}),
    ],
)
def test_groups_are_what_the_source_says(world: World, by: str, expected: dict[str, set[str]]) -> None:
    study = ended(world.allow().ask(world.question(by=by)))
    assert study.now.state is State.DONE
    assert members(study) == expected
    assert list(study.now.tables) == sorted(expected)
    for group, request in study.now.groups.items():
        table = study.now.tables[group]["contributions"]
        assert table.curve(model="LoRA", versus=None).n == len(expected[group])
        alone = tables(("contributions",), {"": request}, world.store, world.engine.precision).results[""]
        assert list(table.rows()) == list(alone["contributions"].rows()), "a group is a set of its own"
    assert len(world.backend.made) == 2 * CLIPS


def test_right_and_wrong_is_what_the_model_says_in_the_end(world: World) -> None:
    study = ended(world.allow().ask(world.question(by="correct:LoRA")))
    assert study.now.state is State.DONE, study.now.reason
    model = study.question.request.models[1]
    records = StoredRecords(world.store, world.engine.precision)
    expected: dict[str, set[str]] = {}
    for clip in study.now.clips:
        record = records.forward(model, clip)
        assert record is not None
        right = model.labels[int(record.logits.argmax())] == clip.label
        expected.setdefault("right" if right else "wrong", set()).add(clip.name)
    assert members(study) == expected
    assert len(world.backend.made) == len(set(world.backend.made)) == 2 * CLIPS
    # asked once more, it is read from the store, though only the records say who is in which group
    world.board.forget(study.question)
    again = ended(world.ask(study.question))
    assert members(again) == expected and len(world.backend.made) == 2 * CLIPS


@pytest.mark.parametrize("by", ["correct:Nobody", "correct:Full"])
def test_a_model_that_was_not_chosen_judges_nothing(world: World, by: str) -> None:
    study = ended(world.allow().ask(world.question(by=by)))
    assert study.now.state is State.FAILED
    assert study.now.reason == f"'{by[8:]}' is not among the chosen models: split by what one of them gets right."


@pytest.mark.parametrize(
    ("by", "needed"),
    [("emotion", "a known emotion"), ("speaker", "a known speaker"), ("correct:LoRA", "a label among LoRA's classes")],
)
def test_without_labels_it_says_why_there_is_no_split(opened: Opened, tmp_path: Path, by: str, needed: str) -> None:
    save_sound(tmp_path / "bare" / "one.wav", 0.4, 1)
    world = opened(f"folder:{tmp_path / 'bare'}").allow()
    study = ended(world.ask(world.question(by=by)))
    assert study.now.state is State.FAILED
    assert study.now.reason == f"None of these clips has {needed}: they can't be split by it."


@pytest.mark.parametrize("by", ["", "label", "correct", "name", "Emotion"])
def test_only_what_there_is_can_split(by: str) -> None:
    with pytest.raises(
        Refusal, match="is no way to split clips: there are emotion, speaker, session and correct:MODEL"
    ):
        check_by(by)


@pytest.fixture
def done(world: World) -> Study:
    return ended(world.allow().ask(world.question()))


def test_a_result_is_of_everything_it_depends_on(world: World, done: Study) -> None:
    request, precision = done.now.groups[""], world.engine.precision
    key = result_key("contributions", request, precision)
    assert kept(("contributions",), done.now.groups, world.store, precision)
    first, *rest = request.clips
    model, *others = request.models
    changed = {
        "label": replace(request, clips=(replace(first, label="sadness"), *rest)),
        "speaker": replace(request, clips=(replace(first, speaker="S9"), *rest)),
        "name": replace(request, clips=(replace(first, name="renamed.wav"), *rest)),
        "transcript": replace(request, clips=(replace(first, transcript="other words"), *rest)),
        "clips": replace(request, clips=tuple(rest)),
        "weights": replace(request, models=(replace(model, fingerprint="f" * 64), *others)),
        "classes": replace(request, models=(replace(model, labels=model.labels[::-1]), *others)),
        "reference": replace(request, reference="LoRA"),
        "variant": replace(request, variant="corrected"),
        "frames": replace(request, frames="audio"),
        "seed": replace(request, seed=1),
        "window": replace(request, window_start=16),
        "untrained": replace(request, untrained_seeds=2),
        "parts": replace(request, parts=("layers",)),
        "pairing": replace(request, pairing="minimal"),
        "partners": replace(request, partners=(first,)),
        "partner's words": replace(request, partners=(replace(first, transcript="other words"),)),
        "span": replace(request, span=(0.2, 0.8)),
    }
    keys = {name: result_key("contributions", one, precision).digest for name, one in changed.items()}
    keys |= {"analysis": result_key("lens", request, precision).digest}
    keys |= {"precision": result_key("contributions", request, Precision("float16")).digest}
    assert len({*keys.values(), key.digest}) == len(keys) + 1
    moved = replace(request, clips=(replace(first, path=Path("elsewhere")), *rest))
    assert result_key("contributions", moved, precision) == key


@pytest.mark.parametrize("file", ["analyses/tidy.py", "analyses/statistics.py", "emotions.py"])
def test_a_result_of_other_code_is_not_taken(
    world: World, done: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str
) -> None:
    """Or a corrected formula would go on showing the wrong numbers."""
    precision, groups = world.engine.precision, done.now.groups
    copy = Path(shutil.copytree(compute._CORE, tmp_path / "core"))
    monkeypatch.setattr(compute, "_CORE", copy)
    compute._code.cache_clear()
    try:
        assert kept(("contributions",), groups, world.store, precision)
        (copy / file).write_text((copy / file).read_text() + "\n")
        compute._code.cache_clear()
        assert kept(("contributions",), groups, world.store, precision) is None
    finally:
        compute._code.cache_clear()
