"""Child processes of ours: started as plain subprocesses, talked to over a socket."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import IO

from core import paths


def start_child(
    module: str, env: Mapping[str, str], stderr: IO[bytes] | None = None
) -> tuple[subprocess.Popen[bytes], Connection]:
    """Run `python -m module FD` with `env` on top of ours; the connection's other end is its file descriptor FD.

    A plain subprocess: under Streamlit, multiprocessing's spawn would run the page script again in the child. In a
    process group of its own, so that Ctrl-C reaches only us and the child can finish what it is at.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=paths.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            process_group=0,
            env=os.environ | env,
        )
    return process, Connection(ours.detach())
