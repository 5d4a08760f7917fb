"""What the four analyses cost beside the passes they need: `python benchmarks/suite.py [--clips 16] [--rounds 3]`.

On random checkpoints of whisper-base's shape, a frozen encoder and LoRA r = 32 on v_proj, in one process:
contributions, lens, spectra with gradients and CKA (`published`) of 30 s clips, through the engine into a store on
disk, as `analyze` does it. Beside each batch that the engine runs, the bare pass of the same clips is timed, who goes
first in turn, so that a drifting machine harms both alike: for the frozen model a forward pass, for LoRA and its
untrained counterpart each a forward and a backward pass to what every LoRA matrix gives, in plain PyTorch
(transformers and PEFT). Loading models and a first batch of each kind are not counted. Everything else is, and of the
bare side nothing but the passes.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from transformers import WhisperFeatureExtractor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script sees only its own folder

from benchmarks.shapes import write_models
from core.analyses.adapters import adapted
from core.analyses.request import AnalysisRequest
from core.analyses.tidy import Table
from core.capture import forward, gradients
from core.capture.sets import SetSums
from core.corpora.clip import Clip
from core.engine.backend import Batch, Outcome
from core.engine.build import local_engine, worker_config
from core.engine.interface import ModelPass, SetPass
from core.engine.runner import Runner
from core.models.info import ModelInfo
from core.models.memory import Memory
from core.settings import read_settings
from core.store.partial import Partial
from core.store.store import Store
from core.studies.answers import answer
from core.studies.compute import Computed, tables
from core.studies.slices import WHOLE, Groups
from tests.checkpoints import LABELS, classifier_over

ASKED = ("contributions", "lens", "spectra", "cka")
SPEAKERS = 10
CHECKPOINTS = "checkpoints of sums"
# parts of the engine's time, by what is timed; `features` is a name in two modules
PARTS = {
    "features": ((forward, "features"), (gradients, "features")),
    "writing records": ((Store, "write"),),
    "gradients to disk": ((Partial, "write_row"),),
    CHECKPOINTS: ((SetSums, "save"),),
    "kernels of gradients": ((SetSums, "make_kernel"),),
}
Seconds = defaultdict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=16, help="30 s clips of each round")
    parser.add_argument("--rounds", type=int, default=3, help="whole runs, each with a cache of its own")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        models = write_models(root)
        bare = Bare(root)
        run_suite(root / "warm", models, bare, read_settings().batch_size)
        rounds = [run_suite(root / f"cache{i}", models, bare, arguments.clips) for i in range(arguments.rounds)]
    report(rounds, arguments.clips)


class Bare:
    """The passes alone, as a careful user would write them: what needs no gradient is frozen."""

    def __init__(self, root: Path) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._extractor = WhisperFeatureExtractor.from_pretrained(root / "base")
        self._plain = classifier_over(root / "base", 1).to(self._device).requires_grad_(False)
        lora = PeftModel.from_pretrained(classifier_over(root / "base", 1), str(root / "r32"))
        self._lora = lora.to(self._device).eval().requires_grad_(False)
        self._outputs: list[torch.Tensor] = []
        for name, module in self._lora.named_modules():
            if name.endswith(("lora_A.default", "lora_B.default")):
                module.register_forward_hook(self._want)

    def _want(self, module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> None:
        if not output.requires_grad:
            output.requires_grad_(True)
        output.retain_grad()
        self._outputs.append(output)

    def features(self, samples: Sequence[np.ndarray]) -> torch.Tensor:
        """Of a batch of clips, on the device."""
        made = self._extractor(list(samples), sampling_rate=self._extractor.sampling_rate, return_tensors="pt")
        return made.input_features.to(self._device)

    def forward(self, features: torch.Tensor) -> None:
        """Encoder and head."""
        with torch.inference_mode():
            self._plain(features)

    def backward(self, features: torch.Tensor, targets: torch.Tensor) -> None:
        """Encoder and head, loss, and its gradients at every LoRA matrix's output."""
        logits = self._lora(input_features=features).logits
        torch.nn.functional.cross_entropy(logits, targets, reduction="sum").backward()
        if any(output.grad is None for output in self._outputs):
            raise RuntimeError("the bare backward pass left a gradient out")
        self._outputs.clear()


@dataclass
class Round:
    """Seconds of one whole run: of batches' clips (engine, bare) by what they are of, and of all but these."""

    clips: defaultdict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    rest: Seconds = field(default_factory=lambda: Seconds(float))
    parts: Seconds = field(default_factory=lambda: Seconds(float))
    whole: float = 0.0  # without the bare passes and what they need

    def of_batches(self, side: int) -> float:
        """What all batches took, of the engine (0) or bare (1)."""
        return sum(pair[side] for pairs in self.clips.values() for pair in pairs)


class InTurn:
    """The engine's backend: a Runner in this process, and beside each of its batches of clips the bare pass of them."""

    restarts = 0

    def __init__(self, runner: Runner, bare: Bare, times: Round) -> None:
        self._runner, self._bare, self._times = runner, bare, times
        self._count = 0
        self.apart = 0.0  # seconds that are not the engine's

    @property
    def memory(self) -> Memory:
        return self._runner.memory

    def run(self, batch: Batch) -> Sequence[Outcome]:
        what = _what(batch)
        outcomes: list[Outcome] = []

        def real() -> float:
            start, saving = time.perf_counter(), self._times.parts[CHECKPOINTS]
            outcomes.extend(self._runner.run(batch))
            _finish()
            # seldom, so that they are counted whole and not in a median
            saving = self._times.parts[CHECKPOINTS] - saving
            self._times.rest[CHECKPOINTS] += saving
            return time.perf_counter() - start - saving

        if not batch.samples:
            self._times.rest[what] += real()
            return outcomes
        start = time.perf_counter()
        bare = self._bare_pass(batch)
        self.apart += time.perf_counter() - start
        self._count += 1
        if self._count % 2:
            mine, theirs = real(), _seconds(bare)
        else:
            theirs, mine = _seconds(bare), real()
        self.apart += theirs
        count = len(batch.samples)
        self._times.clips[what] += [(mine / count, theirs / count)] * count
        return outcomes

    def _bare_pass(self, batch: Batch) -> Callable[[], None]:
        features = self._bare.features(batch.samples)
        task = batch.passes[0]
        if not isinstance(task, SetPass):
            return lambda: self._bare.forward(features)
        targets = torch.tensor([task.targets[i] for i in batch.positions], device=features.device)
        return lambda: self._bare.backward(features, targets)

    def check(self, model: ModelInfo) -> str | None:
        return self._runner.check(model)

    def start(self) -> None:
        self._runner.start()

    def close(self) -> None:
        self._runner.close()


def run_suite(cache: Path, models: Sequence[ModelInfo], bare: Bare, count: int) -> Round:
    """One whole run into an empty cache."""
    times = Round()
    settings = read_settings(cache_dir=cache)
    store = Store(settings.cache_dir, settings.cache_max_gb)
    window = models[0].shape.window_samples
    clips = tuple(
        Clip(f"{i:064d}", f"{i}.wav", window, label=LABELS[i % len(LABELS)], speaker=f"S{i % SPEAKERS}")
        for i in range(count)
    )
    sounds = {clip.clip_id: _sound(i, window) for i, clip in enumerate(clips)}
    request = AnalysisRequest(tuple(models), clips, models[0].name)
    backend = InTurn(Runner(worker_config(settings)), bare, times)
    engine = local_engine(settings, store, lambda clip: sounds[clip.clip_id], backend)
    for model in {m for trained, untrained in adapted(request) for m in (trained, *untrained)} | {*models}:
        if reason := engine.check(model):
            raise RuntimeError(reason)

    def compute(names: Sequence[str], groups: Groups) -> Computed[Table]:
        found: dict[str, Table] = {}
        for name in names:
            start = time.perf_counter()
            found |= tables([name], groups, store, engine.precision).results[WHOLE]
            times.rest[f"compute {name}"] = time.perf_counter() - start
        return Computed({WHOLE: found}, ())

    with parts_timed(times.parts):
        start = time.perf_counter()
        answers = answer(ASKED, request, engine, store, compute)
        times.whole = time.perf_counter() - start - backend.apart
    times.rest["queue"] = times.whole - sum(times.rest.values()) - times.of_batches(0)
    if answers.failures:
        raise RuntimeError(answers.failures[0].reason)
    engine.close()
    return times


@contextmanager
def parts_timed(times: Seconds) -> Iterator[None]:
    """Note how long each of PARTS takes."""
    before = [(owner, name, getattr(owner, name)) for places in PARTS.values() for owner, name in places]
    for part, places in PARTS.items():
        for owner, name in places:
            setattr(owner, name, _timed(getattr(owner, name), times, part))
    try:
        yield
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def _timed(function: Callable[..., Any], times: Seconds, part: str) -> Callable[..., Any]:
    def run(*positional: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*positional, **named)
        finally:
            times[part] += time.perf_counter() - start

    return run


def _what(batch: Batch) -> str:
    task = batch.passes[0]
    if isinstance(task, ModelPass):
        return "weights"
    if not isinstance(task, SetPass):
        return f"{task.model.name}, forward"
    return f"{task.model.name}, forward + backward" if batch.samples else "beginnings and ends of sets"


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    _finish()
    return time.perf_counter() - start


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _sound(seed: int, samples: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def report(rounds: Sequence[Round], count: int) -> None:
    """The breakdown: of batches the median over all of them, of the rest the median over rounds."""
    print(f"{count} clips of 30 s, {len(rounds)} rounds, seconds a round (medians)")
    suite = passes = 0.0
    for what in rounds[0].clips:
        pairs = [pair for one in rounds for pair in one.clips[what]]
        mine, theirs = (count * statistics.median(side) for side in zip(*pairs, strict=True))
        _line(what, mine, f"   bare {theirs:7.2f}   ratio {mine / theirs:.3f}")
        suite, passes = suite + mine, passes + theirs
    for what in rounds[0].rest:
        seconds = statistics.median(one.rest[what] for one in rounds)
        _line(what, seconds)
        suite += seconds
    for part in PARTS:
        _line(f"  in all of these, {part}", statistics.median(one.parts[part] for one in rounds))
    plain = ", ".join(f"{one.whole / one.of_batches(1):.3f}" for one in rounds)
    print(f"suite {suite:.2f} s over bare passes {passes:.2f} s: {suite / passes:.3f} (plain sums by round: {plain})")


def _line(what: str, seconds: float, more: str = "") -> None:
    print(f"  {what:42} {seconds:7.2f}{more}")


if __name__ == "__main__":
    main()
