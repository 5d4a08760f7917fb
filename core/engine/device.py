"""Which device and precision models run in, decided without torch so that every process knows its cache keys."""

import ctypes
import importlib.metadata
import os
from pathlib import Path

from core.settings import Settings
from core.store.key import Precision

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")  # says "max" where there is none


def choose_device(wanted: str) -> str:
    """`cpu` or `cuda:i` for what the setting says; `auto` takes the first GPU that torch could use."""
    if wanted == "auto":
        return "cuda:0" if _gpus() else "cpu"
    return "cuda:0" if wanted == "cuda" else wanted


def choose_precision(settings: Settings) -> Precision:
    """Precision of the cache keys: `auto` is float32 everywhere, since numbers to cite should not depend on luck."""
    dtype = "float32" if settings.dtype == "auto" else settings.dtype
    return Precision(dtype, choose_device(settings.device).split(":")[0])


def host_memory() -> int:
    """Bytes of the machine's memory, or of what its container may take of it."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CONTAINER_LIMIT.read_text().strip() if _CONTAINER_LIMIT.is_file() else ""
    return min(whole, int(limit)) if limit.isdigit() else whole


def _gpus() -> int:
    """Number of NVIDIA GPUs the driver shows; 0 where torch is a CPU build or there is no driver."""
    if "+cpu" in importlib.metadata.version("torch"):
        return 0
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
