"""What can be changed on the way through a model, as plain data: the LoRA dial, and what a patch copies.

After Heimersheim and Nanda (2024), "How to use and interpret activation patching".
"""

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

Pairing = Literal["dial", "minimal", "noise"]
PAIRINGS: tuple[Pairing, ...] = get_args(Pairing)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", re.ASCII)
MAX_GAIN = 1.5  # of a layer on the dial; further out nothing was ever trained


def read_span(text: str) -> tuple[float, float] | None:
    """`"0.2-0.8"` → two rising seconds; None where the text is no such thing."""
    found = _SPAN.fullmatch(text.strip())
    span = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    return span if span[0] < span[1] else None


def write_span(span: tuple[float, float]) -> str:
    """What `read_span` reads, to six digits."""
    return "-".join(f"{seconds:.6g}" for seconds in span)


@dataclass(frozen=True)
class Dial:
    """How much of each layer's LoRA update is on (`gains`, one a layer: 0 off, 1 as trained), and `rank`: each module's
    update dW is cut to that many of its largest singular values (None: whole). The head is always the LoRA model's.
    """

    gains: tuple[float, ...]
    rank: int | None = None

    def __post_init__(self) -> None:
        if not self.gains or not all(math.isfinite(gain) and 0 <= gain <= MAX_GAIN for gain in self.gains):
            raise ValueError(f"gains are {self.gains}, expected one of 0 to {MAX_GAIN} for each layer")
        if self.rank is not None and self.rank < 1:
            raise ValueError(f"rank is {self.rank}, expected at least 1")

    @classmethod
    def even(cls, gain: float, layers: int, rank: int | None = None) -> "Dial":
        """The same for every layer."""
        return cls((gain,) * layers, rank)


@dataclass(frozen=True)
class Patch:
    """Which layer's outputs are copied between a clean and a corrupt run, and at which frames.

    dial      one clip with LoRA on (clean) and off (corrupt)
    minimal   two clips under the model as it is
    noise     one clip (clean) and white noise of its length and RMS (corrupt)

    `frames` and `span` (seconds within the clean run's window) choose the patched frames; in a pair of clips they are
    mapped linearly over the frames that hold audio. Without either the whole window is patched, padding included, and
    the layer's whole output is not offered: copying all of it is the other run.
    """

    layer: int
    pairing: Pairing
    frames: Literal["all", "audio"] = "all"
    span: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.span is not None and not 0 <= self.span[0] < self.span[1]:
            raise ValueError(f"the span is {self.span}, expected two rising seconds")

    @property
    def whole(self) -> bool:
        """Whether every frame is patched."""
        return self.frames == "all" and self.span is None
