"""The torch side of the engine: models in, batches through them, records into the store."""

import sys
import traceback
from collections.abc import Sequence

import numpy as np
import torch

from core.capture.forward import Captured, capture
from core.engine.backend import Batch, WorkerConfig
from core.engine.interface import Pass
from core.errors import Refusal
from core.models.info import ModelInfo
from core.models.loading import LoadedModel, Loader
from core.store.key import Kind, Precision
from core.store.store import Store

_CPU_OUT_OF_MEMORY = "can't allocate memory"  # torch raises a plain RuntimeError on the CPU


class Runner:
    """Runs batches in this process; also the in-process backend of tests and notebooks."""

    def __init__(self, config: WorkerConfig) -> None:
        device = torch.device(config.device)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise Refusal(f"{config.device} was asked for, but this torch sees no GPU: set LORASCOPE_DEVICE=cpu.")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        if config.threads:
            torch.set_num_threads(config.threads)
        self._precision = Precision(config.dtype, device.type)
        self._store = Store(config.cache_dir, config.cache_max_gb)
        self._loader = Loader(device, getattr(torch, config.dtype))

    @property
    def restarts(self) -> int:
        """Never: this process is the worker."""
        return 0

    def start(self) -> None:
        """Nothing to do: this process is the worker."""

    def close(self) -> None:
        """Nothing to do: models go with the object."""

    def check(self, model: ModelInfo) -> str | None:
        try:
            self._loader.get(model)
        except Refusal as error:
            return str(error)
        except Exception as error:
            return _our_failure(error)
        return None

    def run(self, batch: Batch) -> Sequence[str | None]:
        reasons: list[str | None] = [None] * len(batch.passes)
        # another process may have written some of them since they were queued
        todo = [i for i, task in enumerate(batch.passes) if not all(map(self._store.has, task.keys(self._precision)))]
        if not todo:
            return reasons
        try:
            model = self._loader.get(batch.passes[0].model)
            outcomes = self._run(model, [batch.passes[i] for i in todo], [batch.samples[i] for i in todo])
        except Refusal as error:
            outcomes = [str(error)] * len(todo)
        except Exception as error:
            outcomes = [_our_failure(error)] * len(todo)
        for i, outcome in zip(todo, outcomes, strict=True):
            reasons[i] = outcome
        return reasons

    def _run(self, model: LoadedModel, passes: list[Pass], samples: list[np.ndarray]) -> list[str | None]:
        try:
            captured = capture(model, samples, lora=passes[0].lora)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if type(error) is RuntimeError and _CPU_OUT_OF_MEMORY not in str(error):
                raise
            if len(passes) == 1:
                return [
                    f"the device has not enough memory for {model.info.name} on one clip: use a smaller dtype or model."
                ]
            half = len(passes) // 2  # outside the handler's frames the failed batch's memory is free again
        else:
            return [self._keep(task, made) for task, made in zip(passes, captured, strict=True)]
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return self._run(model, passes[:half], samples[:half]) + self._run(model, passes[half:], samples[half:])

    def _keep(self, task: Pass, made: Captured) -> str | None:
        record = made.forward.to_arrays()
        if not all(np.isfinite(array).all() for array in record.values()):
            return f"{task.model.name} overflows on this clip in {self._precision.dtype}: use --dtype float32."
        parts = {Kind.FORWARD: record, Kind.LORA: made.lora}
        try:
            for key in task.keys(self._precision):
                self._store.write(key, parts[key.kind])
        except OSError as error:
            return f"the cache at {self._store.directory} can't be written ({error.strerror}): free some space there."
        return None


def _our_failure(error: Exception) -> str:
    """The sentence for what is no fault of the request; the traceback goes to the worker's log."""
    traceback.print_exc(file=sys.stderr)
    return f"LoRAscope failed ({type(error).__name__}: {error}); its log has the details."
