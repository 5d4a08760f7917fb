"""An engine as the settings say; the one place that knows which kinds there are."""

from collections.abc import Callable

import numpy as np

from core.corpora.clip import Clip
from core.engine.backend import Backend, WorkerConfig
from core.engine.device import choose_device, choose_precision
from core.engine.local import LocalEngine
from core.engine.process import WorkerProcess
from core.settings import Settings
from core.store.store import Store


def worker_config(settings: Settings) -> WorkerConfig:
    """What the settings mean for a worker."""
    dtype = choose_precision(settings).dtype
    device = choose_device(settings.device)
    # absolute: the worker runs in the repository, wherever its owner was started
    return WorkerConfig(
        device,
        dtype,
        settings.threads,
        settings.cache_dir.absolute(),
        settings.cache_max_gb,
        settings.spill_max_gb,
        settings.device_memory_gb,
    )


def local_engine(
    settings: Settings,
    store: Store,
    samples_of: Callable[[Clip], np.ndarray],
    backend: Backend | None = None,
    *,
    eager: bool = False,
) -> LocalEngine:
    """An engine with a worker process of its own, or with `backend` (a Runner for one in this process)."""
    config = worker_config(settings)
    return LocalEngine(
        backend or WorkerProcess(config),
        store,
        samples_of,
        choose_precision(settings),
        device=config.device,
        batch_size=settings.batch_size,
        eager=eager,
    )
