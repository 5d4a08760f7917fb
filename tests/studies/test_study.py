"""A study's promises to whoever looks at it: it grows, ends as the command line would, and loses nothing."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.analyses.request import Row
from core.analyses.tidy import Table
from core.engine.interface import WATCHED_S, JobState
from core.errors import Refusal
from core.store.records import read_key
from core.studies.answers import answer
from core.studies.compute import Computed, tables
from core.studies.process import Computer
from core.studies.slices import Groups
from core.studies.study import State, Study
from tests.checkpoints import write_registry
from tests.conftest import save_sound
from tests.models.workshop import copied, put_nan
from tests.studies.conftest import World, ended, until

CLIPS = 8
ALL = ("contributions", "lens", "spectra", "cka")
Opened = Callable[..., World]


def rows(study: Study, name: str = "contributions", group: str = "") -> list[Row]:
    return list(study.now.tables[group][name].rows())


def counted(study: Study) -> dict[str, int]:
    """Over how many clips each model's curves are by now."""
    if not study.now.tables:
        return {}
    table = study.now.tables[""]["contributions"]
    return {name: table.curve(model=name, versus=None).n for name in ("Frozen", "LoRA")}


def as_the_command_line(world: World, study: Study) -> dict[str, list[Row]]:
    """What `analyze` computes for the study's clips out of the same cache."""
    question = study.question
    request = replace(question.request, clips=study.now.clips)
    answers = answer(
        question.names,
        request,
        world.engine,
        world.store,
        lambda names, groups: tables(names, groups, world.store, world.engine.precision),
    )
    assert answers.computed == 0
    return {name: list(table.rows()) for name, table in answers.results[""].items()}


def test_a_study_grows_and_ends_as_the_command_line_does(world: World) -> None:
    study = world.ask(world.question())
    seen = [study.now.version]
    before = 0
    for allowed in (2, 3, 2):
        world.allow(allowed)
        before += allowed
        until(lambda there=before: set(counted(study).values()) == {there} and study.look())  # type: ignore[misc]
        assert study.now.version > seen[-1]
        assert study.now.state is State.WORKING
        assert all(row.n in (None, before) for row in rows(study))
        seen.append(study.now.version)
    world.allow()
    ended(study)
    assert study.now.state is State.DONE and study.now.version > seen[-1]
    assert seen == sorted(seen)
    assert set(counted(study).values()) == {CLIPS}
    assert {"": rows(study)} == {"": as_the_command_line(world, study)["contributions"]}
    assert not study.now.failures and not study.now.unusable and not study.now.reason


def test_all_analyses_grow_together_and_end_as_the_command_line_does(world: World) -> None:
    """Whatever is there of some clips, none of them fails on it."""
    study = world.ask(world.question(*ALL))
    for _ in range(2):
        version = study.now.version
        world.allow(3)
        until(lambda before=version: study.look().version > before or not study.now.active)  # type: ignore[misc]
        assert study.now.state is not State.FAILED, study.now.reason
    world.allow()
    ended(study)
    assert study.now.state is State.DONE, study.now.reason
    expected = as_the_command_line(world, study)
    assert expected.keys() == set(ALL)
    for name in ALL:
        assert rows(study, name) == expected[name]


def test_cancelled_it_keeps_what_is_done_and_asked_again_it_goes_on(world: World) -> None:
    question = world.question()
    study = world.ask(question)
    world.allow(3)
    until(lambda: set(counted(study).values()) == {3} and study.look())
    study.cancel()
    world.allow()
    ended(study)
    assert study.now.state is State.CANCELLED
    assert study.job is not None and study.job.state is JobState.CANCELLED
    assert set(counted(study).values()) == {3}  # what was drawn stays
    assert world.ask(question) is study  # cancelled for every tab, until somebody asks for more

    world.board.forget(question)
    again = ended(world.ask(question))
    assert again.now.state is State.DONE and again.job is not None
    assert again.job.hits >= 6
    assert len(world.backend.made) == len(set(world.backend.made)) == 2 * CLIPS


def test_cancelled_while_it_reads_clips(opened: Opened, tmp_path: Path) -> None:
    for i in range(300):
        save_sound(tmp_path / "many" / f"{i}.wav", 0.2, i)
    world = opened(f"folder:{tmp_path / 'many'}")
    study = world.ask(world.question())
    until(lambda: study.read > 5)
    assert study.now.state is State.READING
    study.cancel()
    ended(study)
    assert study.now.state is State.CANCELLED and study.read < 300
    assert study.job is None and not world.engine.jobs()


def test_cancelled_before_its_job_is_there(world: World) -> None:
    """Nobody may have to press Cancel twice."""
    study = Study(world.question(), "early", world.board._tools)
    study.cancel()
    study.start()
    ended(study)
    assert study.now.state is State.CANCELLED
    assert not any(job.active for job in world.engine.jobs())


def test_cancelled_in_the_list_of_jobs_it_says_so(world: World) -> None:
    study = world.ask(world.question())
    world.allow(1)
    until(lambda: study.job is not None and study.look())
    assert study.job is not None
    world.engine.cancel(study.job)
    ended(study)
    assert study.now.state is State.CANCELLED


def test_an_engine_that_closes_ends_its_studies(world: World) -> None:
    study = world.ask(world.question())
    world.allow(1)
    until(lambda: study.job is not None)
    world.close()
    assert ended(study).now.state is State.CANCELLED


def test_two_who_ask_the_same_share_one_study(world: World) -> None:
    world.allow()
    first, second = world.ask(world.question()), world.ask(world.question())
    assert first is second
    ended(first)
    assert len(world.backend.made) == 2 * CLIPS
    assert world.ask(world.question(seed=1)) is not first


def test_after_everything_was_closed_the_answer_is_there_at_once(opened: Opened) -> None:
    """From the record of the result: no pass is made, and no record of a pass is read."""
    first = opened().allow()
    before = ended(first.ask(first.question()))
    first.close()
    forward = [path for path in first.settings.cache_dir.rglob("*.safetensors") if read_key(path)["kind"] != "result"]
    assert len(forward) == 2 * CLIPS
    for path in forward:
        path.unlink()

    second = opened()  # which gives no clip away
    listed = ended(second.ask(second.question()))
    assert listed.now.state is State.DONE and listed.job is None
    assert rows(listed) == rows(before)
    assert listed.now.clips == before.now.clips and set(listed.now.groups) == {""}
    known = replace(second.question(), request=replace(second.question().request, clips=before.now.clips), listed=())
    at_once = second.ask(known)
    assert at_once.now.state is State.DONE
    assert rows(at_once) == rows(before)
    assert not second.backend.made and not second.engine.jobs()


@pytest.mark.parametrize("damage", ["flipped", "of another shape"])
def test_a_damaged_result_is_made_again_without_a_pass(opened: Opened, damage: str) -> None:
    first = opened().allow()
    before = ended(first.ask(first.question()))
    (kept,) = [path for path in first.settings.cache_dir.rglob("*.safetensors") if read_key(path)["kind"] == "result"]
    if damage == "flipped":
        data = bytearray(kept.read_bytes())
        data[-9] ^= 4
        kept.write_bytes(data)
    else:  # whole, but not what it should be
        from core.studies.compute import result_key

        key = result_key("contributions", before.now.groups[""], first.engine.precision)
        arrays = first.store.read(key)
        assert arrays is not None
        first.store.write(key, {name: array for name, array in arrays.items() if name != "value"})
    first.close()

    second = opened()
    known = replace(second.question(), request=replace(second.question().request, clips=before.now.clips), listed=())
    for question in (second.question(), known):
        study = ended(second.ask(question))
        assert study.now.state is State.DONE, study.now.reason
        assert rows(study) == rows(before)
    assert not second.backend.made


def test_clips_that_can_not_be_decoded_are_named_and_the_rest_is_computed(
    opened: Opened, voices: Path, tmp_path: Path
) -> None:
    folder = copied(voices, tmp_path / "some")
    (folder / "clip3.wav").write_bytes(b"no sound")
    world = opened(f"folder:{folder}").allow()
    study = ended(world.ask(world.question()))
    assert study.now.state is State.DONE
    assert [one.name for one in study.now.unusable] == ["clip3.wav"] and study.now.unusable[0].reason
    assert set(counted(study).values()) == {CLIPS - 1} and len(study.now.clips) == CLIPS - 1


def test_where_no_clip_can_be_decoded_it_fails_in_one_sentence(opened: Opened, voices: Path, tmp_path: Path) -> None:
    folder = copied(voices, tmp_path / "none")
    world = opened(f"folder:{folder}").allow()
    question = world.question()
    shutil.rmtree(folder)  # between listing and reading
    study = ended(world.ask(question))
    assert study.now.state is State.FAILED
    assert study.now.reason.startswith("None of the clips can be used; the first: ") and "clip0.wav" in study.now.reason
    assert not world.engine.jobs()


def test_clips_that_vanish_after_they_were_read_fail_by_name(opened: Opened, voices: Path, tmp_path: Path) -> None:
    folder = copied(voices, tmp_path / "going")
    world = opened(f"folder:{folder}")
    study = world.ask(world.question())
    until(lambda: study.look().clips)
    (folder / "clip7.wav").unlink()
    world.allow()
    ended(study)
    assert study.now.state is State.DONE
    assert {failure.clip.name for failure in study.now.failures if failure.clip} == {"clip7.wav"}
    assert set(counted(study).values()) == {CLIPS - 1}


@pytest.fixture
def broken(shelf: Path, tmp_path: Path) -> Path:
    """A registry of one good model and two that turn out to hold NaN when they are loaded."""
    put_nan(copied(shelf / "head", tmp_path / "nan") / "model.safetensors", "projector.weight")
    put_nan(
        copied(shelf / "lora", tmp_path / "nan lora") / "adapter_model.safetensors",
        "base_model.model.encoder.layers.0.self_attn.v_proj.lora_A.weight",
    )
    base = {"base": str(shelf / "base"), "labels": ("anger", "happiness", "neutral", "sadness")}
    models = [
        base | {"name": "Frozen", "head": str(shelf / "head")},
        base | {"name": "NaN", "head": "nan"},
        base | {"name": "NaN too", "adapter": "nan lora"},
    ]
    return write_registry(tmp_path / "broken.toml", models)


def test_a_model_that_fails_is_named_and_the_others_are_there(opened: Opened, broken: Path) -> None:
    world = opened(registry=broken).allow()
    question = world.question(models=("Frozen", "NaN"))
    study = ended(world.ask(question))
    assert study.now.state is State.DONE
    assert {failure.model for failure in study.now.failures} == {"NaN"} and len(study.now.failures) == CLIPS
    assert "NaN" in study.now.failures[0].reason
    assert study.now.tables[""]["contributions"].curve(model="Frozen", statistic="residual_norm").n == CLIPS
    # it is no answer to keep: asked again, the model has another chance
    made = len(world.backend.made)
    world.board.forget(question)
    assert len(ended(world.ask(question)).now.failures) == CLIPS
    assert len(world.backend.made) > made


@pytest.mark.parametrize("name", ALL)
def test_where_no_pass_can_be_made_it_fails_in_one_sentence(opened: Opened, broken: Path, name: str) -> None:
    world = opened(registry=broken).allow()
    study = ended(world.ask(world.question(name, models=("NaN too",))))
    assert study.now.state is State.FAILED
    assert study.now.reason.startswith("None of the ") and "; the first: " in study.now.reason
    assert "NaN" in study.now.reason and "\n" not in study.now.reason and "Traceback" not in study.now.reason


def test_left_alone_it_goes_on_without_growing_and_found_again_it_grows(world: World) -> None:
    study = world.ask(world.question())
    world.allow(2)
    until(lambda: set(counted(study).values()) == {2} and study.look())
    assert study.job is not None
    study.job.looked -= WATCHED_S
    version, job = study.now.version, study.job
    world.allow(2)
    until(lambda: job.computed >= 8)
    world.allow(1)
    until(lambda: job.computed >= 10)
    assert study.now.version == version, "nobody looked"
    until(lambda: study.look().version > version)
    assert set(counted(study).values()) == {5}
    study.job.looked -= WATCHED_S
    world.allow()
    until(lambda: not study.now.active)
    assert study.now.state is State.DONE and set(counted(study).values()) == {CLIPS}


class Stumbling(Computer):
    """Cannot compute while a study grows, and can in the end."""

    def compute(self, names: tuple[str, ...], groups: Groups, precision: object) -> Computed[Table]:  # type: ignore[override]
        if self.times > 0:
            self.times -= 1
            raise Refusal("not now")
        return super().compute(names, groups, precision)  # type: ignore[arg-type]

    times = 1


def test_curves_that_can_not_grow_now_do_not_end_a_study(world: World) -> None:
    computer = Stumbling(world.store, 1.0)
    study = Study(world.question(), "stumbling", replace(world.board._tools, computer=computer)).start()
    world.allow(2)
    until(lambda: computer.times == 0 and study.look())
    world.allow()
    assert ended(study).now.state is State.DONE
    computer.close()


def test_where_the_numbers_can_not_be_made_it_says_why_and_leaves_no_job(world: World) -> None:
    world.allow()
    computer = Stumbling(world.store, 1.0)
    computer.times = 1000
    study = ended(Study(world.question(), "stumbling", replace(world.board._tools, computer=computer)).start())
    assert (study.now.state, study.now.reason) == (State.FAILED, "not now")
    assert not any(job.active for job in world.engine.jobs())
