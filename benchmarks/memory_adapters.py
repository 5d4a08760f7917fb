"""What three adapters cost beside their base: `python benchmarks/memory_adapters.py [--rounds 10]`.

A frozen encoder of whisper-base's shape (random) and LoRA r = 8, 32 and 64 on its v_proj, in one process, beside four
full models of the same shape, each with an encoder of its own:
1. bytes of weights, counted tensor by tensor where they lie, and how much this process grew;
2. seconds to switch between models that were used before, to load a full model, and to run one forward pass on one clip
   (encoder and head), in turn; medians.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a script sees only its own folder

from core.capture.forward import features
from core.models.describe import describe_registry
from core.models.info import ModelInfo
from core.models.loading import LoadedModel, Loader
from core.store.index import Index
from tests.checkpoints import (
    LABELS,
    base_config,
    classifier_over,
    save_adapter,
    save_base,
    save_extractor,
    save_head,
    write_registry,
)

RANKS = (8, 32, 64)
ALLOWED_BYTES, ALLOWED_SECONDS = 0.15, 0.05  # of the backbone's bytes; of a forward pass
_MB = 1e6
_PAGES = Path("/proc/self/statm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="timed rounds of switches and passes")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as directory:
        shared, full = write_registries(Path(directory))
        Loader(device, torch.float32).get(shared[0])  # what the libraries need once is no model's
        loader = Loader(device, torch.float32)
        frozen = weigh("frozen encoder and head", loader, shared[:1])
        alone, backbone = weight(frozen), sum(tensor.nbytes for tensor in frozen[0].base.backbone.parameters())
        models = weigh("with r = 8, 32 and 64 beside it", loader, shared)
        added = weight(models) - alone
        print(
            f"the three adapters with their heads add {added / _MB:.2f} MB to a backbone of {backbone / _MB:.1f} MB: "
            f"{100 * added / backbone:.2f} % (allowed: {100 * ALLOWED_BYTES:.0f} %)"
        )
        if loader.memory.used_bytes != weight(models):
            raise RuntimeError(f"the loader says {loader.memory.used_bytes} bytes, there are {weight(models)}")
        weigh("four full models", Loader(device, torch.float32), full)
        compare_times(loader, shared, full[0], device, arguments.rounds)


def write_registries(directory: Path) -> tuple[tuple[ModelInfo, ...], tuple[ModelInfo, ...]]:
    """Models over one base, and as many full ones."""
    base = save_base(directory / "base", base_config())
    save_head(directory / "head", base)
    over_base: list[dict[str, object]] = [{"name": "frozen", "base": "base", "head": "head"}]
    for rank in RANKS:
        save_adapter(directory / f"r{rank}", base, r=rank, lora_alpha=2 * rank, target_modules=["v_proj"])
        over_base.append({"name": f"LoRA r={rank}", "base": "base", "adapter": f"r{rank}", "labels": LABELS})
    whole: list[dict[str, object]] = []
    for seed in range(len(over_base)):
        other = save_base(directory / f"other{seed}", base_config(), seed=seed + 1)
        classifier_over(other, seed).save_pretrained(directory / f"full{seed}")
        save_extractor(directory / f"full{seed}", base_config())
        whole.append({"name": f"full {seed}", "base": f"full{seed}"})
    index = Index(directory / "index.sqlite")
    found = [
        describe_registry(write_registry(directory / name, entries), index).models
        for name, entries in (("shared.toml", over_base), ("full.toml", whole))
    ]
    return found[0], found[1]


def weigh(what: str, loader: Loader, infos: Sequence[ModelInfo]) -> list[LoadedModel]:
    """Load them all; print what they take and how much more this process holds."""
    before, start = _held(loader.device), time.perf_counter()
    models = [loader.get(info) for info in infos]
    seconds, grown = time.perf_counter() - start, _held(loader.device) - before
    print(f"{what}: {weight(models) / _MB:.1f} MB of weights, memory grew by {grown / _MB:.1f} MB in {seconds:.2f} s")
    return models


def weight(models: Sequence[LoadedModel]) -> int:
    """Bytes of all weights, those that are shared once."""
    return sum(tensor.nbytes for tensor in _tensors(models))


def compare_times(
    loader: Loader, infos: Sequence[ModelInfo], full: ModelInfo, device: torch.device, rounds: int
) -> None:
    """A switch to each model in turn, each followed by a pass; once a round, a full model loaded anew."""
    clip = (0.1 * np.random.default_rng(0).standard_normal(infos[0].shape.window_samples)).astype(np.float32)
    inputs = features(loader.get(infos[0]), [clip])
    switches, passes, loads = [], [], []

    def switch(info: ModelInfo) -> LoadedModel:
        model = loader.get(info)
        model.base.activate(model.adapter)
        return model

    def run(model: LoadedModel) -> Tensor:
        with torch.inference_mode():
            return model.head(model.base.backbone(inputs))

    for info in infos:  # first use
        run(switch(info))
    for _ in range(rounds):
        for info in infos:
            switches.append(_seconds(partial(switch, info), device))
            model = loader.get(info)
            passes.append(_seconds(partial(run, model), device))
        loads.append(_seconds(lambda: Loader(device, torch.float32).get(full), device))
    switched, passed, loaded = map(statistics.median, (switches, passes, loads))
    print(f"forward pass {1000 * passed:.1f} ms (medians of {len(passes)}, full model {len(loads)}; in turn)")
    print(
        f"switching between adapters {1000 * switched:.3f} ms: {100 * switched / passed:.2f} % of a pass "
        f"(allowed: {100 * ALLOWED_SECONDS:.0f} %; at the most {1000 * max(switches):.2f} ms)"
    )
    print(f"loading a full model instead {1000 * loaded:.0f} ms: {100 * loaded / passed:.0f} % of a pass")


def _tensors(models: Sequence[LoadedModel]) -> list[Tensor]:
    """All weights of these models, each once, wherever several hold it."""
    held = (
        tensor
        for model in models
        for module in (model.base.backbone, model.head.projector, model.head.classifier)
        for tensor in (*module.parameters(), *module.buffers())
    )
    return list({(tensor.data_ptr(), tensor.nbytes): tensor for tensor in held}.values())


def _held(device: torch.device) -> int:
    """Bytes this process holds: of the GPU's memory, else resident, where the system says."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return int(_PAGES.read_text().split()[1]) * resource.getpagesize() if _PAGES.is_file() else 0


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
