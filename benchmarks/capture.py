"""What capturing costs: `python benchmarks/capture.py [--batches 1,4] [--rounds 10]`.

On a random checkpoint of whisper-base's shape with LoRA r = 32 on v_proj, in one process:
1. the pass that leaves a whole `forward` record against the bare forward (encoder and head) of the same batch, in turn;
2. the same with the record brought to numpy arrays, ready to be written;
3. a request that computes against the same request from the cache, through the engine;
4. the records' sizes against the raw float32 residual, attention and MLP activations.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script sees only its own folder

from benchmarks.shapes import write_models
from core.analyses.stored import StoredRecords
from core.capture.forward import capture, features, trace
from core.corpora.clip import Clip
from core.engine.build import local_engine, worker_config
from core.engine.interface import Pass
from core.engine.runner import Runner
from core.models.info import ModelInfo
from core.models.loading import Loader
from core.settings import read_settings
from core.store.store import Store

_FLOAT32_BYTES = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", default="1,4", help="batch sizes to measure")
    parser.add_argument("--rounds", type=int, default=10, help="timed pairs of each")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        _, info = write_models(Path(directory))
        compare_passes(info, [int(size) for size in arguments.batches.split(",")], arguments.rounds)
        compare_requests(info, Path(directory))


def compare_passes(info: ModelInfo, batches: list[int], rounds: int) -> None:
    """Capture over bare forward, same batch, in turn."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = Loader(device, torch.float32).get(info)
    model.base.activate(model.adapter)
    for size in batches:
        clips = [_sound(info, seed) for seed in range(size)]
        inputs = features(model, clips)
        audio_frames = [info.shape.frames] * size

        def bare(inputs: torch.Tensor = inputs) -> None:
            model.head(model.base.backbone(inputs))
            _finish(device)

        def captured(inputs: torch.Tensor = inputs, audio_frames: list[int] = audio_frames) -> None:
            trace(model, inputs, audio_frames)
            _finish(device)

        with torch.inference_mode():
            plain, traced, ratios = _in_turn(bare, captured, rounds)
        print(f"batch {size}: bare forward {plain:.3f} s, with capture {traced:.3f} s, ratio {_spread(ratios)}")
        whole = _median_of(partial(capture, model, clips), max(3, rounds // 3))
        spectrogram = _median_of(partial(features, model, clips), max(3, rounds // 3))
        print(f"         features {spectrogram:.3f} s, features + capture + record arrays {whole:.3f} s")


def compare_requests(info: ModelInfo, directory: Path) -> None:
    """First request against the second, and what the records weigh."""
    settings = read_settings(cache_dir=directory / "cache")
    store = Store(settings.cache_dir, settings.cache_max_gb)
    window = info.shape.window_samples
    clips = [Clip(f"{i:064d}", str(i), window) for i in range(4)]
    runner = Runner(worker_config(settings))
    engine = local_engine(settings, store, lambda clip: _sound(info, int(clip.name)), runner)
    runner.check(info)

    def request(clip: Clip) -> float:
        start = time.perf_counter()
        engine.submit([Pass(info, clip)], title="benchmark").wait()
        if StoredRecords(store, engine.precision).forward(info, clip) is None:
            raise RuntimeError("the benchmark's pass failed")
        return time.perf_counter() - start

    first = [request(clip) for clip in clips]
    second = [request(clip) for _ in range(5) for clip in clips]
    cold, warm = statistics.median(first), statistics.median(second)
    print(f"request: first {cold:.3f} s, from the cache {warm * 1000:.2f} ms, {cold / warm:.0f}x faster")

    engine.submit([Pass(info, clips[0], lora=True)], title="benchmark").wait()
    raw = (3 * info.shape.layers + 1) * info.shape.frames * info.shape.width * _FLOAT32_BYTES
    sizes = [store.path(key).stat().st_size for key in Pass(info, clips[0], lora=True).keys(engine.precision)]
    share = [f"{size / 1e3:.0f} kB = {100 * size / raw:.2f} %" for size in (sizes[0], sum(sizes))]
    print(f"records: forward {share[0]}, with lora {share[1]} of {raw / 1e6:.1f} MB raw residual, attention, MLP")
    engine.close()


def _sound(info: ModelInfo, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return (0.1 * draw.standard_normal(info.shape.window_samples)).astype(np.float32)


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _in_turn(a: Callable[[], None], b: Callable[[], None], rounds: int) -> tuple[float, float, list[float]]:
    """Medians of both and each pair's ratio b / a. Who goes first alternates; a drifting machine harms both alike."""
    a()
    b()  # both warm
    first: list[float] = []
    second: list[float] = []
    for number in range(rounds):
        for run, times in ((a, first), (b, second))[:: 1 if number % 2 else -1]:
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
    ratios = [later / sooner for sooner, later in zip(first, second, strict=True)]
    return statistics.median(first), statistics.median(second), ratios


def _median_of(run: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.3f} (median of {len(ratios)}, {min(ratios):.3f} to {max(ratios):.3f})"


if __name__ == "__main__":
    main()
