"""Decoding as the web process and the command line see it: one child process that may die on a bad file."""

import atexit
import json
import os
import subprocess
import threading
from dataclasses import asdict
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import numpy as np

from core.audio.decode import Limits, check_size
from core.audio.waveform import Waveform
from core.child import start_child
from core.errors import Refusal
from core.settings import Settings, settings

START_TIMEOUT_S = 30.0  # seconds; it takes a fraction of one, but on a busy machine and a cold disk …
_BROKEN = (EOFError, OSError)  # how a connection to a process that died fails


class _Child:
    """One decoding process and the socket to it."""

    def __init__(self) -> None:
        # One thread: OpenBLAS would start one a core.
        env = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process, self.connection = start_child("core.audio.child", env)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.connection.close()


class _Deadline:
    """Kills the process when the block takes longer than `seconds`; whatever the block waits for then breaks."""

    def __init__(self, seconds: float, process: subprocess.Popen) -> None:
        self.passed = False
        self._process = process
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def _pass(self) -> None:
        self.passed = True
        self._process.kill()

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._timer.cancel()
        self._timer.join()  # after this, nobody kills the process under the next file


class Decoder:
    """Decodes files one after the other, from any thread, in a child process that starts with the first of them.

    A child that crashes, takes too long or too much memory costs its file (`Refusal`), never the caller.
    """

    def __init__(self, settings: Settings) -> None:
        self._limits = Limits.from_settings(settings)
        self._timeout_s = settings.decode_timeout_s
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def decode(self, data: bytes, name: str) -> Waveform:
        """The sound in `data`, the bytes of a file; raises `Refusal` with a sentence that calls it `name`."""
        check_size(len(data), name, self._limits)
        return self._ask(name, None, data)

    def decode_file(self, path: Path) -> Waveform:
        """The sound in the file at `path`, which the child reads; raises `Refusal`, also where there is no file."""
        return self._ask(os.fsencode(path.name).decode(errors="replace"), path.absolute(), None)

    def close(self) -> None:
        """End the child. Another file would start a new one."""
        with self._lock:
            self._drop()

    def _ask(self, name: str, path: Path | None, data: bytes | None) -> Waveform:
        request = {"name": name, "path": path and str(path), "limits": asdict(self._limits)}
        with self._lock:
            taken = False
            try:
                child = self._child_that_took(json.dumps(request).encode())
                with _Deadline(self._timeout_s, child.process) as deadline:
                    try:
                        about, samples = _exchange(child.connection, data)
                    except _BROKEN as error:
                        raise Refusal(self._why(name, child, deadline)) from error
                taken = True
            finally:  # also on Ctrl-C: an answer that nobody took would be read as the next file's
                if not taken:
                    self._drop()
        if "refusal" in about:
            raise Refusal(about["refusal"])
        return Waveform(samples, about["source_rate"], about["channels"], tuple(about["warnings"]))

    def _child_that_took(self, request: bytes) -> _Child:
        """A child that acknowledged the request. One that died while idle is no fault of the file: start another."""
        for _ in range(2):
            self._child = child = self._child or _Child()
            try:
                with _Deadline(START_TIMEOUT_S, child.process):
                    child.connection.send_bytes(request)
                    child.connection.recv_bytes()
                return child
            except _BROKEN:
                self._drop()
        raise RuntimeError("the decoding process (python -m core.audio.child) does not start; its error is on stderr")

    def _why(self, name: str, child: _Child, deadline: _Deadline) -> str:
        if deadline.passed:
            return (
                f"{name} took longer than {self._timeout_s:g} s to decode (LORASCOPE_DECODE_TIMEOUT_S); "
                f"trim it, or export it again as WAV."
            )
        child.stop()
        return (
            f"{name} made the decoder stop (exit status {child.process.returncode}); "
            f"it is damaged or too large: export it again as 16-bit WAV."
        )

    def _drop(self) -> None:
        if self._child:
            self._child.stop()
            self._child = None


def _exchange(connection: Connection, data: bytes | None) -> tuple[dict, np.ndarray]:
    """The file's bytes out, unless the child reads them itself; the reply and its samples (none if refused) in."""
    if data is not None:
        connection.send_bytes(data)
    about = json.loads(connection.recv_bytes())
    samples = np.empty(about.get("n", 0), dtype=np.float32)
    if len(samples):
        connection.recv_bytes_into(samples.view(np.uint8).data)
    return about, samples


@lru_cache(maxsize=1)
def decoder() -> Decoder:
    """The decoder of this process, with its settings."""
    the_one = Decoder(settings())
    atexit.register(the_one.close)
    return the_one
