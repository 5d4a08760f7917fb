"""`analyze spectra,cka` end to end, against plain PyTorch and whole matrices in float64."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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
from tests.cli.command import Answer, Rows, pick, rows, run_json

Quick = Callable[..., Answer]
ADAPTERS = {"LoRA": ("lora", 2), "Wide": ("wide", 3)}  # directory and seed of its head, as the shelf has them
VARIANTS = ("published", "released", "corrected")


@dataclass
class Truth:
    """The oracle's numbers of one model, trained or not, clip by clip in the order of `clips`."""

    gradients: list[Gradients]
    means: list[np.ndarray]
    audio: list[int]

    def parts(self, module: str, component: str, *, gradient: bool) -> list[np.ndarray]:
        names = {("A", False): "x", ("B", False): "y", ("A", True): "g_a", ("B", True): "g_b"}
        return [getattr(one, names[component, gradient])[module] for one in self.gradients]

    def stacked(self, module: str, component: str, *, gradient: bool, variant: str) -> np.ndarray:
        parts = self.parts(module, component, gradient=gradient)
        return np.concatenate([p[:n] if variant == "corrected" else p for p, n in zip(parts, self.audio, strict=True)])

    def features(self, module: str, component: str, *, gradient: bool, variant: str) -> np.ndarray:
        parts = self.parts(module, component, gradient=gradient)
        if len(parts) == 1:
            return parts[0][: self.audio[0]]
        if variant == "corrected":
            return np.stack([part[:count].mean(axis=0) for part, count in zip(parts, self.audio, strict=True)])
        return np.stack([part.ravel() for part in parts])


@pytest.fixture
def run(quick: Quick, registry: Path, voices: Path, tmp_path: Path) -> Callable[..., Path]:
    """`analyze spectra,cka` of three models; the folder with its files."""

    def analyze(variant: str, clips: object = None, out: str = "out", what: str = "spectra,cka") -> Path:
        clips = clips or f"folder:{voices}"
        words = ("--models", "Frozen,LoRA,Wide", "--clips", clips, "--registry", registry, "--out", tmp_path / out)
        assert quick("analyze", what, *words, "--variant", variant) == Answer(0, "", "")
        return tmp_path / out

    return analyze


@pytest.fixture
def truth(shelf: Path, registry: Path, tmp_path: Path) -> Callable[..., Truth]:
    """The oracle over some sound files; what was drawn for the untrained comes from the cache."""

    def of(name: str, files: list[Path], labels: list[int | None], *, variant: str, untrained: bool = False) -> Truth:
        model = adapted(shelf, name)
        if untrained:
            draw_again(model, drawn(registry, tmp_path / "cache", name, variant))
        return observe(model, shelf, files, labels)

    return of


def adapted(shelf: Path, name: str) -> PeftModel:
    folder, seed = ADAPTERS[name]
    return PeftModel.from_pretrained(classifier_over(shelf / "base", seed), shelf / folder).eval()


def drawn(registry: Path, cache: Path, name: str, variant: str) -> ModelRecord:
    """The untrained counterpart's A, B and head as the cache has them."""
    store = Store(cache, 1)
    (model,) = describe_registry(registry, store.index, names=[name]).models
    task = ModelPass(untrained_of(model, keep_head=variant == "corrected"))
    arrays = store.read(task.keys(Precision())[0])
    assert arrays is not None
    return ModelRecord.from_arrays(arrays)


def draw_again(model: PeftModel, record: ModelRecord) -> None:
    """Put them into PEFT's model; the head as one affine map."""
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


def observe(model: nn.Module, shelf: Path, files: list[Path], labels: list[int | None]) -> Truth:
    extractor = WhisperFeatureExtractor.from_pretrained(shelf / "base")
    gradients, means, audio = [], [], []
    for file, label in zip(files, labels, strict=True):
        samples, rate = soundfile.read(file, dtype="float32")
        features = extractor(samples, sampling_rate=rate, return_tensors="pt").input_features[0]
        seen = run_oracle(model, features, len(samples))
        means.append(seen.mean_raw)
        audio.append(-(-len(samples) // 320))
        target = int(seen.logits.argmax()) if label is None else label
        gradients.append(run_gradients(deepcopy(model), features, target))  # it leaves hooks behind
    return Truth(gradients, means, audio)


def number(table: Rows, **wanted: str) -> float:
    (row,) = pick(table, **wanted)
    return float(row["value"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_against_plain_pytorch(run: Any, truth: Any, voices: Path, variant: str) -> None:
    """Six targets and two, ranks 3 and 5, trained and untrained, forward and backward."""
    out = run(variant)
    spectra, cka = rows(out / "spectra.csv"), rows(out / "cka.csv")
    listed = rows(voices / "metadata.csv")
    files = [voices / row["file_name"] for row in listed]
    labels = [LABELS.index(row["label"]) for row in listed]
    for name in ADAPTERS:
        sides = {
            name: truth(name, files, labels, variant=variant),
            f"{name} (untrained)": truth(name, files, labels, variant=variant, untrained=True),
        }
        for model, one in sides.items():
            for module in one.gradients[0].x:
                check_spectra(spectra, one, model, module, variant)
                if variant != "released":
                    check_alignment(cka, one, one, model, module, variant)
        if variant == "released":
            check_released(cka, sides, name)
        check_heatmap(cka, sides[name], name, variant)


def check_spectra(table: Rows, one: Truth, model: str, module: str, variant: str) -> None:
    for component in "AB":
        for gradient in (False, True):
            wanted = textbook.spectrum(one.stacked(module, component, gradient=gradient, variant=variant))
            rank = len(textbook.spectrum(one.stacked(module, "A", gradient=False, variant=variant))) - 5
            for statistic, value in wanted.items():
                if statistic.startswith("energy:") and int(statistic[7:]) > rank:
                    continue
                prefix = "grad_" if gradient else ""
                place = {"model": model, "module": module, "component": component, "statistic": prefix + statistic}
                assert textbook.close(number(table, **place), value, 1e-3), (place, value)


def check_alignment(table: Rows, left: Truth, right: Truth, model: str, module: str, variant: str) -> None:
    for gradient in (False, True):
        x = left.features(module, "A", gradient=gradient, variant=variant)
        y = right.features(module, "B", gradient=gradient, variant=variant)
        for kernel, suffix in (("linear", ""), ("rbf", "_rbf")):
            statistic = ("grad_cka" if gradient else "cka") + suffix
            place = {"model": model, "module": module, "component": "A-B", "statistic": statistic}
            assert textbook.close(number(table, **place), textbook.cka(x, y, kernel, variant)), place


def check_released(table: Rows, sides: dict[str, Truth], name: str) -> None:
    trained, untrained = sides.values()
    for module in trained.gradients[0].x:
        for component, kernel in (("A", "linear"), ("B", "rbf")):
            x, y = (s.features(module, component, gradient=False, variant="released") for s in (trained, untrained))
            place = {"model": name, "versus": f"{name} (untrained)", "module": module, "statistic": "cka"}
            got = number(table, component=f"{component}-{component}", **place)
            assert textbook.close(got, textbook.cka(x, y, kernel, "released")), place
        for model, one in sides.items():
            x, y = (one.features(module, c, gradient=True, variant="released") for c in "AB")
            place = {"model": model, "module": module, "component": "A-B", "statistic": "grad_cka"}
            assert textbook.close(number(table, **place), textbook.cka(x, y, "rbf", "released")), place


def check_heatmap(table: Rows, one: Truth, name: str, variant: str) -> None:
    chosen = 1 if variant == "corrected" else 0
    for row in pick(table, model=name, versus=name, statistic="cka_layers"):
        x, y = (np.stack([m[chosen, int(row[axis])] for m in one.means]) for axis in ("layer", "module"))
        assert textbook.close(float(row["value"]), textbook.cka(x, y, "linear", variant))


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_one_unlabelled_clip_alone(run: Any, truth: Any, voices: Path, variant: str) -> None:
    """Its audio frames are rows, and its gradient is of the class that the model predicts, which must come first."""
    clip = voices / "clip5.wav"
    out = run(variant, clip)
    spectra, cka = rows(out / "spectra.csv"), rows(out / "cka.csv")
    for model, untrained in (("LoRA", False), ("LoRA (untrained)", True)):
        one = truth("LoRA", [clip], [None], variant=variant, untrained=untrained)
        for module in one.gradients[0].x:
            check_spectra(spectra, one, model, module, variant)
            if variant == "published":
                check_alignment(cka, one, one, model, module, variant)
    assert len(pick(cka, model="Frozen", versus="LoRA", statistic="cka_layers")) == 16
    assert {row["n"] for row in cka} == {str(one.audio[0])}
    notes = {note["about"]: note["reason"] for note in run_json(out)["notes"]}
    assert "own prediction" in notes["LoRA gradients"] and "frames of one clip" in notes["cka"]


def test_nothing_depends_on_batches_or_a_warm_cache(
    run: Any, quick: Quick, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = run("published")
    again = run("published", out="again")
    assert run_json(again)["cache"]["misses"] == 0
    for name in ("spectra.csv", "cka.csv"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    monkeypatch.setenv("LORASCOPE_CACHE_DIR", str(tmp_path / "other"))
    monkeypatch.setenv("LORASCOPE_BATCH_SIZE", "3")
    other = run("published", out="other-out")
    for name in ("spectra.csv", "cka.csv"):
        for mine, theirs in zip(rows(first / name), rows(other / name), strict=True):
            if mine["value"]:
                assert textbook.close(float(theirs["value"]), float(mine["value"]), 1e-3), mine


def test_damaged_records_of_every_kind_are_made_again(run: Any, tmp_path: Path) -> None:
    first = run("published")
    for record in sorted((tmp_path / "cache").rglob("*.safetensors"))[::3]:
        data = bytearray(record.read_bytes())
        data[-9] ^= 4
        record.write_bytes(data)
    again = run("published", out="again")
    assert run_json(again)["cache"]["misses"] > 0
    for name in ("spectra.csv", "cka.csv"):
        for mine, theirs in zip(rows(first / name), rows(again / name), strict=True):
            if mine["value"]:
                assert textbook.close(float(theirs["value"]), float(mine["value"]), 1e-3), mine
