"""A set of clips under way in the worker: gradients batch by batch, checkpoints between, kernels at the end."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from core.capture.forward import frames_with_audio
from core.capture.gradients import capture_gradients
from core.capture.sets import SetSums
from core.engine.backend import SetProgress
from core.engine.interface import SetPass
from core.engine.keeping import Keeper, in_halves
from core.errors import Refusal
from core.models.info import ModelInfo
from core.models.loading import LoadedModel
from core.store.key import Precision
from core.store.partial import DamagedSpill, Partial
from core.store.store import Store

_CHECKPOINT_SHARE = 0.01  # of the time goes into checkpoints: large sums are saved less often
_BYTES_PER_GB = 1e9


def check_adapted(model: ModelInfo) -> None:
    """Refuse gradients of a model that has nothing to take them of."""
    if not model.lora:
        raise Refusal(f"{model.name} has no LoRA modules, so there are no gradients of theirs.")


class SetWork:
    """One set under one model. Cheap to leave for other tasks between steps; `close` makes it safe to end."""

    def __init__(
        self, task: SetPass, model: LoadedModel, store: Store, precision: Precision, spill_max_gb: float
    ) -> None:
        check_adapted(task.model)
        need = task.spill_bytes if task.kernels else 0
        limit = int(spill_max_gb * _BYTES_PER_GB)
        if need > limit:
            raise Refusal(
                f"CKA of gradients over {len(task.clips)} clips needs {need / _BYTES_PER_GB:.1f} GB of disk for a "
                f"while, more than LORASCOPE_SPILL_MAX_GB = {spill_max_gb:g} allows: raise it, or take fewer clips."
            )
        self.task = task
        self._model = model
        self._store = store
        self._precision = precision
        self._keeper = Keeper(store, precision)
        self._parts = task.parts
        self._partial = Partial(store, task.keys(precision)[0], limit - need)
        self._sums = SetSums(model, len(task.clips), self._partial, kernels=task.kernels)
        self._sums.restore()
        self._failed: dict[int, str] = {}
        self._damaged = False
        self._saved, self._cost, self._fits = time.monotonic(), 0.0, len(task.clips)

    def step(self, samples: Mapping[int, np.ndarray], unreadable: Mapping[int, str]) -> SetProgress:
        """Take some clips, by position; without any left to do, go on towards the record."""
        self._failed |= unreadable
        todo = self._todo()
        given = [i for i in samples if i in todo]
        if given:
            self._take(given, samples)
        elif not todo and self._finish():
            return SetProgress((), self._failed, finished=True)
        return SetProgress(self._todo(), dict(self._failed))

    def close(self) -> None:
        """A last checkpoint, and the set may be taken up by whoever comes."""
        self._checkpoint()
        self._partial.close()

    def drop(self) -> None:
        """After a failure of ours: what the last checkpoint holds stays."""
        self._partial.close()

    def _todo(self) -> tuple[int, ...]:
        return tuple(i for i in range(len(self._parts)) if not self._sums.done[i] and i not in self._failed)

    def _take(self, positions: list[int], samples: Mapping[int, np.ndarray]) -> None:
        for start in range(0, len(positions), self._fits):
            chosen = positions[start : start + self._fits]
            reasons = in_halves(lambda part: self._add(part, samples), chosen, self._model.info.name)
            self._failed |= {i: reason for i, reason in zip(chosen, reasons, strict=True) if reason is not None}
        if time.monotonic() - self._saved > self._cost / _CHECKPOINT_SHARE:
            self._checkpoint()

    def _add(self, positions: Sequence[int], samples: Mapping[int, np.ndarray]) -> list[str | None]:
        """Gradients of some clips into the sums and the store; the reason of each that failed."""
        clips = [samples[i] for i in positions]
        targets = [self._parts[i].target for i in positions]
        try:
            take = self._sums.take(list(positions), frames_with_audio(self._model, clips))
            made = capture_gradients(self._model, clips, targets, take)
        except BaseException:  # the sums may hold part of the batch
            self._fits = max(1, len(positions) // 2)
            self._sums.restore()
            raise
        reasons = [self._keeper.keep_gradient(self._parts[i], one) for i, one in zip(positions, made, strict=True)]
        if any(reasons):  # the sums hold what is not finite
            self._sums.restore()
        else:
            self._sums.done[list(positions)] = True
        return reasons

    def _checkpoint(self) -> None:
        start = time.monotonic()
        self._sums.save()
        self._saved = time.monotonic()
        self._cost = self._saved - start

    def _finish(self) -> bool:
        """One kernel, or the record; True once the record is written."""
        try:
            if self._sums.make_kernel():
                return False
        except DamagedSpill as error:
            if self._damaged:
                raise Refusal(
                    f"{error} at {self._store.directory}, twice: set LORASCOPE_CACHE_DIR to another disk."
                ) from error
            self._damaged = True
            self._sums.forget()
            return False
        rest = self.task.without([self.task.clips[i] for i in self._failed])
        if rest is not None:
            self._store.write(rest.keys(self._precision)[0], self._sums.record())
        if self._failed:  # asked for again, only the failed clips are tried again
            self.close()
        else:
            self._partial.remove()
        return True
