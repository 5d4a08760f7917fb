"""The worker process: `python -m core.engine.worker FD`, started by `core.engine.process`. Owns torch and the device.

Over the socket FD: first its config, answered with its memory or the sentence why it can't run; then requests (a Batch,
or a ModelInfo to check), each answered in turn, with the memory as it then is. Ends when the other side closes, after
the batch it is in.
"""

import gc
import sys
from multiprocessing.connection import Connection

from core.engine.backend import Batch, WorkerConfig
from core.errors import Refusal


def main(descriptor: int) -> None:
    """Serve requests until the other side closes."""
    connection = Connection(descriptor)
    try:
        config: WorkerConfig = connection.recv()
        from core.engine.runner import Runner  # imports torch: only after the owner is known to be there

        try:
            runner = Runner(config)
        except Refusal as error:
            connection.send(str(error))
            return
        connection.send(runner.memory)
        gc.freeze()  # what importing made is there for good: looking for garbage then takes milliseconds
        try:
            while True:
                request = connection.recv()
                answer = runner.run(request) if isinstance(request, Batch) else runner.check(request)
                connection.send((answer, runner.memory))
                # a trace leaves cycles that hold activations; found at any old time, they scatter memory ever wider
                gc.collect()
        finally:
            runner.close()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    main(int(sys.argv[1]))
