"""The torch side of the engine: models in, batches through them, records into the store."""

import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from core.capture.ablations import Ablations
from core.capture.forward import capture
from core.capture.gradients import capture_gradients
from core.capture.interventions import capture_dialled, noise_like
from core.capture.patching import Patches
from core.capture.weights import capture_weights
from core.engine.backend import Batch, Outcome, WorkerConfig
from core.engine.device import host_memory
from core.engine.interface import GradientPass, Pass, SetPass
from core.engine.interventions import DialPass, LayerPass, PatchPass
from core.engine.keeping import Keeper, cache_full, in_halves
from core.engine.sets import SetWork, check_adapted
from core.errors import Refusal
from core.models.info import ModelInfo
from core.models.loading import LoadedModel, Loader
from core.models.memory import Memory
from core.store.key import Precision
from core.store.store import Store

_BYTES_PER_GB = 1e9
_SEED_DIGITS = 12  # of a clip's id, which seed its noise


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
        self._loader = Loader(device, getattr(torch, config.dtype), _limit_bytes(config.device_memory_gb, device))
        self._keeper = Keeper(self._store, self._precision)
        self._spill_max_gb = config.spill_max_gb
        self._work: SetWork | None = None
        self._ablations, self._patches = Ablations(), Patches()

    @property
    def restarts(self) -> int:
        """Never: this process is the worker."""
        return 0

    @property
    def memory(self) -> Memory:
        return self._loader.memory

    def start(self) -> None:
        """Nothing to do: this process is the worker."""

    def close(self) -> None:
        """Keep what is done of a set under way; models go with the object."""
        work, self._work = self._work, None
        if work is not None:
            work.close()

    def check(self, model: ModelInfo) -> str | None:
        try:
            self._load(model)
        except Refusal as error:
            return str(error)
        except Exception as error:
            return _our_failure(error)
        return None

    def run(self, batch: Batch) -> Sequence[Outcome]:
        if not isinstance(batch.passes[0], LayerPass | PatchPass):
            self._ablations, self._patches = Ablations(), Patches()  # kept on the device for a sweep's next layers only
        if isinstance(batch.passes[0], SetPass):
            return [self._step(batch.passes[0], batch)]
        reasons: list[str | None] = [None] * len(batch.passes)
        # another process may have written some of them since they were queued
        todo = [i for i, task in enumerate(batch.passes) if not all(map(self._store.has, task.keys(self._precision)))]
        if not todo:
            return reasons
        try:
            model = self._load(batch.passes[0].model)
            outcomes = in_halves(lambda chosen: self._make(model, batch, chosen), todo, model.info.name)
        except Refusal as error:
            outcomes = [str(error)] * len(todo)
        except Exception as error:
            outcomes = [_our_failure(error)] * len(todo)
        for i, outcome in zip(todo, outcomes, strict=True):
            reasons[i] = outcome
        return reasons

    def _load(self, model: ModelInfo) -> LoadedModel:
        """A model, without letting that of a set under way go."""
        return self._loader.get(model, in_use=self._work.task.model if self._work else None)

    def _make(self, model: LoadedModel, batch: Batch, chosen: Sequence[int]) -> list[str | None]:
        tasks = [batch.passes[i] for i in chosen]
        passes = [task for task in tasks if isinstance(task, Pass)]
        if passes:
            captured = capture(model, [batch.samples[i] for i in chosen], lora=passes[0].lora, states=passes[0].states)
            return [self._keeper.keep(task, made) for task, made in zip(passes, captured, strict=True)]
        gradients = [task for task in tasks if isinstance(task, GradientPass)]
        if gradients:
            check_adapted(model.info)
            found = capture_gradients(model, [batch.samples[i] for i in chosen], [task.target for task in gradients])
            return [self._keeper.keep_gradient(task, made) for task, made in zip(gradients, found, strict=True)]
        dials = [task for task in tasks if isinstance(task, DialPass)]
        if dials:
            turned = capture_dialled(model, [batch.samples[i] for i in chosen], dials[0].dial)
            # without the Grams, which nobody asks of it
            records = [replace(made.forward, gram_a={}) for made in turned]
            return [self._keeper.keep_intervention(task, one) for task, one in zip(dials, records, strict=True)]
        layers = [(i, task) for i in chosen if isinstance(task := batch.passes[i], LayerPass | PatchPass)]
        if layers:
            return [self._sweep(model, task, batch.samples[i], batch.sources[i]) for i, task in layers]
        arrays = capture_weights(model).to_arrays()
        return [self._keeper.write(key, arrays) for task in tasks for key in task.keys(self._precision)]

    def _sweep(
        self, model: LoadedModel, task: LayerPass | PatchPass, samples: np.ndarray, source: np.ndarray | None
    ) -> str | None:
        """One layer of a sweep; what it refuses does not hold up the others."""
        try:
            if isinstance(task, PatchPass):
                corrupt = samples if source is None else source
                if task.pairing == "noise":
                    corrupt = noise_like(samples, int(task.clip.clip_id[:_SEED_DIGITS], 16))
                return self._keeper.keep_intervention(task, self._patches.layer(model, task.patch, samples, corrupt))
            return self._keeper.keep_intervention(task, self._ablations.layer(model, samples, task.layer))
        except Refusal as error:
            return f"{task.clip.name}: {error}"

    def _step(self, task: SetPass, batch: Batch) -> Outcome:
        if self._store.has(task.keys(self._precision)[0]):
            return None
        try:
            if self._work is None or self._work.task != task:
                self.close()
                model = self._load(task.model)
                self._work = SetWork(task, model, self._store, self._precision, self._spill_max_gb)
            progress = self._work.step(dict(zip(batch.positions, batch.samples, strict=True)), batch.unreadable)
            if progress.finished:
                self._work = None
            return progress
        except Refusal as error:
            reason = str(error)
        except OSError as error:
            reason = cache_full(self._store, error)
        except Exception as error:
            reason = _our_failure(error)
        if self._work is not None:
            self._work.drop()
            self._work = None
        return reason


def _limit_bytes(wanted_gb: float, device: torch.device) -> int:
    """What weights may take: the rest of the device is for what is computed with them."""
    if wanted_gb:
        return int(wanted_gb * _BYTES_PER_GB)
    whole = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else host_memory()
    return whole // 2


def _our_failure(error: Exception) -> str:
    """The sentence for what is no fault of the request; the traceback goes to the worker's log."""
    traceback.print_exc(file=sys.stderr)
    return f"LoRAscope failed ({type(error).__name__}: {error}); its log has the details."
