"""What models' weights take of the device's memory. No torch here: the web process shows it."""

from dataclasses import dataclass, replace

from core.models.info import ModelInfo

_BYTES_PER_GB = 1e9


@dataclass(frozen=True)
class ModelMemory:
    """One model's bytes: `own_bytes` of its adapter and head, and those of its base, which is in memory once for all
    models over it. Still known of one that went to make room (`loaded` is then False)."""

    name: str
    fingerprint: str
    base_fingerprint: str
    own_bytes: int
    base_bytes: int
    loaded: bool = True


@dataclass(frozen=True)
class Memory:
    """Every model that was loaded so far, and the bytes that those in memory may take together (0: not yet known)."""

    limit_bytes: int = 0
    models: tuple[ModelMemory, ...] = ()

    def of(self, model: ModelInfo) -> ModelMemory | None:
        """What is known of a model; None of one that was never loaded."""
        return next((known for known in self.models if known.fingerprint == model.fingerprint), None)

    @property
    def loaded(self) -> tuple[ModelMemory, ...]:
        return tuple(model for model in self.models if model.loaded)

    @property
    def used_bytes(self) -> int:
        """Of all weights in memory, each base counted once."""
        bases = {model.base_fingerprint: model.base_bytes for model in self.loaded}
        return sum(bases.values()) + sum(model.own_bytes for model in self.loaded)

    @property
    def warning(self) -> str | None:
        """The sentence where what is in use takes more than the budget; None where it fits."""
        if self.used_bytes <= self.limit_bytes:
            return None
        names = " and ".join(model.name for model in self.loaded)
        used, limit = self.used_bytes / _BYTES_PER_GB, self.limit_bytes / _BYTES_PER_GB
        return (
            f"{names} alone: {used:.3g} GB of weights, more than the {limit:.3g} GB that models may take. "
            "It runs, but every switch loads anew: raise LORASCOPE_DEVICE_MEMORY_GB."
        )

    def emptied(self) -> "Memory":
        """The same with nothing loaded, as after the worker's end."""
        return replace(self, models=tuple(replace(model, loaded=False) for model in self.models))
