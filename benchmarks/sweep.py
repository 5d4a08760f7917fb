"""What a patching sweep costs: `python benchmarks/sweep.py [--rounds 5]`.

A random encoder of whisper-base's shape with LoRA r = 32 on v_proj, one pair of runs (LoRA on, LoRA off). The sweep
copies attention, MLP and LoRA update at every layer, both ways: layers x 3 components x 2 directions. Beside it as many
full passes, which it replaces, six runs a batch as in the sweep; in turn, medians of ratios. The passes get their
log-mel features for nothing, the sweep makes its own. Limit: 0.6.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script sees only its own folder

from benchmarks.shapes import write_models
from core.capture.forward import features
from core.capture.patching import Patches
from core.interventions import Patch
from core.models.loading import LoadedModel, Loader

LIMIT = 0.6
_COMPONENTS, _DIRECTIONS = 3, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds, each of both")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as directory:
        _, info = write_models(Path(directory))
        model = Loader(device, torch.float32).get(info)
    samples = np.random.default_rng(0).normal(0, 0.1, info.shape.window_samples).astype(np.float32)
    inputs = features(model, [samples])
    sweep_s: list[float] = []
    full_s: list[float] = []
    for number in range(arguments.rounds + 1):
        both = (lambda: sweep(model, samples), sweep_s), (lambda: full(model, inputs), full_s)
        for run, times in both if number % 2 else both[::-1]:
            seconds = timed(run)
            if number:  # the first round warms up
                times.append(seconds)
    ratios = [a / b for a, b in zip(sweep_s, full_s, strict=True)]
    count = info.shape.layers * _COMPONENTS * _DIRECTIONS
    print(f"{device}, {info.shape.layers} layers, {arguments.rounds} rounds, {torch.get_num_threads()} threads")
    print(f"sweep            {statistics.median(sweep_s):8.2f} s")
    print(f"{count} full passes   {statistics.median(full_s):8.2f} s")
    ratio = statistics.median(ratios)
    print(f"sweep / passes   {ratio:8.3f}   rounds {' '.join(f'{one:.3f}' for one in ratios)}   limit {LIMIT}")
    print("within the limit" if ratio <= LIMIT else "OVER the limit")


def sweep(model: LoadedModel, samples: np.ndarray) -> None:
    """All layers of one pair, from the sound to the records."""
    patches = Patches()
    for layer in range(model.info.shape.layers):
        patches.layer(model, Patch(layer, "dial"), samples, samples)


def full(model: LoadedModel, inputs: torch.Tensor) -> None:
    """As many passes from the first layer to the head, with nothing read on the way."""
    rows = _COMPONENTS * _DIRECTIONS
    with torch.inference_mode():
        model.base.activate(model.adapter)
        for _ in range(model.info.shape.layers):
            model.head(model.base.backbone(inputs.expand(rows, -1, -1)))


def timed(run: Callable[[], None]) -> float:
    begun = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
