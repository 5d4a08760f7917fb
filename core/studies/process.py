"""The computing process as its owner sees it: one at a time, replaced if it dies."""

import contextlib
import subprocess
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection

from core.analyses.tidy import Table
from core.child import start_child
from core.errors import Refusal
from core.store.key import Precision
from core.store.store import Store
from core.studies.compute import Computed
from core.studies.slices import Groups

_BROKEN = (EOFError, OSError)
_TRIES = 2  # a process that was killed is replaced; a request that kills it twice is at fault


class Computer:
    """Computes tables in a process of its own, so that nobody's page waits for numpy. Thread-safe, one at a time."""

    def __init__(self, store: Store, max_gb: float) -> None:
        self._place = store.directory, max_gb
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def compute(self, names: Sequence[str], groups: Groups, precision: Precision) -> Computed[Table]:
        """As `core.studies.compute.tables`. Raises Refusal with the sentence why it could not."""
        with self._lock:
            answer = self._ask((tuple(names), dict(groups), precision))
        if isinstance(answer, str):
            raise Refusal(answer)
        return answer

    def close(self) -> None:
        """End the process; the next request would start a new one."""
        with self._lock:
            self._drop()

    def _ask(self, request: object) -> Computed[Table] | str:
        for _ in range(_TRIES):
            with contextlib.suppress(*_BROKEN):
                connection = self._connected()
                connection.send(request)
                return connection.recv()
            self._drop()
        return "The computing process (python -m core.studies.child) ended twice: is there enough memory?"

    def _connected(self) -> Connection:
        if self._connection is None:
            # One thread: the models' worker has the other cores.
            env = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            self._process, self._connection = start_child("core.studies.child", env)
            self._connection.send(self._place)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._connection = self._process = None
