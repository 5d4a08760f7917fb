"""Records of finished passes into the store, and batches that do not fit into memory in halves."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from core.capture.forward import Captured
from core.capture.gradients import CapturedGradient
from core.engine.interface import GradientPass, Pass
from core.engine.interventions import Intervention
from core.store.forward import ForwardRecord
from core.store.intervention import AblationRecord, PatchRecord
from core.store.key import Key, Kind, Precision
from core.store.store import Store

_CPU_OUT_OF_MEMORY = "can't allocate memory"  # torch raises a plain RuntimeError on the CPU
Reasons = list[str | None]


def in_halves(make: Callable[[Sequence[int]], Reasons], items: Sequence[int], model: str) -> Reasons:
    """`make` of all items, or of halves where the device has too little memory for them; a single one then fails."""
    try:
        return make(items)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if type(error) is RuntimeError and _CPU_OUT_OF_MEMORY not in str(error):
            raise
        if len(items) == 1:
            return [f"the device has not enough memory for {model} on one clip: use a smaller dtype or model."]
    half = len(items) // 2  # outside the handler's frames the failed batch's memory is free again
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return in_halves(make, items[:half], model) + in_halves(make, items[half:], model)


class Keeper:
    """Writes records; each method returns None, or the sentence why it could not."""

    def __init__(self, store: Store, precision: Precision) -> None:
        self._store = store
        self._precision = precision

    def keep(self, task: Pass, made: Captured) -> str | None:
        """A forward pass's records."""
        return self._overflow(task.model.name, made.forward.to_arrays()) or self._write(self._arrays(task, made))

    def keep_gradient(self, task: GradientPass, made: CapturedGradient) -> str | None:
        """A gradient pass's record, and the forward and lora records where they are missing."""
        gradient = made.gradient.to_arrays()
        forward = made.captured.forward.to_arrays()
        if reason := self._overflow(task.model.name, gradient) or self._overflow(task.model.name, forward):
            return reason
        beside = self._arrays(Pass(task.model, task.clip, task.window_start, lora=True), made.captured)
        missing = {key: arrays for key, arrays in beside.items() if not self._store.has(key)}
        return self._write(missing | {task.keys(self._precision)[0]: gradient})

    def keep_intervention(self, task: Intervention, made: ForwardRecord | AblationRecord | PatchRecord) -> str | None:
        """What came of an intervention; of a run with the dial turned, its forward record."""
        arrays = made.to_arrays()
        return self._overflow(task.model.name, arrays) or self.write(task.keys(self._precision)[0], arrays)

    def write(self, key: Key, arrays: Mapping[str, np.ndarray]) -> str | None:
        """One record."""
        return self._write({key: arrays})

    def _arrays(self, task: Pass, made: Captured) -> dict[Key, dict[str, np.ndarray]]:
        parts = {Kind.FORWARD: made.forward, Kind.LORA: made.lora, Kind.STATES: made.states}
        found = {key: parts[key.kind] for key in task.keys(self._precision)}
        return {key: record.to_arrays() for key, record in found.items() if record is not None}

    def _overflow(self, model: str, arrays: Mapping[str, np.ndarray]) -> str | None:
        if all(np.isfinite(array).all() for array in arrays.values()):
            return None
        return f"{model} overflows on this clip in {self._precision.dtype}: use --dtype float32."

    def _write(self, records: Mapping[Key, Mapping[str, np.ndarray]]) -> str | None:
        try:
            for key, arrays in records.items():
                self._store.write(key, arrays)
        except OSError as error:
            return cache_full(self._store, error)
        return None


def cache_full(store: Store, error: OSError) -> str:
    """The sentence for a disk that takes no more."""
    return f"the cache at {store.directory} can't be written ({error.strerror}): free some space there."
