"""The app without a browser, over an engine that invents records at once instead of running models."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core import paths
from core.engine.backend import Batch
from core.engine.interface import Job, Task
from core.engine.interventions import LayerPass, PatchPass
from core.engine.local import LocalEngine
from core.models.memory import Memory
from core.settings import settings
from core.store.intervention import ABLATIONS, COMPONENTS, ERASURES, AblationRecord, PatchRecord
from core.store.key import Precision
from core.store.store import Store
from core.ui import context
from tests.analyses.fabricate import make_record

TIMEOUT_S = 60


@dataclass
class Inventor:
    """A backend that writes random records; `refuse` maps a model's name to the reason it fails with.

    It waits while `gate` is closed.
    """

    store: Store
    refuse: dict[str, str] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    restarts: int = 0
    memory: Memory = field(default_factory=Memory)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def run(self, batch: Batch) -> list[str | None]:
        assert self.gate.wait(TIMEOUT_S)
        reasons: list[str | None] = []
        for task in batch.passes:
            self.seen.append(task.model.name)
            reason = self.refuse.get(task.model.name)
            if reason is None:
                self.store.write(task.keys(Precision())[0], invent(task, np.random.default_rng(len(self.seen))))
            reasons.append(reason)
        return reasons

    def check(self, model: object) -> None: ...

    def start(self) -> None: ...

    def close(self) -> None: ...


def invent(task: Task, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The arrays of the record a task is for, at random."""
    classes = len(task.model.labels)
    if isinstance(task, LayerPass):
        names = ABLATIONS if task.model.lora else ERASURES
        return AblationRecord({name: rng.normal(size=classes) for name in names}).to_arrays()
    if isinstance(task, PatchPass):
        left_out = {"residual"} if task.patch.whole else set()
        names = [name for name in COMPONENTS if name not in left_out and (name != "lora" or task.model.lora)]
        clean, corrupt = rng.normal(size=(2, classes))
        patched = {name: rng.normal(size=(2, classes)) for name in names}
        return PatchRecord(clean, corrupt, patched, {name: rng.uniform(0.9, 1.1, 2) for name in names}).to_arrays()
    return make_record(task.model, rng).to_arrays()


@dataclass
class Dashboard:
    """The app under test and the engine behind it."""

    inventor: Inventor
    engine: LocalEngine

    def open(self, page: str = "", **address: str | list[str]) -> AppTest:
        """A fresh session that begins at `page` (as `pages/1_Clip.py`; none for the overview)."""
        app = AppTest.from_file(str(paths.ROOT / "app.py"), default_timeout=TIMEOUT_S)
        if page:
            app.switch_page(page)
        for key, value in address.items():
            app.query_params[key] = value
        return app.run()

    def settle(self, app: AppTest) -> AppTest:
        """Wait for what the page asked for, as its polling would, and run it again."""
        until(lambda: not context.board().active())
        for job in self.engine.jobs():
            assert isinstance(job, Job)
            assert job.wait(TIMEOUT_S)
        return app.run()


@pytest.fixture
def dashboard(tmp_path: Path, registry: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    monkeypatch.setenv("LORASCOPE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("LORASCOPE_REGISTRY", str(registry))
    forget()
    inventor = Inventor(context.store())
    engine = LocalEngine(inventor, context.store(), context.reader(), Precision(), device="cpu", batch_size=4)
    monkeypatch.setattr(context, "local_engine", lambda *_, **__: engine)
    yield Dashboard(inventor, engine)
    inventor.gate.set()
    close(engine)


def close(engine: LocalEngine) -> None:
    """End a dashboard's processes and let the next test have its own."""
    engine.close()
    context.board()._tools.computer.close()
    forget()


def forget() -> None:
    """Settings, tools and data that the server keeps between page runs."""
    settings.cache_clear()
    st.cache_resource.clear()
    st.cache_data.clear()


def until(what: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + TIMEOUT_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def chart(app: AppTest, key: str) -> dict:
    """The Plotly figure with this key."""
    found = [one for one in app.get("plotly_chart") if one.proto.id.endswith(f"-{key}")]
    assert found, f"no chart {key}; there are {[one.proto.id for one in app.get('plotly_chart')]}"
    return json.loads(found[0].proto.spec)


def words(app: AppTest) -> str:
    """Everything the page says in text."""
    kinds = (app.title, app.markdown, app.caption, app.info, app.warning, app.error, app.toast)
    return "\n".join(element.value for kind in kinds for element in kind)
