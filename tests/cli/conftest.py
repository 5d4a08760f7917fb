"""The command line as a process of its own, and quicker in this one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Answer, Run, lorascope


@pytest.fixture(scope="session")
def first_run(registry: Path, voices: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All models over the eight clips, with an empty cache, in processes of its own."""
    out, cache = tmp_path_factory.mktemp("out") / "deep" / "er", tmp_path_factory.mktemp("cache")
    words = ("--models", "all", "--clips", f"folder:{voices}", "--registry", registry, "--out", out, "--cache", cache)
    return Run(lorascope("analyze", "predict,contributions,lens", *words), out, cache)


@pytest.fixture
def quick(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, one_thread: None
) -> Callable[..., Answer]:
    """The same commands in this process, models too: nothing to start. The cache is the test's own."""
    from core.__main__ import main
    from core.cli import answering, evaluate, listing
    from core.engine.build import local_engine, worker_config
    from core.engine.local import LocalEngine
    from core.engine.runner import Runner

    def in_process(settings: Any, store: Any, samples_of: Any) -> LocalEngine:
        return local_engine(settings, store, samples_of, Runner(worker_config(settings)))

    for name in [name for name in os.environ if name.startswith("LORASCOPE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LORASCOPE_DEVICE", "cpu")
    monkeypatch.setenv("LORASCOPE_CACHE_DIR", str(tmp_path / "cache"))
    for module in (answering, evaluate, listing):
        monkeypatch.setattr(module, "local_engine", in_process)

    def run(*words: object) -> Answer:
        capfd.readouterr()
        code = main([str(word) for word in words])
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return run
