"""What takes longer than a click and is no pass of a model: done in a thread, once, whoever looks."""

import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import streamlit as st

from core.errors import Refusal

_KEPT = 32


@dataclass
class Chore:
    """Something under way. When `active` is over, `result` is what it gave, or `reason` says why it gave nothing.

    Where it is made of many parts, `done` of `total` are behind it.
    """

    total: int = 0
    done: int = 0
    result: object = None
    reason: str | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def active(self) -> bool:
        return not self.ended.is_set()


class Chores:
    """Chores by what they are about. Thread-safe, shared by all sessions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, Chore] = OrderedDict()
        self.ended = 0

    @property
    def active(self) -> bool:
        with self._lock:
            return any(chore.active for chore in self._known.values())

    def find(self, what: Hashable) -> Chore | None:
        with self._lock:
            return self._known.get(what)

    def ask(self, what: Hashable, work: Callable[[Chore], object], *, total: int = 0, again: bool = False) -> Chore:
        """The chore about this; it begins if nobody asked before, or asks for it `again` after it ended.

        `work` is given the chore, to say how much is done.
        """
        with self._lock:
            chore = self._known.get(what)
            if chore is not None and (chore.active or not again):
                self._known.move_to_end(what)
                return chore
            chore = self._known[what] = Chore(total)
            self._known.move_to_end(what)
            for old in [key for key, one in self._known.items() if not one.active][: max(0, len(self._known) - _KEPT)]:
                del self._known[old]
        threading.Thread(target=self._do, args=(chore, work), name="lorascope-chore", daemon=True).start()
        return chore

    def _do(self, chore: Chore, work: Callable[[Chore], object]) -> None:
        try:
            chore.result = work(chore)
        except Refusal as error:
            chore.reason = str(error)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            chore.reason = f"That failed unexpectedly ({type(error).__name__}: {error}); the server's log says where."
        with self._lock:
            self.ended += 1
        chore.ended.set()


@st.cache_resource(show_spinner=False)
def chores() -> Chores:
    """Those of this server."""
    return Chores()
