"""The board: what is asked is found again from every tab, and what has ended does not pile up."""

import threading
from collections.abc import Callable
from dataclasses import replace

from core.studies import board
from core.studies.study import State
from tests.studies.conftest import World, ended, until


def test_a_thousand_questions_leave_few_studies_and_no_thread(world: World) -> None:
    """All of them fail at once, since nobody can be right or wrong who was not chosen."""
    question = world.question(by="correct:Nobody")
    clips = ended(world.ask(question)).now.clips
    threads = threading.active_count()
    for seed in range(1000):
        asked = replace(question, listed=(), request=replace(question.request, clips=clips, seed=seed))
        last = world.ask(asked)
    ended(last)
    until(lambda: not world.board.active())
    assert world.ask(asked) is last, "the latest are kept"
    assert len(world.board._pinned) <= board._KEPT
    until(lambda: threading.active_count() <= threads)


def test_what_is_under_way_is_never_let_go(world: World) -> None:
    study = world.ask(world.question())
    until(lambda: study.look().clips)
    for seed in range(2 * board._KEPT):
        ended(world.ask(world.question(by="correct:Nobody", seed=seed)))
    assert world.ask(world.question()) is study
    assert [one.study for one in world.board.active()] == [study]


def test_the_link_of_whoever_asked_first_leads_back(world: World) -> None:
    study = world.board.ask(world.question(), "mine", "here")
    assert [(one.study, one.link) for one in world.board.active()] == [(study, "here")]
    assert world.board.ask(world.question(), "theirs", "there").title == "mine"
    study.cancel()
    ended(study)
    assert world.board.active() == []


def test_only_what_ended_can_be_forgotten(world: World) -> None:
    """Continue in one tab, after another tab was faster, must not begin a second study."""
    study = world.ask(world.question())
    until(lambda: study.look().clips)
    world.board.forget(study.question)
    assert world.ask(study.question) is study
    study.cancel()
    ended(study)
    world.board.forget(study.question)
    assert world.ask(study.question) is not study


def test_files_that_changed_are_another_question(opened: Callable[..., World]) -> None:
    world = opened()
    question = world.question()
    first, second = world.ask(question), world.ask(replace(question, stamp="changed"))
    assert first is not second
    world.allow()
    assert ended(first).now.state is ended(second).now.state is State.DONE
    assert len(world.backend.made) == len(set(world.backend.made)), "they share their passes all the same"
