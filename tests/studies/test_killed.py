"""Processes that are killed under a study: they are replaced, and nothing that was done is lost."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.engine.build import worker_config
from core.engine.process import WorkerProcess
from core.errors import Refusal
from core.settings import Settings
from core.store.records import read_key
from core.studies.process import Computer
from core.studies.slices import Groups
from core.studies.study import State, Study
from tests.studies.conftest import World, ended, until

CLIPS = 8


def child(computer: Computer) -> int:
    """The pid of the computing process."""
    assert computer._process is not None
    return computer._process.pid


@pytest.fixture
def done(world: World) -> Study:
    """A study that has ended, so that its records are there to compute from."""
    return ended(world.allow().ask(world.question()))


def request(study: Study) -> tuple[tuple[str, ...], Groups]:
    return study.question.names, study.now.groups


def rows(study: Study) -> list:
    return list(study.now.tables[""]["contributions"].rows())


def test_the_computing_process_is_killed_between_requests(world: World, done: Study) -> None:
    victim = child(world.computer)
    os.kill(victim, signal.SIGKILL)
    found = world.computer.compute(*request(done), world.engine.precision)
    assert list(found.results[""]["contributions"].rows()) == rows(done)
    assert child(world.computer) != victim


def test_the_computing_process_is_killed_in_a_request(world: World, done: Study) -> None:
    victim, answers = child(world.computer), []
    os.kill(victim, signal.SIGSTOP)  # so that there is a middle
    asking = threading.Thread(
        target=lambda: answers.append(world.computer.compute(*request(done), world.engine.precision))
    )
    asking.start()
    asking.join(0.3)
    assert asking.is_alive()
    os.kill(victim, signal.SIGKILL)
    asking.join(60)
    assert list(answers[0].results[""]["contributions"].rows()) == rows(done)


def test_a_request_that_kills_it_twice_is_given_up_and_the_next_one_is_served(world: World, done: Study) -> None:
    victims, reasons = [child(world.computer)], []
    os.kill(victims[0], signal.SIGSTOP)

    def ask() -> None:
        try:
            world.computer.compute(*request(done), world.engine.precision)
        except Refusal as error:
            reasons.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    os.kill(victims[0], signal.SIGKILL)
    until(lambda: world.computer._process is not None and child(world.computer) != victims[0])
    os.kill(child(world.computer), signal.SIGKILL)
    asking.join(60)
    assert len(reasons) == 1 and "ended twice" in reasons[0] and "\n" not in reasons[0]
    assert world.computer.compute(*request(done), world.engine.precision).results


def test_a_study_outlives_its_computing_process(world: World) -> None:
    study = world.ask(world.question())
    for _ in range(2):
        version = study.now.version
        world.allow(2)
        until(lambda before=version: study.look().version > before and study.now.tables)  # type: ignore[misc]
        os.kill(child(world.computer), signal.SIGKILL)
    world.allow()
    ended(study)
    assert study.now.state is State.DONE, study.now.reason
    assert study.now.tables[""]["contributions"].curve(model="LoRA", versus=None).n == CLIPS
    assert len(world.backend.made) == len(set(world.backend.made)) == 2 * CLIPS


def test_a_study_outlives_the_models_worker(settings: Settings, opened: Callable[..., World]) -> None:
    worker = WorkerProcess(worker_config(settings))
    world = opened(backend=worker)
    study = world.ask(world.question())
    world.allow(3)
    until(lambda: study.job is not None and study.look() and study.job.computed >= 6, lambda: study.now)
    victim = worker.pid
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    world.allow()
    ended(study)
    assert study.now.state is State.DONE and not study.now.failures
    assert study.now.tables[""]["contributions"].curve(model="LoRA", versus=None).n == CLIPS
    assert worker.restarts == 1
    assert study.job is not None and (study.job.computed, study.job.hits) == (2 * CLIPS, 0)


def test_a_worker_that_can_not_start_fails_the_study_in_one_sentence(
    settings: Settings, opened: Callable[..., World]
) -> None:
    no_gpu = worker_config(settings.model_copy(update={"device": "cuda:7"}))
    world = opened(backend=WorkerProcess(no_gpu)).allow()
    question = world.question()
    study = ended(world.ask(replace(question, listed=question.listed[:1])))
    assert study.now.state is State.FAILED
    assert "LORASCOPE_DEVICE=cpu" in study.now.reason and "\n" not in study.now.reason


def test_the_computing_process_has_no_torch(world: World) -> None:
    """All analyses, spectra and CKA among them, in the process that is to stay small."""
    study = ended(world.allow().ask(world.question("predict", "contributions", "lens", "spectra", "cka")))
    assert study.now.state is State.DONE
    maps = Path(f"/proc/{child(world.computer)}/maps").read_text()
    assert "numpy" in maps
    assert "torch" not in maps


def test_a_full_disk_keeps_no_result_from_being_shown(world: World, done: Study) -> None:
    """The computing process may write no byte: neither the result nor when records were last used."""
    import resource

    kept = [path for path in world.settings.cache_dir.rglob("*.safetensors") if read_key(path)["kind"] == "result"]
    assert len(kept) == 1
    kept[0].unlink()
    world.computer.close()
    version = done.now.version
    answer = world.computer.compute(*request(done), world.engine.precision)  # starts it
    kept[0].unlink()
    resource.prlimit(child(world.computer), resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    answer = world.computer.compute(*request(done), world.engine.precision)
    assert list(answer.results[""]["contributions"].rows()) == rows(done)
    assert not kept[0].exists() and done.now.version == version
    study = ended(Study(world.question(), "again", world.board._tools).start())
    assert study.now.state is State.DONE, study.now.reason
    assert rows(study) == rows(done)
