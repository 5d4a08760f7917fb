"""All studies of a server: asked once, whoever looks, found again from any tab."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from core.studies.study import Question, Study, Tools

_KEPT = 32  # finished ones, with their tables,
_KEPT_BYTES = 500_000_000  # as far as these take no more memory


@dataclass(frozen=True)
class Pinned:
    """A study and where to see it: whatever its asker gave."""

    study: Study
    link: object


class Board:
    """Studies by their question. Thread-safe."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._lock = threading.Lock()
        self._pinned: OrderedDict[Question, Pinned] = OrderedDict()

    def ask(self, question: Question, title: str, link: object = None) -> Study:
        """The study of this question; it begins if nobody asked before."""
        with self._lock:
            pinned = self._pinned.get(question)
            new = pinned is None
            if pinned is None:
                pinned = self._pinned[question] = Pinned(Study(question, title, self._tools), link)
            self._pinned.move_to_end(question)
            self._drop_old(question)
        if new:  # reads the store: nobody else waits for that
            pinned.study.start()
        return pinned.study

    def _drop_old(self, asked: Question) -> None:
        """Finished studies beyond what is kept, the longest unasked first; the store still has their results."""
        finished = [(one, pinned) for one, pinned in self._pinned.items() if not pinned.study.now.active]
        size = 0
        for count, (one, pinned) in enumerate(reversed(finished), 1):
            size += pinned.study.now.size
            if (count > _KEPT or size > _KEPT_BYTES) and one != asked:
                del self._pinned[one]

    def forget(self, question: Question) -> None:
        """Let one that ended be tried again: what is done of it is in the store."""
        with self._lock:
            pinned = self._pinned.get(question)
            if pinned is not None and not pinned.study.now.active:  # or another tab was faster
                del self._pinned[question]

    def active(self) -> list[Pinned]:
        """Those under way, the latest asked first."""
        with self._lock:
            return [one for one in reversed(self._pinned.values()) if one.study.now.active]
