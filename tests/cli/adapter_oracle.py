"""What spectra and CKA must be: plain PyTorch passes, whole matrices, full decompositions, all in float64.

Only what was drawn for untrained counterparts comes from the cache: nobody else can draw it.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise
from pathlib import Path

import numpy as np
import soundfile
import torch
from peft import PeftModel
from torch import nn
from transformers import WhisperFeatureExtractor

from core.engine.interface import ModelPass
from core.models.describe import describe_registry
from core.models.untrained import untrained_of
from core.store.key import Precision
from core.store.model import ModelRecord
from core.store.store import Store
from tests.analyses import textbook
from tests.capture.gradient_oracle import Gradients, run_gradients
from tests.capture.oracle import run_oracle
from tests.checkpoints import LABELS, classifier_over

ADAPTERS = {"LoRA": ("lora", 2), "Wide": ("wide", 3)}  # directory and seed of its head, as the shelf has them
SIDES = (("A", False), ("B", False), ("A", True), ("B", True))  # component, gradient
SCALARS = ("sv90", "top10", "effective_rank", "stable_rank")
Place = tuple[str, str, str, str, str, str]  # model, versus, layer, module, component, statistic: as in the CSV
Expected = dict[Place, float]


@dataclass
class Truth:
    """One model's numbers, trained or not, clip by clip; `weights` W and dW by module, nothing without LoRA."""

    name: str
    variant: str
    weights: dict[str, tuple[np.ndarray, np.ndarray]]
    ranks: dict[str, int]
    gradients: list[Gradients]
    streams: list[np.ndarray]  # points x frames x width
    audio: list[int]

    def parts(self, module: str, component: str, *, gradient: bool) -> list[np.ndarray]:
        names = {("A", False): "x", ("B", False): "y", ("A", True): "g_a", ("B", True): "g_b"}
        return [getattr(one, names[component, gradient])[module] for one in self.gradients]

    def stacked(self, module: str, component: str, *, gradient: bool) -> np.ndarray:
        parts = self.parts(module, component, gradient=gradient)
        cut = self.variant == "corrected"
        return np.concatenate([p[:n] if cut else p for p, n in zip(parts, self.audio, strict=True)])

    def features(self, module: str, component: str, *, gradient: bool) -> np.ndarray:
        parts = self.parts(module, component, gradient=gradient)
        if len(parts) == 1:
            return parts[0][: self.audio[0]]
        if self.variant == "corrected":
            return np.stack([part[:count].mean(axis=0) for part, count in zip(parts, self.audio, strict=True)])
        return np.stack([part.ravel() for part in parts])

    def point(self, point: int) -> np.ndarray:
        streams = [stream[point] for stream in self.streams]
        if len(streams) == 1:
            return streams[0][: self.audio[0]]
        cut = self.variant == "corrected"
        return np.stack([s[: n if cut else None].mean(axis=0) for s, n in zip(streams, self.audio, strict=True)])


@dataclass
class Bench:
    """Where models, what was drawn, and clips are."""

    shelf: Path
    registry: Path
    cache: Path

    def frozen(self, files: list[Path], labels: list[int | None], variant: str) -> Truth:
        return self._observe("Frozen", classifier_over(self.shelf / "base", 1), files, labels, variant)

    def adapted(self, name: str, files: list[Path], labels: list[int | None], variant: str, seeds: int) -> list[Truth]:
        """Trained, then untrained seed by seed."""
        found = [self._observe(name, self._load(name), files, labels, variant)]
        for seed in range(seeds):
            model = self._load(name)
            draw_again(model, self._drawn(name, variant, seed))
            title = f"{name} (untrained)" if seed == 0 else f"{name} (untrained, seed {seed})"
            found.append(self._observe(title, model, files, labels, variant))
        return found

    def _load(self, name: str) -> PeftModel:
        folder, seed = ADAPTERS[name]
        return PeftModel.from_pretrained(classifier_over(self.shelf / "base", seed), self.shelf / folder).eval()

    def _drawn(self, name: str, variant: str, seed: int) -> ModelRecord:
        """The untrained counterpart's A, B and head as the cache has them."""
        store = Store(self.cache, 1)
        (model,) = describe_registry(self.registry, store.index, names=[name]).models
        task = ModelPass(untrained_of(model, keep_head=variant == "corrected", seed=seed))
        arrays = store.read(task.keys(Precision())[0])
        assert arrays is not None
        return ModelRecord.from_arrays(arrays)

    def _observe(self, name: str, model: nn.Module, files: list[Path], labels: list[int | None], variant: str) -> Truth:
        extractor = WhisperFeatureExtractor.from_pretrained(self.shelf / "base")
        truth = Truth(name, variant, {}, {}, [], [], [])
        for key, module in model.double().named_modules():
            if hasattr(module, "get_delta_weight"):
                parts = key.split(".layers.")[1].split(".")
                place = f"{parts[0]}.{parts[-1]}"
                both = module.base_layer.weight, module.get_delta_weight("default")
                truth.weights[place] = tuple(one.detach().numpy() for one in both)
                truth.ranks[place] = module.r["default"]
        for file, label in zip(files, labels, strict=True):
            samples, rate = soundfile.read(file, dtype="float32")
            features = extractor(samples, sampling_rate=rate, return_tensors="pt").input_features[0]
            seen = run_oracle(model, features, len(samples))
            truth.streams.append(seen.stream)
            truth.audio.append(-(-len(samples) // 320))
            if truth.weights:
                target = int(seen.logits.argmax()) if label is None else label
                truth.gradients.append(run_gradients(deepcopy(model), features, target))  # it leaves hooks behind
        return truth


def draw_again(model: PeftModel, record: ModelRecord) -> None:
    """Put what was drawn into PEFT's model; the head as one affine map."""
    with torch.no_grad():
        for key, module in model.named_modules():
            if key.endswith((".lora_A.default", ".lora_B.default")):
                parts = key.split(".layers.")[1].split(".")
                weights = record.modules[f"{parts[0]}.{parts[-3]}"]
                module.weight.copy_(torch.from_numpy(weights.a if parts[-2] == "lora_A" else weights.b))
        classifier = model.get_base_model()
        width = record.head_weight.shape[1]
        classifier.projector, classifier.classifier = nn.Linear(width, width), nn.Linear(width, len(LABELS))
        classifier.projector.weight.copy_(torch.eye(width))
        classifier.projector.bias.zero_()
        classifier.classifier.weight.copy_(torch.from_numpy(record.head_weight))
        classifier.classifier.bias.copy_(torch.from_numpy(record.head_bias))


def expect_spectra(adapters: Sequence[list[Truth]]) -> Expected:
    """All rows. `adapters`: trained, then untrained seed by seed, of each adapter."""
    found: Expected = {}
    for models in adapters:
        for one in models:
            found |= _activations_and_gradients(one) | _weights(one)
        trained, first = models[:2]
        for component, gradient in SIDES:
            grad = "grad_" if gradient else ""
            sv90 = [found[one.name, "", "", "", component, f"{grad}sv90"] for one in (first, trained)]
            found[trained.name, first.name, "", "", component, f"{grad}efficiency"] = sv90[0] / sv90[1]
    for (mine, *_), (theirs, *_) in pairwise(adapters):
        found |= _subspaces(mine, theirs)
    return found


def _activations_and_gradients(one: Truth) -> Expected:
    found: Expected = {}
    for component, gradient in SIDES:
        tables = []
        wide = (component, gradient) == ("B", True)  # all others have as many directions as the rank
        length = max(w.shape[0] for w, _ in one.weights.values()) if wide else max(one.ranks.values())
        for module in one.weights:
            table = textbook.spectrum(one.stacked(module, component, gradient=gradient))
            curve = [value for name, value in table.items() if name.startswith("energy:")]
            curve = (curve + [1.0] * length)[: min(length, 128)]
            tables.append({name: value for name, value in table.items() if not name.startswith("energy:")})
            tables[-1] |= {f"energy:{k}": value for k, value in enumerate(curve, 1)}
        prefix = "grad_" if gradient else ""
        for name in tables[0]:
            values = {module: table[name] for module, table in zip(one.weights, tables, strict=True)}
            for module, value in values.items():
                found[one.name, "", module.split(".")[0], module, component, prefix + name] = value
            found[one.name, "", "", "", component, prefix + name] = np.mean(list(values.values()))
    return found


def _weights(one: Truth) -> Expected:
    found: Expected = {}
    means: dict[tuple[str, str], list[float]] = {}
    for module, (w, dw) in one.weights.items():
        layer, rank = module.split(".")[0], one.ranks[module]
        (u, _, vt), (u_dw, s_dw, vt_dw), (u_sum, _, _) = (np.linalg.svd(m) for m in (w, dw, w + dw))
        for component, matrix in (("dW", dw), ("W", w), ("W+dW", w + dw)):
            table = textbook.spectrum(matrix)
            for name in SCALARS:
                found[one.name, "", layer, module, component, name] = table[name]
                means.setdefault((component, name), []).append(table[name])
        curves = {
            "singular": s_dw,
            "energy": np.cumsum(s_dw**2) / (s_dw**2).sum(),
            "overlap_left": [np.linalg.norm(u[:, :k].T @ u_dw[:, :k]) ** 2 / k for k in range(1, rank + 1)],
            "overlap_right": [np.linalg.norm(vt[:k] @ vt_dw[:k].T) ** 2 / k for k in range(1, rank + 1)],
        }
        for name, curve in curves.items():
            for k in range(rank):
                found[one.name, "", layer, module, "dW", f"{name}:{k + 1}"] = curve[k]
        own = u[:, : min(w.shape)]  # where W is tall, the rest of a full basis are no directions of it
        cosines = np.abs(own.T @ u_sum[:, :10]).max(axis=0)
        found[one.name, "", layer, module, "dW", "intruders"] = (cosines < 0.5).sum()
    return found | {(one.name, "", "", "", component, name): np.mean(v) for (component, name), v in means.items()}


def _subspaces(mine: Truth, theirs: Truth) -> Expected:
    found: Expected = {}
    means: dict[str, list[float]] = {}
    for module in mine.weights.keys() & theirs.weights.keys():
        left, right = (np.linalg.svd(one.weights[module][1])[2] for one in (mine, theirs))
        for i in range(1, mine.ranks[module] + 1):
            for j in range(1, theirs.ranks[module] + 1):
                phi = np.linalg.norm(left[:i] @ right[:j].T) ** 2 / min(i, j)
                means.setdefault(f"subspace_mean:{i}:{j}", []).append(phi)
                if i == j:
                    found[mine.name, theirs.name, module.split(".")[0], module, "dW", f"subspace:{i}"] = phi
    return found | {(mine.name, theirs.name, "", "", "dW", name): np.mean(v) for name, v in means.items()}


def expect_cka(frozen: Truth, adapters: Sequence[list[Truth]]) -> Expected:
    """All rows but those of null bands, whose permutations are nobody else's."""
    found: Expected = {}
    variant = frozen.variant
    for models in adapters:
        for one in models:
            for gradient in (False, True):
                if variant != "released":
                    for kernel, end in (("linear", ""), ("rbf", "_rbf")):
                        found |= _alignment(one, one, "AB", gradient, kernel, ("grad_cka" if gradient else "cka") + end)
                elif gradient:
                    found |= _alignment(one, one, "AB", gradient, "rbf", "grad_cka")
        if variant == "released":
            found |= _alignment(*models[:2], "AA", False, "linear", "cka")
            found |= _alignment(*models[:2], "BB", False, "rbf", "cka")
    for one, other in combinations_with_replacement([frozen, *(models[0] for models in adapters)], 2):
        found |= _heatmap(one, other)
    return found


def _alignment(left: Truth, right: Truth, components: str, gradient: bool, kernel: str, statistic: str) -> Expected:
    found: Expected = {}
    versus = "" if left is right else right.name
    for module in left.weights:
        sides = zip((left, right), components, strict=True)
        x, y = (one.features(module, component, gradient=gradient) for one, component in sides)
        place = (left.name, versus, module.split(".")[0], module, "-".join(components), statistic)
        found[place] = textbook.cka(x, y, kernel, left.variant)
    return found


def _heatmap(one: Truth, other: Truth) -> Expected:
    found: Expected = {}
    name, hsic = ("biased", textbook.biased) if one.variant == "corrected" else ("unbiased", textbook.unbiased)
    sides = [[truth.point(p) for p in range(len(truth.streams[0]))] for truth in (one, other)]
    for statistic, kernel, estimator in (
        ("cka_layers", "linear", None),
        (f"cka_layers_{name}", "linear", hsic),
        ("cka_layers_rbf", "rbf", None),
    ):
        for p, x in enumerate(sides[0]):
            for q, y in enumerate(sides[1]):
                place = (one.name, other.name, str(p), str(q), "", statistic)
                found[place] = textbook.cka(x, y, kernel, one.variant, estimator)
    return found
