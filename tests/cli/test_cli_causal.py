"""`analyze causal` against plain PyTorch in float64: hooks and zeroed weights on transformers' and PEFT's classes."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import WhisperFeatureExtractor

from core.cli import arguments
from tests.capture.oracle import FRAME_SAMPLES, close, run_oracle
from tests.checkpoints import LABELS, classifier_over
from tests.cli.command import Answer, Rows, pick, rows, run_json
from tests.conftest import save_sound

LAYERS = 3
CLIPS = (("a.wav", "anger", "S0", 0.4), ("b.wav", "neutral", "S0", 0.68), ("c.wav", "sadness", "S1", 0.5))
LABEL = np.array([LABELS.index(label) for _, label, _, _ in CLIPS])
Run = dict[str, Tensor]  # what a layer's components give, by `<layer> <component>`; LoRA's update by its target


@dataclass
class Twin:
    """The adapter `Wide` (six targets) as PEFT loads it, in float64, and the clips' features."""

    model: PeftModel
    sounds: list[Tensor]
    audio: list[int]

    @classmethod
    def of(cls, shelf: Path, folder: Path) -> "Twin":
        model = PeftModel.from_pretrained(classifier_over(shelf / "base", 3), shelf / "wide").double().eval()
        extractor = WhisperFeatureExtractor.from_pretrained(shelf / "base")
        found = [soundfile.read(folder / name, dtype="float32")[0] for name, *_ in CLIPS]
        features = [extractor(one, sampling_rate=16_000, return_tensors="pt").input_features.double() for one in found]
        return cls(model, features, [-(-one.size // FRAME_SAMPLES) for one in found])

    @property
    def layers(self) -> nn.ModuleList:
        return self.model.get_base_model().encoder.layers

    def adapted(self) -> Iterator[tuple[int, str, nn.Module]]:
        for i, layer in enumerate(self.layers):
            yield from ((i, name, one) for name, one in layer.named_modules() if hasattr(one, "get_delta_weight"))

    def logits(self, clip: int) -> np.ndarray:
        with torch.no_grad():
            return self.model(input_features=self.sounds[clip]).logits[0].numpy()

    def of_all(self) -> np.ndarray:
        return np.stack([self.logits(clip) for clip in range(len(CLIPS))])

    @contextmanager
    def without(self, off: Iterable[int]) -> Iterator[None]:
        """LoRA's B is zero at these layers."""
        gone = {one.lora_B["default"]: None for layer, _, one in self.adapted() if layer in set(off)}
        with self._weights({b: torch.zeros_like(b.weight) for b in gone}):
            yield

    @contextmanager
    def cut(self, rank: int) -> Iterator[None]:
        """B A is its best approximation of that rank."""
        new = {}
        for _, _, one in self.adapted():
            a, b = one.lora_A["default"], one.lora_B["default"]
            u, s, v = torch.linalg.svd(b.weight.detach() @ a.weight.detach(), full_matrices=False)
            s[rank:] = 0.0
            size = a.weight.shape[0]
            new |= {a: v[:size], b: u[:, :size] * s[:size]}
        with self._weights(new):
            yield

    @contextmanager
    def _weights(self, new: dict[nn.Module, Tensor]) -> Iterator[None]:
        own = {module: module.weight.data for module in new}
        for module, weight in new.items():
            module.weight.data = weight
        yield
        for module, weight in own.items():
            module.weight.data = weight

    @contextmanager
    def hooked(self, hooks: Sequence[tuple[nn.Module, Callable]]) -> Iterator[None]:
        with ExitStack() as stack:
            for module, hook in hooks:
                stack.callback(module.register_forward_hook(hook).remove)
            yield

    def erased(self, gone: Iterable[int]) -> np.ndarray:
        """Layers that give back what they read."""
        with self.hooked([(self.layers[i], lambda module, args, out: args[0]) for i in gone]):
            return self.of_all()

    def seen(self, clip: int) -> tuple[np.ndarray, Run]:
        """A run's logits, and what every component gave."""
        run: Run = {}

        def keep(name: str, of: Callable) -> Callable:
            return lambda module, args, out: run.__setitem__(name, of(module, args, out)[0].clone())

        hooks = []
        for i, layer in enumerate(self.layers):
            hooks.append((layer.self_attn, keep(f"{i} attention", lambda module, args, out: out[0])))
            hooks.append((layer.fc2, keep(f"{i} mlp", lambda module, args, out: out)))
            hooks.append((layer, keep(f"{i} residual", lambda module, args, out: out)))
        for i, name, one in self.adapted():
            hooks.append((one, keep(f"{i} {name}", lambda module, args, out: out - module.base_layer(args[0]))))
        with self.hooked(hooks):
            return self.logits(clip), run

    def patched(self, clip: int, layer: int, component: str, run: Run, frames: Tensor) -> tuple[np.ndarray, Tensor]:
        """Logits, and the layer's output, where at these frames a component gives what it gave in `run`."""

        def put(name: str) -> Callable:
            def hook(module: nn.Module, args: tuple, out: Tensor | tuple) -> Tensor | tuple:
                new = (out[0] if isinstance(out, tuple) else out).clone()
                new[0, frames] = run[f"{layer} {name}"][frames]
                return (new, *out[1:]) if isinstance(out, tuple) else new

            return hook

        def add(name: str) -> Callable:
            def hook(module: nn.Module, args: tuple, out: Tensor) -> Tensor:
                new = out.clone()
                new[0, frames] = (module.base_layer(args[0])[0] + run[f"{layer} {name}"])[frames]
                return new

            return hook

        one = self.layers[layer]
        if component == "lora":
            hooks = [(module, add(name)) for i, name, module in self.adapted() if i == layer]
        else:
            hooks = [({"attention": one.self_attn, "mlp": one.fc2, "residual": one}[component], put(component))]
        after: list[Tensor] = []
        hooks.append((one, lambda module, args, out: after.append(out[0].clone())))
        with self.hooked(hooks):
            return self.logits(clip), after[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of two speakers; the first two say the same."""
    folder = tmp_path_factory.mktemp("said")
    for i, (name, _, _, seconds) in enumerate(CLIPS):
        save_sound(folder / name, seconds, i)
    words = ("It is late.", "it is late", "it is late")
    with (folder / "metadata.csv").open("w", newline="") as file:
        table = [(*clip[:3], said) for clip, said in zip(CLIPS, words, strict=True)]
        csv.writer(file).writerows([("file_name", "label", "speaker", "transcript"), *table])
    return folder


@pytest.fixture(scope="module")
def twin(shelf: Path, folder: Path) -> Twin:
    return Twin.of(shelf, folder)


@pytest.fixture
def analyze(quick: Callable[..., Answer], registry: Path, folder: Path, tmp_path: Path) -> Callable[..., Rows]:
    """The rows of a run into `out`."""

    def run(*options: object, models: str = "Wide") -> Rows:
        words = ("--models", models, "--clips", f"folder:{folder}", "--registry", registry, "--out", tmp_path / "out")
        assert quick("analyze", "causal", *words, *options) == Answer(0, "", "")
        return rows(tmp_path / "out" / "causal.csv")

    return run


def value(table: Rows, **wanted: object) -> float:
    (row,) = pick(table, **{name: str(one) for name, one in wanted.items()})
    return float(row["value"])


def probability(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (p / p.sum(axis=1, keepdims=True))[np.arange(len(label)), label]


def contrast(logits: np.ndarray, label: np.ndarray, other: np.ndarray) -> np.ndarray:
    return logits[np.arange(len(label)), label] - logits[np.arange(len(label)), other]


def best_other(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    return np.array(
        [max(set(range(len(LABELS))) - {i}, key=lambda c: x[c]) for x, i in zip(logits, label, strict=True)]
    )


def test_layers_are_what_zeroed_weights_and_hooks_give(
    analyze: Callable[..., Rows], twin: Twin, tmp_path: Path
) -> None:
    """Every switch but the drawn factors, whose draw is nobody else's; the dial, rank truncation, what LoRA writes."""
    table = analyze("--causal", "layers")
    intact = twin.of_all()
    with twin.without(range(LAYERS)):
        off = twin.of_all()
    other = best_other(off, LABEL)
    high, low = contrast(intact, LABEL, other), contrast(off, LABEL, other)
    kept = np.abs(high - low) >= 0.1
    assert kept.any() and value(table, component="intact", statistic="undefined") == (~kept).sum()
    for component, logits in (("intact", intact), ("off", off)):
        assert close(value(table, component=component, statistic="contrast"), contrast(logits, LABEL, other).mean())
    expected = {("", "intact"): intact, ("", "off"): off, ("", "rank:3"): intact}
    for rank in (1, 2):
        with twin.cut(rank):
            expected["", f"rank:{rank}"] = twin.of_all()
    for layer in range(LAYERS):
        up_to, on_from = range(layer + 1), range(layer, LAYERS)
        expected[str(layer), "erase"] = twin.erased([layer])
        expected[str(layer), "erase_first"] = twin.erased(up_to)
        expected[str(layer), "erase_last"] = twin.erased(on_from)
        everything = set(range(LAYERS))
        of = {"without": {layer}, "only": everything - {layer}}
        of |= {"first": everything - set(up_to), "last": everything - set(on_from)}
        for component, gone in of.items():
            with twin.without(gone):
                logits = expected[str(layer), component] = twin.of_all()
            now = contrast(logits, LABEL, other)
            name, part = ("lost", high - now) if component == "without" else ("restored", now - low)
            share = value(table, layer=layer, component=component, statistic=f"{name}_share")
            assert close(share, (part / (high - low))[kept].mean()), (layer, component)
    for (layer, component), logits in expected.items():
        place = {"layer": layer, "component": component}
        p = probability(logits, LABEL)
        assert close(value(table, **place, statistic="confidence"), p.mean()), place
        assert close(value(table, **place, statistic="loss"), -np.log(p).mean()), place
        assert value(table, **place, statistic="accuracy") == pytest.approx((logits.argmax(axis=1) == LABEL).mean())
        if component not in ("intact", "off"):
            change = value(table, **place, statistic="confidence_change")
            assert change == pytest.approx((p - probability(intact, LABEL)).mean(), abs=1e-6), place
    writes = []
    for gone in ((), range(LAYERS)):
        with twin.without(gone):
            pairs = zip(twin.sounds, twin.audio, strict=True)
            writes.append([run_oracle(twin.model, one[0], n * FRAME_SAMPLES).relative[0, 2] for one, n in pairs])
    change = np.mean(np.array(writes[0]) - np.array(writes[1]), axis=0)
    got = [value(table, layer=layer, component="write", statistic="relative_change") for layer in range(LAYERS)]
    assert got == pytest.approx(change, abs=1e-6)
    # the same from what was kept, to the byte
    first = (tmp_path / "out" / "causal.csv").read_bytes()
    analyze("--causal", "layers")
    assert run_json(tmp_path / "out")["cache"] == {"hits": len(CLIPS) * (1 + 3 + LAYERS), "misses": 0}
    assert (tmp_path / "out" / "causal.csv").read_bytes() == first


def mapped(count: int, onto: int, total: int) -> Tensor:
    """The frame of the other run at each frame of one that has sound for `count` frames (and any of the rest)."""
    exact = [min(onto - 1, round(t * (onto - 1) / (count - 1))) for t in range(count)]
    return torch.tensor(exact + [0] * (total - count))


@pytest.mark.parametrize("pairing", ["dial", "minimal"])
def test_patches_are_what_hooks_give(analyze: Callable[..., Rows], twin: Twin, tmp_path: Path, pairing: str) -> None:
    """Both ways, every component and layer: one clip with LoRA on and off over all frames, and over the frames that
    hold sound two clips of different length."""
    frames = "all" if pairing == "dial" else "audio"
    table = analyze("--causal", "patching", "--pairs", pairing, "--frames", frames, models="Wide,Frozen")
    run = run_json(tmp_path / "out")
    assert (run["causal"], run["pairs"], run["span_s"]) == (["patching"], pairing, None)
    table = pick(table, model="Wide", versus=pairing)
    clips = range(len(CLIPS)) if pairing == "dial" else (0, 1)
    sources = {0: 1, 1: 0} if pairing == "minimal" else {i: i for i in clips}
    label = LABEL[list(clips)]
    dialled = range(LAYERS) if pairing == "dial" else ()
    clean = {i: twin.seen(i) for i in clips}
    with twin.without(dialled):
        corrupt = {i: twin.seen(sources[i]) for i in clips}
    both = [np.stack([one[i][0] for i in clips]) for one in (clean, corrupt)]
    other = best_other(both[1], label) if pairing == "dial" else LABEL[[sources[i] for i in clips]]
    high, low = (contrast(logits, label, other) for logits in both)
    kept = np.abs(high - low) >= 0.1
    assert kept.any() and value(table, component="clean", statistic="undefined") == (~kept).sum()
    assert value(table, component="clean", statistic="pairs") == len(clips)
    for name, logits in zip(("clean", "corrupt"), both, strict=True):
        assert close(value(table, component=name, statistic="probability"), probability(logits, label).mean())
        assert close(value(table, component=name, statistic="contrast"), contrast(logits, label, other).mean())
    total = clean[0][1]["0 residual"].shape[0]
    components = ("attention", "mlp", "lora", *["residual"] * (pairing == "minimal"))
    assert {row["component"] for row in table} == {"clean", "corrupt", *components}
    for layer in range(LAYERS):
        for component in components:
            found: dict[str, tuple[np.ndarray, float]] = {}
            for direction, gone in (("denoised", dialled), ("noised", ())):
                logits, ratios = [], []
                for i in clips:
                    target, origin = (sources[i], i) if direction == "denoised" else (i, sources[i])
                    own, given = (corrupt, clean) if direction == "denoised" else (clean, corrupt)
                    sound = twin.audio[target] if frames == "audio" else total
                    where = torch.arange(total)
                    if frames == "audio":
                        where = mapped(twin.audio[target], twin.audio[origin], total)
                    moved = {name: values[where] for name, values in given[i][1].items()}
                    with twin.without(gone):
                        said, after = twin.patched(target, layer, component, moved, torch.arange(sound))
                    logits.append(said)
                    usual = own[i][1][f"{layer} residual"]
                    ratios.append(float((after.norm(dim=-1) / usual.norm(dim=-1))[:sound].mean()))
                found[direction] = np.stack(logits), float(np.mean(ratios))
            place = {"layer": layer, "component": component}
            for direction, (logits, ratio) in found.items():
                p = probability(logits, label)
                assert close(value(table, **place, statistic=f"{direction}_probability"), p.mean()), (place, direction)
                assert close(value(table, **place, statistic=f"{direction}_norm_ratio"), ratio), (place, direction)
            restored = (contrast(found["denoised"][0], label, other) - low) / (high - low)
            lost = (high - contrast(found["noised"][0], label, other)) / (high - low)
            assert close(value(table, **place, statistic="restored_share"), restored[kept].mean()), place
            assert close(value(table, **place, statistic="lost_share"), lost[kept].mean()), place


def test_models_without_lora_have_pairs_of_clips_but_no_dial(analyze: Callable[..., Rows], tmp_path: Path) -> None:
    assert {row["model"] for row in analyze("--causal", "patching", models="Wide,Frozen")} == {"Wide"}
    assert any("no LoRA to dial" in note["reason"] for note in run_json(tmp_path / "out")["notes"])
    options = ("--causal", "patching", "--pairs", "minimal", "--span", "0.1-0.2")
    table = analyze(*options, models="Wide,Frozen")
    assert {(row["model"], row["component"]) for row in table} == {
        *(("Wide", part) for part in ("clean", "corrupt", "attention", "mlp", "lora", "residual")),
        *(("Frozen", part) for part in ("clean", "corrupt", "attention", "mlp", "residual")),
    }
    run = run_json(tmp_path / "out")
    assert run["span_s"] == [0.1, 0.2]
    reasons = " ".join(note["reason"] for note in run["notes"])
    assert "1 of 3 clips have no partner" in reasons and "words differ" not in reasons


def test_a_clip_alone_is_paired_with_the_nearest_of_its_source(analyze: Callable[..., Rows], tmp_path: Path) -> None:
    """The two pairs of a selection are those of its clips alone."""
    options = ("--causal", "patching", "--pairs", "minimal", "--frames", "audio")
    both = analyze(*options)
    alone = []
    for name, partner in (("a.wav", "b.wav"), ("b.wav", "a.wav")):
        alone.append(analyze(*options, "--where", f"name={name}"))
        assert [clip["name"] for clip in run_json(tmp_path / "out")["partners"]] == [partner]
        assert run_json(tmp_path / "out")["cache"]["misses"] == 0
        assert analyze(*options, "--where", f"name={name}", "--partner", partner) == alone[-1]
    shares = [row for row in both if row["statistic"] == "denoised_probability"]
    assert len(shares) == 4 * LAYERS
    for row in shares:
        place = {name: row[name] for name in ("layer", "component", "statistic")}
        assert float(row["value"]) == pytest.approx(np.mean([value(table, **place) for table in alone])), place
    assert not analyze(*options, "--limit", 1), "a slice has its partners within it"
    assert not analyze(*options, "--where", "name=c.wav"), "its speaker has no other clip"
    assert "1 of 1 clips have no partner" in " ".join(note["reason"] for note in run_json(tmp_path / "out")["notes"])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            ("--pairs", "minimal", "--where", "name=a.wav", "--partner", "c.wav"),
            "c.wav makes no minimal pair with a.wav",
        ),
        (
            ("--pairs", "minimal", "--where", "name=a.wav", "--partner", "d.wav"),
            "d.wav makes no minimal pair with a.wav",
        ),
        (("--pairs", "minimal", "--partner", "b.wav"), "--partner is for one clip alone"),
        (("--where", "name=a.wav", "--partner", "b.wav"), "--partner is for a minimal pair"),
    ],
)
def test_a_partner_that_makes_no_pair_is_refused(
    quick: Callable[..., Answer], registry: Path, folder: Path, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    common = ("--models", "Wide", "--clips", f"folder:{folder}", "--registry", registry, "--out", tmp_path / "out")
    answer = quick("analyze", "causal", *common, *words)
    assert answer.code == 2 and why in answer.err and answer.err.count("\n") == 1
    assert not (tmp_path / "out" / "causal.csv").exists()


def test_a_name_that_two_clips_have_is_a_slice(
    quick: Callable[..., Answer], registry: Path, folder: Path, tmp_path: Path
) -> None:
    files = []
    for i, name in enumerate(("a.wav", "b.wav")):
        files.append(tmp_path / str(i) / "x.wav")
        files[-1].parent.mkdir()
        files[-1].write_bytes((folder / name).read_bytes())
    common = ("--models", "Wide", "--clips", *files, "--registry", registry, "--out", tmp_path / "out")
    options = ("--causal", "patching", "--pairs", "minimal", "--where", "name=x.wav")
    assert quick("analyze", "causal", *common, *options) == Answer(0, "", "")
    answer = quick("analyze", "causal", *common, *options, "--partner", "x.wav")
    assert answer.code == 2 and "a name of its own" in answer.err


def test_a_clip_without_sound_in_the_span_does_not_keep_the_others(
    quick: Callable[..., Answer], registry: Path, folder: Path, tmp_path: Path
) -> None:
    words = ("--models", "Frozen", "--clips", f"folder:{folder}", "--registry", registry, "--out", tmp_path / "out")
    answer = quick("analyze", "causal", *words, "--causal", "patching", "--pairs", "noise", "--span", "0.45-0.6")
    assert answer.code == 3 and answer.err.count("\n") == 1
    assert "a.wav: there is no sound from 0.45 to 0.6 s" in answer.err
    table = rows(tmp_path / "out" / "causal.csv")
    assert {row["n"] for row in pick(table, statistic="denoised_probability")} == {"2"}
    assert any("1 of 3 pairs have no record" in note["reason"] for note in run_json(tmp_path / "out")["notes"])


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ((), (("layers", "patching"), "dial", None)),
        (("--causal", "patching, layers"), (("layers", "patching"), "dial", None)),
        (("--causal", "patching", "--pairs", "noise", "--span", "0-1.25"), (("patching",), "noise", (0.0, 1.25))),
    ],
)
def test_what_the_options_say(words: tuple[str, ...], asked: tuple[object, ...]) -> None:
    """Also what a page's command says."""
    said = arguments.parse(["analyze", "causal", "--models", "all", "--clips", "demo", "--out", "out", *words])
    assert (said.causal, said.pairs, said.span) == asked
