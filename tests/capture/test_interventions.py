"""Interventions: the identities that hold exactly, and adapters rebuilt with other weights and loaded from scratch."""

import contextlib
import itertools
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.analyses.stored import StoredRecords
from core.capture.forward import capture, features
from core.capture.interventions import (
    capture_dialled,
    dialled,
    drawn,
    finish,
    frame_map,
    noise_like,
    observe,
    streams,
    through,
    with_attention,
)
from core.capture.patching import Pair, patched
from core.engine.interface import Job, Task
from core.engine.interventions import LayerPass, PatchPass
from core.engine.local import LocalEngine
from core.interventions import Dial
from core.models.describe import describe_registry
from core.models.info import ModelInfo
from core.models.loading import LoadedModel, Loader
from core.models.untrained import untrained_of
from core.store.intervention import ABLATIONS, COMPONENTS, CONTROLS, ERASURES
from core.store.store import Store
from tests.capture.conftest import Zoo
from tests.checkpoints import write_registry

ADAPTERS = ("qv", "all")
TIGHT = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def loader() -> Loader:
    return Loader(torch.device("cpu"), torch.float32)


def model_of(zoo: Zoo, name: str) -> ModelInfo:
    return next(model for model in zoo.models.models if model.name == name)


def sounds(zoo: Zoo, *which: int) -> list[np.ndarray]:
    return [zoo.samples[zoo.clips[i].clip_id] for i in which]


def gains_of(model: LoadedModel, *rows: float) -> torch.Tensor:
    return torch.tensor([[gain] * model.info.shape.layers for gain in rows], dtype=torch.float64)


def own_logits(model: LoadedModel, clips: list[np.ndarray]) -> np.ndarray:
    return np.stack([one.forward.logits for one in capture(model, clips)])


@pytest.fixture
def rebuilt(zoo: Zoo, tmp_path: Path) -> Callable[..., LoadedModel]:
    """An adapter whose tensors were changed in its file, loaded from scratch: `change(layer, factor, tensor)`."""

    def make(name: str, change: Callable[[int, str, torch.Tensor], torch.Tensor]) -> LoadedModel:
        source, folder = model_of(zoo, name).files.adapter.parent, tmp_path / uuid.uuid4().hex
        folder.mkdir()
        tensors = load_file(source / "adapter_model.safetensors")
        for key in [key for key in tensors if "lora_" in key]:
            layer, factor = int(key.split(".layers.")[1].split(".")[0]), key.split("lora_")[1][0]
            tensors[key] = change(layer, factor, tensors[key]).contiguous()
        save_file(tensors, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text((source / "adapter_config.json").read_text())
        labels = list(model_of(zoo, name).labels)
        registry = write_registry(
            tmp_path / "models.toml",
            [{"name": "rebuilt", "base": str(zoo.base), "adapter": str(folder), "labels": labels}],
        )
        found = describe_registry(registry, Store(tmp_path / "cache", 1).index)
        return Loader(torch.device("cpu"), torch.float32).get(found.models[0])

    return make


def off_at(layers: set[int]) -> Callable[[int, str, torch.Tensor], torch.Tensor]:
    return lambda layer, factor, tensor: torch.zeros_like(tensor) if layer in layers and factor == "B" else tensor


@pytest.mark.parametrize("name", ADAPTERS)
def test_all_on_is_the_trained_model_and_all_off_the_base_under_its_head(zoo, loader, rebuilt, name) -> None:
    model, clips = loader.get(model_of(zoo, name)), sounds(zoo, 0, 2)
    layers = model.info.shape.layers
    on, off = (
        np.stack([one.forward.logits for one in capture_dialled(model, clips, Dial.even(gain, layers))])
        for gain in (1.0, 0.0)
    )
    trained = own_logits(model, clips)
    np.testing.assert_allclose(on, trained, **TIGHT)
    np.testing.assert_allclose(off, own_logits(rebuilt(name, off_at(set(range(layers)))), clips), **TIGHT)
    assert np.abs(off - trained).max() > 0.01, "the adapter does something"
    np.testing.assert_allclose(own_logits(model, clips), trained, rtol=0, atol=0)  # and nothing stays turned


@pytest.mark.parametrize("name", ADAPTERS)
def test_gains_in_between_are_weights_times_them(zoo, loader, rebuilt, name) -> None:
    model, clips = loader.get(model_of(zoo, name)), sounds(zoo, 1)
    gains = (0.0, 0.5, 1.0, 1.5, 0.25)
    made = rebuilt(name, lambda layer, factor, tensor: tensor * gains[layer] if factor == "B" else tensor)
    got = capture_dialled(model, clips, Dial(gains))[0].forward
    wanted = capture(made, clips)[0].forward
    np.testing.assert_allclose(got.logits, wanted.logits, **TIGHT)
    np.testing.assert_allclose(got.relative, wanted.relative, **TIGHT)


@pytest.mark.parametrize("name", ADAPTERS)
def test_truncation_at_full_rank_is_trained_and_below_it_the_best_of_that_rank(zoo, loader, rebuilt, name) -> None:
    model, clips = loader.get(model_of(zoo, name)), sounds(zoo, 1)
    layers, rank = model.info.shape.layers, model.info.rank
    full = capture_dialled(model, clips, Dial.even(1.0, layers, rank))[0].forward.logits
    np.testing.assert_allclose(full, own_logits(model, clips)[0], **TIGHT)
    pairs: dict[tuple, dict[str, torch.Tensor]] = {}
    tensors = load_file(model.info.files.adapter)
    for key, tensor in tensors.items():
        if "lora_" in key:
            pairs.setdefault(tuple(key.split("lora_")[0].split(".")), {})[key.split("lora_")[1][0]] = tensor.double()
    best = {}
    for pair in pairs.values():
        u, s, vt = torch.linalg.svd(pair["B"] @ pair["A"], full_matrices=False)
        kept = (u[:, :2] * s[:2]) @ vt[:2]
        best[pair["B"].float().numpy().tobytes()] = kept @ torch.linalg.pinv(pair["A"])
    made = rebuilt(name, lambda _, factor, t: best[t.numpy().tobytes()].float() if factor == "B" else t)
    cut = capture_dialled(model, clips, Dial.even(1.0, layers, 2))[0].forward.logits
    np.testing.assert_allclose(cut, own_logits(made, clips)[0], rtol=1e-4, atol=1e-4)
    assert np.abs(cut - full).max() > 0.01


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("layer", [0, 2, 4])
def test_rows_with_gains_of_their_own_are_adapters_with_zeroed_weights(zoo, loader, rebuilt, name, layer) -> None:
    """Necessity and sufficiency: only this layer off, only this layer on, started again at the layer."""
    model, clips = loader.get(model_of(zoo, name)), sounds(zoo, 3)
    points = streams(model, clips * 2, gains_of(model, 1.0, 0.0))
    gains = gains_of(model, 1.0, 0.0)
    gains[:, layer] = torch.tensor([0.0, 1.0])
    got = finish(model, points[layer], layer, gains).numpy()
    for row, layers in ((0, {layer}), (1, set(range(5)) - {layer})):
        np.testing.assert_allclose(got[row], own_logits(rebuilt(name, off_at(layers)), clips)[0], **TIGHT)


def test_a_drawn_factor_is_the_untrained_counterparts(zoo, loader) -> None:
    model, clips = loader.get(model_of(zoo, "qv")), sounds(zoo, 0)
    before = own_logits(model, clips)
    untrained = loader.get(untrained_of(model.info, keep_head=True))
    with contextlib.ExitStack() as stack:
        for layer, factor in itertools.product(range(model.info.shape.layers), "AB"):
            stack.enter_context(drawn(model, layer, factor))
        all_drawn = own_logits(model, clips)
    np.testing.assert_allclose(all_drawn, own_logits(untrained, clips), **TIGHT)
    np.testing.assert_array_equal(own_logits(model, clips), before)


@pytest.mark.parametrize("name", ADAPTERS)
def test_patching_everything_onto_the_sources_beginning_is_the_source_run(zoo, loader, name) -> None:
    """Each layer's MLP reads the source's attention, and then its output is the source's too, all without LoRA."""
    model, clips = loader.get(model_of(zoo, name)), sounds(zoo, 2)
    gains = gains_of(model, 1.0, 0.0)
    runs = observe(model, clips * 2, gains)
    states = runs[0].states[:1]
    for layer, run in enumerate(runs):
        mine = with_attention(model, states, run.attention[:1], layer, gains[1:])
        if name == "qv":  # no LoRA in the MLP: it gives the source's of itself
            np.testing.assert_allclose(mine, run.out[:1], **TIGHT)
        states = states + run.attention[:1] + run.mlp[:1]
    got = finish(model, states, model.info.shape.layers, gains[1:])
    np.testing.assert_allclose(got[0], own_logits(model, clips)[0], **TIGHT)


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_empty_patch_changes_nothing(zoo, loader, name) -> None:
    model, clips = loader.get(model_of(zoo, name)), sounds(zoo, 2, 4)
    gains, none = gains_of(model, 1.0, 0.0), torch.zeros(model.info.shape.frames, dtype=torch.bool)
    pair = Pair(observe(model, clips, gains), gains, (54, 25), np.zeros((2, 4)))
    for layer, run in enumerate(pair.layers):
        found = patched(model, pair, layer, (none, none), residual=True)
        assert found.keys() == set(COMPONENTS)
        for component, states in found.items():
            np.testing.assert_allclose(states, run.out[[1, 0]], **TIGHT, err_msg=component)


def test_without_any_layer_the_head_reads_what_enters_layer_0(zoo, loader) -> None:
    model, clips = loader.get(model_of(zoo, "full")), sounds(zoo, 4)
    gains = gains_of(model, 1.0)
    points = streams(model, clips, gains)
    got = finish(model, points[0], model.info.shape.layers, gains)
    norm = model.base.backbone.encoder.layer_norm
    with torch.inference_mode():
        np.testing.assert_allclose(got, model.head(norm(points[0])), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        finish(model, through(model, points[0], 0, gains), 1, gains), own_logits(model, clips), **TIGHT
    )


def test_frames_are_mapped_linearly_over_what_holds_audio() -> None:
    np.testing.assert_array_equal(frame_map(4, 4, 6), np.arange(6))
    np.testing.assert_array_equal(frame_map(3, 5, 6), [0, 2, 4, 5, 5, 5])
    np.testing.assert_array_equal(frame_map(5, 3, 6), [0, 0, 1, 2, 2, 3])  # halves go to the even neighbour
    np.testing.assert_array_equal(frame_map(2, 6, 6), [0, 5, 5, 5, 5, 5])
    np.testing.assert_array_equal(frame_map(6, 2, 6), [0, 0, 0, 1, 1, 1])


def test_noise_is_as_loud_and_always_the_same() -> None:
    samples = np.sin(np.arange(8000) / 9, dtype=np.float32) * 0.3
    noise = noise_like(samples, 3)
    assert noise.dtype == np.float32 and noise.size == samples.size
    assert np.sqrt(np.mean(noise.astype(np.float64) ** 2)) == pytest.approx(np.sqrt(np.mean(samples**2)), rel=1e-5)
    np.testing.assert_array_equal(noise, noise_like(samples, 3))
    assert not np.array_equal(noise, noise_like(samples, 4))


def ask(engine: LocalEngine, *tasks: Task) -> Job:
    job = engine.submit(tasks, title="test")
    assert job.wait(120)
    return job


@pytest.mark.parametrize("name", ADAPTERS)
def test_records_of_one_layer_are_what_rebuilt_adapters_say(zoo, make_engine, rebuilt, name) -> None:
    """Every switch, on and off, by an adapter with zeroed weights, loaded from scratch."""
    engine, store = make_engine()
    model, clip = model_of(zoo, name), zoo.clips[1]
    layer, layers = 3, set(range(5))
    job = ask(engine, *(LayerPass.over(model, clip, 0, one) for one in (2, layer)))
    assert not job.failures
    record = StoredRecords(store, engine.precision).ablation(model, clip, layer)
    off = {
        "without": {layer},
        "only": layers - {layer},
        "first": {one for one in layers if one > layer},
        "last": {one for one in layers if one < layer},
    }
    for switch, zeroed in off.items():
        wanted = own_logits(rebuilt(name, off_at(zeroed)), sounds(zoo, 1))[0]
        np.testing.assert_allclose(record.logits[switch], wanted, **TIGHT, err_msg=switch)
    assert record.logits.keys() == set(ABLATIONS)


def test_controls_have_one_trained_and_one_drawn_factor(zoo, loader, make_engine, rebuilt) -> None:
    engine, store = make_engine()
    model, clip, layer = model_of(zoo, "qv"), zoo.clips[2], 1
    assert not ask(engine, LayerPass.over(model, clip, 0, layer)).failures
    got = StoredRecords(store, engine.precision).ablation(model, clip, layer).logits
    untrained = loader.get(untrained_of(model, keep_head=True))
    fresh = {}
    for module in model.lora:
        adapted = getattr(untrained.base.backbone.encoder.layers[module.layer].self_attn, module.target)
        for factor, part in (("A", adapted.lora_A), ("B", adapted.lora_B)):
            fresh[module.layer, factor, module.target] = part[untrained.adapter].weight.detach().clone()

    def swapped(which: str, alone: bool) -> Callable[[int, str, torch.Tensor], torch.Tensor]:
        """The layer's factor `which` drawn; with `alone` all other layers off."""
        left = {m.layer: sorted(one.target for one in model.lora if one.layer == m.layer) for m in model.lora}
        waiting = {(at, factor): list(names) for at, names in left.items() for factor in "AB"}

        def change(at: int, factor: str, tensor: torch.Tensor) -> torch.Tensor:
            target = waiting[at, factor].pop(0)  # keys come sorted by name
            if at != layer:
                return torch.zeros_like(tensor) if alone else tensor
            return fresh[at, factor, target] if factor == which else tensor

        return change

    wanted = {
        "without_a": swapped("A", alone=False),
        "without_b": swapped("B", alone=False),
        "only_a": swapped("B", alone=True),
        "only_b": swapped("A", alone=True),
    }
    logits = {name: own_logits(rebuilt("qv", change), sounds(zoo, 2))[0] for name, change in wanted.items()}
    for name in CONTROLS:
        np.testing.assert_allclose(got[name], logits[name], **TIGHT, err_msg=name)
    assert len({values.tobytes() for values in logits.values()}) == len(CONTROLS)


def test_erasing_is_leaving_layers_out(zoo, loader, make_engine) -> None:
    engine, store = make_engine()
    info, clip = model_of(zoo, "full"), zoo.clips[0]
    assert not ask(engine, *(LayerPass.over(info, clip, 0, layer) for layer in range(5))).failures
    model = loader.get(info)
    encoder = model.base.backbone.encoder
    start = streams(model, sounds(zoo, 0), gains_of(model, 1.0))[0]
    records = StoredRecords(store, engine.precision)
    for layer in range(5):
        got = records.ablation(info, clip, layer).logits
        assert got.keys() == set(ERASURES), "nothing to switch without LoRA"
        left_out = {
            "erase": {layer},
            "erase_first": set(range(layer + 1)),
            "erase_last": set(range(layer, 5)),
        }
        for name, gone in left_out.items():
            states = start
            with torch.inference_mode():
                for index, one in enumerate(encoder.layers):
                    states = states if index in gone else one(states, None)
                wanted = model.head(encoder.layer_norm(states))[0]
            np.testing.assert_allclose(got[name], wanted, **TIGHT, err_msg=f"{name} {layer}")
    everything = records.ablation(info, clip, 4).logits["erase_first"]
    np.testing.assert_allclose(everything, records.ablation(info, clip, 0).logits["erase_last"], **TIGHT)


def hooked(model: LoadedModel, clip: np.ndarray, gain: float, layer: int) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
    """A run with plain PyTorch hooks: logits and what layer `layer`'s components gave."""
    seen: dict[str, torch.Tensor] = {}
    one = model.base.backbone.encoder.layers[layer]
    handles = [
        one.self_attn.register_forward_hook(lambda m, a, out: seen.__setitem__("attention", out[0][0].clone())),
        one.fc2.register_forward_hook(lambda m, a, out: seen.__setitem__("mlp", out[0].clone())),
        one.register_forward_hook(lambda m, a, out: seen.__setitem__("residual", out[0].clone())),
    ]
    with torch.inference_mode(), dialled(model, gains_of(model, gain)):
        logits = model.head(model.base.backbone(features(model, [clip])))[0].numpy()
    for handle in handles:
        handle.remove()
    return logits, seen


def hooked_patch(model: LoadedModel, clip, gain: float, layer: int, component: str, frames, values) -> np.ndarray:
    """Logits of a whole run in which a hook replaces a component's output at some frames."""

    def replace(module, arguments, out):
        tensor = (out[0] if isinstance(out, tuple) else out).clone()
        tensor[0, frames] = values[frames]
        return (tensor, *out[1:]) if isinstance(out, tuple) else tensor

    one = model.base.backbone.encoder.layers[layer]
    place = {"attention": one.self_attn, "mlp": one.fc2, "residual": one}[component]
    handle = place.register_forward_hook(replace)
    with torch.inference_mode(), dialled(model, gains_of(model, gain)):
        logits = model.head(model.base.backbone(features(model, [clip])))[0].numpy()
    handle.remove()
    return logits


@pytest.mark.parametrize("pairing", ["dial", "minimal", "noise"])
@pytest.mark.parametrize(("frames", "span"), [("all", None), ("audio", None), ("all", (0.1, 0.4))])
def test_patches_are_what_plain_hooks_give(zoo, make_engine, pairing, frames, span) -> None:
    """Both directions, every component, between clips of different length too."""
    engine, store = make_engine()
    info, clean, other, layer = model_of(zoo, "qv"), zoo.clips[2], zoo.clips[4], 2
    source = other if pairing == "minimal" else None
    task = PatchPass(info, clean, 0, layer, pairing, source, frames, span)
    assert not ask(engine, task).failures
    record = StoredRecords(store, engine.precision).patch(task)
    model = Loader(torch.device("cpu"), torch.float32).get(info)
    sound = zoo.samples[clean.clip_id]
    noise = noise_like(sound, int(clean.clip_id[:12], 16))
    sounds_of = [sound, {"dial": sound, "minimal": zoo.samples[other.clip_id], "noise": noise}[pairing]]
    gains = [1.0, 0.0 if pairing == "dial" else 1.0]
    plain = [hooked(model, one, gain, layer) for one, gain in zip(sounds_of, gains, strict=True)]
    np.testing.assert_allclose(record.clean, plain[0][0], **TIGHT)
    np.testing.assert_allclose(record.corrupt, plain[1][0], **TIGHT)
    total, audio = info.shape.frames, [-(-one.size // 320) for one in sounds_of]
    for direction, (target, origin) in enumerate(((1, 0), (0, 1))):
        chosen = np.ones(total, dtype=bool) if (frames, span) == ("all", None) else np.arange(total) < audio[0]
        if span:
            chosen &= (np.arange(total) >= 5) & (np.arange(total) < 20)  # 20 ms each
        if target == 1:
            chosen = chosen[frame_map(audio[1], audio[0], total)]
        where = torch.from_numpy(frame_map(audio[target], audio[origin], total))
        components = ("attention", "mlp") if task.patch.whole else ("attention", "mlp", "residual")
        for component in components:
            values = plain[origin][1][component][where]
            wanted = hooked_patch(model, sounds_of[target], gains[target], layer, component, chosen, values)
            got = record.patched[component][direction]
            np.testing.assert_allclose(got, wanted, **TIGHT, err_msg=f"{component} {direction}")
    assert record.patched.keys() == {"attention", "mlp", "lora"} | (set() if task.patch.whole else {"residual"})


def test_patching_the_dials_update_everywhere_below_is_lora_there(zoo, make_engine, rebuilt) -> None:
    """At layer 0 both runs read the same: LoRA's update copied into the run without it is that layer's LoRA alone."""
    engine, store = make_engine()
    info, clip = model_of(zoo, "qv"), zoo.clips[0]
    task = PatchPass(info, clip, 0, 0, "dial")
    assert not ask(engine, task).failures
    denoised, noised = StoredRecords(store, engine.precision).patch(task).patched["lora"]
    np.testing.assert_allclose(denoised, own_logits(rebuilt("qv", off_at({1, 2, 3, 4})), sounds(zoo, 0))[0], **TIGHT)
    np.testing.assert_allclose(noised, own_logits(rebuilt("qv", off_at({0})), sounds(zoo, 0))[0], **TIGHT)


def test_a_head_over_all_layers_and_a_silent_span_are_refused_in_a_sentence(zoo, make_engine) -> None:
    engine, _ = make_engine()
    weighted, clip = model_of(zoo, "weighted"), zoo.clips[1]
    job = ask(engine, LayerPass.over(weighted, clip, 0, 1))
    assert "weighted sum of its layers" in job.failures[0].reason
    late = PatchPass(model_of(zoo, "qv"), clip, 0, 1, "dial", span=(1.0, 1.5))  # the clip lasts 0.2 s
    assert "there is no sound from 1 to 1.5 s" in ask(engine, late).failures[0].reason
