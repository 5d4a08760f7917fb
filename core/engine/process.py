"""The worker process as its owner sees it: a plain subprocess, talked to over a socket, replaced if it dies."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from core.child import start_child
from core.engine.backend import Batch, Outcome, WorkerConfig, WorkerDied, WorkerUnusable
from core.models.info import ModelInfo
from core.models.memory import Memory

START_TIMEOUT_S = 300.0  # importing torch from a cold disk takes its time
_LOG_TAIL = 400  # characters of the worker's own last words in an error
_EXIT_TIMEOUT_S = 5.0


class WorkerProcess:
    """One worker at a time. Not thread-safe: the engine's own thread is its only user."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._starts = 0
        self._memory = Memory()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the worker

    @property
    def pid(self) -> int | None:
        """Of the running worker."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def restarts(self) -> int:
        """How often a worker had to be replaced."""
        return max(0, self._starts - 1)

    @property
    def memory(self) -> Memory:
        """As the worker said with its last answer."""
        return self._memory

    def start(self) -> None:
        """Start the worker if none runs; returns when it is ready. Raises WorkerUnusable."""
        if self.pid is not None:
            return
        self._forget()
        threads = str(self._config.threads or os.cpu_count() or 1)
        env = {"OMP_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"}
        self._process, self._connection = start_child("core.engine.worker", env, self._log)
        self._starts += 1
        try:
            self._connection.send(self._config)
            ready = self._connection.poll(START_TIMEOUT_S)
            answer = self._connection.recv() if ready else "it did not answer in time"
        except (EOFError, OSError) as error:
            raise WorkerUnusable(f"The model worker does not start: {self._last_words()}") from error
        if not isinstance(answer, Memory):
            self.close()
            raise WorkerUnusable(str(answer))
        self._memory = answer

    def run(self, batch: Batch) -> Sequence[Outcome]:
        return self._ask(batch)

    def check(self, model: ModelInfo) -> str | None:
        return self._ask(model)

    def close(self) -> None:
        """Let the worker go: it ends after its batch, at the latest when it finds nobody listening."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):  # then it still writes its batch's records
                self._process.wait(_EXIT_TIMEOUT_S)
        self._connection = self._process = None

    def _ask(self, request: Batch | ModelInfo) -> Any:
        self.start()
        if self._connection is None:
            raise WorkerDied
        try:
            self._connection.send(request)
            answer, self._memory = self._connection.recv()
            return answer
        except (EOFError, OSError) as error:
            self._forget()
            raise WorkerDied from error

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._connection = self._process = None

    def _last_words(self) -> str:
        size = os.fstat(self._log.fileno()).st_size
        text = os.pread(self._log.fileno(), _LOG_TAIL, max(0, size - _LOG_TAIL)).decode(errors="replace")
        return " ".join(text.split()) or "it left no message."
