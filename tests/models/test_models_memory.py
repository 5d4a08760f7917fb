"""The budget of loaded weights: who goes, who never does, and that nobody's numbers notice."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from core.capture.forward import capture
from core.capture.gradients import capture_gradients
from core.errors import Refusal
from core.models.info import ModelInfo
from core.models.loading import LoadedModel, Loader
from tests.models.workshop import Describe, copied, put_nan

pytestmark = pytest.mark.usefixtures("one_thread")
SOUND = (0.1 * np.random.default_rng(0).standard_normal(12_000)).astype(np.float32)


@pytest.fixture
def entries(look: Describe) -> dict[str, ModelInfo]:
    """Three models over one base, one over another."""
    found = {"frozen": look(head="head"), "lora": look(adapter="lora"), "wide": look(adapter="wide")}
    found["full"] = look(base="full")
    return {name: replace(info, name=name) for name, info in found.items()}


def loader(limit_bytes: int | None = None, dtype: torch.dtype = torch.float32) -> Loader:
    device = torch.device("cpu")
    return Loader(device, dtype) if limit_bytes is None else Loader(device, dtype, limit_bytes)


def bytes_of(entries: dict[str, ModelInfo], *names: str) -> int:
    """What these take together, as an unlimited loader says."""
    one = loader()
    for name in names:
        one.get(entries[name])
    return one.memory.used_bytes


def loaded(one: Loader) -> set[str]:
    return {model.name for model in one.memory.loaded}


def held(models: list[LoadedModel]) -> int:
    """Bytes of all weights that these models hold, each once."""
    tensors: dict[int, Tensor] = {}
    for model in models:
        for tensor in (*model.base.backbone.parameters(), *model.base.backbone.buffers(), *model.head.tensors()):
            tensors[tensor.data_ptr()] = tensor
    return sum(tensor.nbytes for tensor in tensors.values())


def numbers(model: LoadedModel) -> dict[str, np.ndarray]:
    """All that is ever recorded of a clip under a model."""
    arrays = dict(capture(model, [SOUND], lora=True, states=True)[0].forward.to_arrays())
    if model.info.lora:
        arrays |= capture_gradients(model, [SOUND], [1])[0].gradient.to_arrays()
    return arrays


def same_numbers(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_bytes_are_those_of_the_files(entries: dict[str, ModelInfo], shelf: Path) -> None:
    """A base's are its encoder's, a model's own its adapter's and head's; the sum is what is really held."""
    one = loader()
    models = [one.get(info) for info in entries.values()]
    encoder = sum(t.nbytes for n, t in load_file(shelf / "full/model.safetensors").items() if n.startswith("encoder."))
    own = {
        "frozen": sum(t.nbytes for t in load_file(shelf / "head/model.safetensors").values()),
        "lora": sum(t.nbytes for t in load_file(shelf / "lora/adapter_model.safetensors").values()),
        "wide": sum(t.nbytes for t in load_file(shelf / "wide/adapter_model.safetensors").values()),
    }
    own["full"] = own["frozen"]
    assert {model.name: (model.own_bytes, model.base_bytes) for model in one.memory.loaded} == {
        name: (size, encoder) for name, size in own.items()
    }
    assert one.memory.used_bytes == held(models) == 2 * encoder + sum(own.values())


def test_what_a_half_precision_head_takes_is_counted(entries: dict[str, ModelInfo]) -> None:
    """Heads stay in float32, which is only known once they are loaded."""
    one = loader(dtype=torch.float16)
    models = [one.get(entries[name]) for name in ("frozen", "lora")]
    assert one.memory.used_bytes == held(models)
    tight = loader(one.memory.used_bytes - 1, torch.float16)
    for name in ("frozen", "lora"):
        tight.get(entries[name])
    assert loaded(tight) == {"lora"}


def test_the_least_recently_used_model_goes_first(entries: dict[str, ModelInfo]) -> None:
    one = loader(bytes_of(entries, "frozen", "lora", "wide") - 1)
    one.get(entries["frozen"])
    one.get(entries["lora"])
    one.get(entries["frozen"])
    one.get(entries["wide"])
    assert loaded(one) == {"frozen", "wide"}
    one.get(entries["lora"])
    assert loaded(one) == {"lora", "wide"}
    assert {model.name: model.loaded for model in one.memory.models} == {"frozen": False, "lora": True, "wide": True}
    known = one.memory.of(entries["frozen"])
    assert known is not None and known.own_bytes > 0 and one.memory.of(entries["full"]) is None


def test_adapters_that_go_and_come_back_leave_the_base_where_it_is(entries: dict[str, ModelInfo]) -> None:
    one = loader(bytes_of(entries, "lora", "wide") - 1)
    base = one.get(entries["lora"]).base
    before = {
        n.replace(".base_layer", ""): p.data_ptr() for n, p in base.backbone.named_parameters() if "lora_" not in n
    }
    for name in ("wide", "lora", "wide"):
        model = one.get(entries[name])
        assert loaded(one) == {name} and model.base is base
        names = [n for n, _ in base.backbone.named_parameters()]
        assert all(f".{model.adapter}." in n for n in names if "lora_" in n)
        own = {n: p for n, p in base.backbone.named_parameters() if "lora_" not in n}
        assert {n.replace(".base_layer", ""): p.data_ptr() for n, p in own.items()} == before
        assert list(base.backbone.peft_config) == [model.adapter]


def test_the_last_model_takes_its_base_along_and_memory_is_free_again(entries: dict[str, ModelInfo]) -> None:
    """Before the next one is loaded: the traced views are cycles, which Python would leave lying about."""
    one = loader(bytes_of(entries, "frozen", "lora"))
    model = one.get(entries["lora"])
    numbers(model)
    adapter, base = (
        weakref.ref(p)
        for p in (next(iter(model.base.tensors(model.adapter or ""))), next(model.base.backbone.parameters()))
    )
    del model
    gc.disable()
    try:
        numbers(one.get(entries["wide"]))
        assert loaded(one) == {"wide"} and adapter() is None and base() is not None
        one.get(entries["full"])
        assert loaded(one) == {"full"} and base() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("limit", [("lora",), ("frozen", "lora", "wide"), ("lora", "full")])
def test_the_budget_holds_and_the_numbers_too(entries: dict[str, ModelInfo], limit: tuple[str, ...]) -> None:
    """Models in a random order, evicted again and again: to the bit what each gives alone, and never more bytes."""
    expected = {name: numbers(loader().get(info)) for name, info in entries.items()}
    one = loader(bytes_of(entries, *limit))
    for name in np.random.default_rng(len(limit)).choice(list(entries), 8):
        same_numbers(numbers(one.get(entries[str(name)])), expected[str(name)])
        assert one.memory.used_bytes <= one.memory.limit_bytes or loaded(one) == {name}
    assert one.memory.used_bytes == held([one.get(info) for info in entries.values() if info.name in loaded(one)])


def test_what_is_in_use_never_goes(entries: dict[str, ModelInfo]) -> None:
    one = loader(1)
    kept = one.get(entries["lora"])
    before = numbers(kept)
    for name in ("full", "wide", "frozen", "full"):
        one.get(entries[name], in_use=entries["lora"])
        assert loaded(one) == {"lora", name}
        same_numbers(numbers(kept), before)
    assert one.get(entries["lora"], in_use=entries["lora"]) is kept
    assert loaded(one) == {"lora"}


def test_a_model_larger_than_the_budget_is_loaded_and_said(entries: dict[str, ModelInfo]) -> None:
    one = loader(1000)
    one.get(entries["wide"])
    assert loaded(one) == {"wide"}
    sentence = one.memory.warning
    assert sentence is not None and sentence.startswith("wide alone: ") and "LORASCOPE_DEVICE_MEMORY_GB" in sentence
    assert loader().memory.warning is None
    fits = loader(bytes_of(entries, "wide"))
    fits.get(entries["wide"])
    assert fits.memory.warning is None


def backbones() -> set[int]:
    """Those that are in memory."""
    gc.collect()
    return {id(thing) for thing in gc.get_objects() if type(thing).__name__ == "Backbone"}


def test_a_refused_model_leaves_no_base_behind(look: Describe, shelf: Path, tmp_path: Path) -> None:
    put_nan(copied(shelf / "lora", tmp_path / "it") / "adapter_model.safetensors", "base_model.model.classifier.bias")
    one = loader()
    others = backbones()  # which other tests' fixtures hold
    with pytest.raises(Refusal, match="holds NaN"):
        one.get(look(adapter=tmp_path / "it"))
    assert not one.memory.models and one.memory.used_bytes == 0
    assert backbones() <= others
