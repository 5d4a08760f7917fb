"""The computing process: `python -m core.studies.child FD`, started by `core.studies.process`. It never loads torch.

Over the socket FD: where the cache is, then requests (analyses, groups, precision), each answered with what `tables`
gives, or with the sentence why it could not. Ends when the other side closes.
"""

import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection

from core.analyses.tidy import Table
from core.errors import Refusal
from core.store.key import Precision
from core.store.store import Store
from core.studies.compute import Computed, tables
from core.studies.slices import Groups


def main(descriptor: int) -> None:
    """Serve requests until the other side closes."""
    connection = Connection(descriptor)
    try:
        store = Store(*connection.recv())
        while True:
            names, groups, precision = connection.recv()
            connection.send(_answer(names, groups, store, precision))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _answer(names: Sequence[str], groups: Groups, store: Store, precision: Precision) -> Computed[Table] | str:
    try:
        return tables(names, groups, store, precision)
    except Refusal as error:
        return str(error)
    except OSError as error:
        return f"the cache at {store.directory} can't be used ({error.strerror}): free some space there."
    except Exception as error:  # the next request is not to blame
        traceback.print_exc(file=sys.stderr)
        return f"LoRAscope failed ({type(error).__name__}: {error}); its log has the details."


if __name__ == "__main__":
    main(int(sys.argv[1]))
