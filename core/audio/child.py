"""The decoding process: `python -m core.audio.child FD`, started by `core.audio.decoder`.

Messages on the socket FD: a request (JSON: name, limits, and path, or null when the file's bytes follow), which is
acknowledged with an empty message; then a reply (JSON), followed by the float32 samples when there are any.
Ends when the socket closes. Imports only what decoding needs, to start fast.
"""

import json
import os
import resource
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from core.audio.decode import Limits, decode_bytes, read_file
from core.audio.waveform import Waveform
from core.errors import Refusal

MEMORY = 2 * 1024**3  # bytes beyond what the process needs by itself; a clip within the limits takes far less


def main(descriptor: int) -> None:
    """Serve requests until the other side closes."""
    _limit_memory()
    _silence_stderr()
    connection = Connection(descriptor)
    while True:
        try:
            request = json.loads(connection.recv_bytes())
            connection.send_bytes(b"")
            data = connection.recv_bytes() if request["path"] is None else None
            answer = _answer(request, data)
            if isinstance(answer, str):
                connection.send_bytes(json.dumps({"refusal": answer}).encode())
                continue
            about = {
                "n": len(answer.samples),
                "source_rate": answer.source_rate,
                "channels": answer.channels,
                "warnings": answer.warnings,
            }
            connection.send_bytes(json.dumps(about).encode())
            connection.send_bytes(np.ascontiguousarray(answer.samples).data)
        except (EOFError, ConnectionError):
            return


def _answer(request: dict, data: bytes | None) -> Waveform | str:
    """The waveform, or the sentence of why there is none."""
    name, limits = request["name"], Limits(**request["limits"])
    try:
        return decode_bytes(read_file(Path(request["path"]), limits) if data is None else data, name, limits)
    except Refusal as error:
        return str(error)
    except MemoryError:
        return f"{name} needs more memory to decode than a clip may take; export it again as 16 kHz mono WAV."
    except Exception as error:  # a bug of ours or of a library: this file's problem, not the next one's
        return f"{name} made the decoder fail ({type(error).__name__}: {error}); export it again as 16-bit WAV."


def _limit_memory() -> None:
    """No more than MEMORY beyond now, and no core dumps. macOS has no working RLIMIT_AS."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _silence_stderr() -> None:
    """mpg123 writes about damaged frames there, past Python; until here it shows why a start failed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


if __name__ == "__main__":
    main(int(sys.argv[1]))
