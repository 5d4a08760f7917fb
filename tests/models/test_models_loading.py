"""Loaded models: the numbers are transformers' and PEFT's own, bases are shared, refusals harm nobody else."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import WhisperFeatureExtractor, WhisperForAudioClassification, WhisperForConditionalGeneration

from core.capture.forward import capture
from core.errors import Refusal
from core.models.info import ModelInfo
from core.models.loading import Loader
from tests.checkpoints import classifier_over, save_adapter, save_base, save_extractor, save_head, small_config
from tests.conftest import SIX_TARGETS
from tests.models.workshop import Describe, copied, edit_json, edit_tensors, first, put_nan

pytestmark = pytest.mark.usefixtures("one_thread")
SOUND = (0.1 * np.random.default_rng(0).standard_normal(12_000)).astype(np.float32)


def loader(dtype: torch.dtype = torch.float32) -> Loader:
    return Loader(torch.device("cpu"), dtype)


def logits(loader: Loader, info: ModelInfo) -> np.ndarray:
    """As the engine runs it."""
    return capture(loader.get(info), [SOUND])[0].forward.logits


def own_logits(model: nn.Module, extractor: Path) -> np.ndarray:
    """As transformers and PEFT run it."""
    made = WhisperFeatureExtractor.from_pretrained(extractor)(SOUND, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        return model.eval()(input_features=made.input_features).logits[0].numpy()


def adapted(base: Path, adapter: Path) -> nn.Module:
    """The user's own way: a fresh classifier over the base, and PEFT's loader."""
    return PeftModel.from_pretrained(classifier_over(base, 99), str(adapter))


def same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


# The same numbers as transformers and PEFT


def test_a_frozen_encoder_with_a_trained_head(look: Describe, shelf: Path) -> None:
    same(logits(loader(), look(head="head")), own_logits(classifier_over(shelf / "base", 1), shelf / "base"))


def test_a_full_checkpoint(look: Describe, shelf: Path) -> None:
    own = WhisperForAudioClassification.from_pretrained(shelf / "full")
    same(logits(loader(), look(base="full")), own_logits(own, shelf / "full"))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_several_adapters_over_one_base_in_any_order(look: Describe, shelf: Path, order: tuple[int, ...]) -> None:
    """Loaded one after the other and then run in turns, twice: each keeps to itself."""
    base = shelf / "base"
    entries = [look(head="head"), look(adapter="lora"), look(adapter="wide")]
    expected = [
        own_logits(model, base)
        for model in (classifier_over(base, 1), adapted(base, shelf / "lora"), adapted(base, shelf / "wide"))
    ]
    one = loader()
    for i in order:
        one.get(entries[i])
    found = [[logits(one, info) for info in entries] for _ in range(2)]
    for first_time, second_time, own in zip(*found, expected, strict=True):
        same(first_time, own)
        np.testing.assert_array_equal(first_time, second_time)
    assert min(np.abs(a - b).max() for a, b in pairwise(expected)) > 0.01


@pytest.mark.parametrize(
    "config",
    [
        {"use_rslora": True, "target_modules": ["v_proj"]},
        {"rank_pattern": {"layers.1.self_attn.v_proj": 9}, "alpha_pattern": {"q_proj": 20}},
        {"layers_to_transform": [0, 2], "target_modules": SIX_TARGETS},
        {"layers_to_transform": 1, "target_modules": ["fc1"]},
        {"target_modules": r"encoder\.layers\.[01]\.(self_attn\.(q|v)_proj|fc2)"},
        {"target_modules": r".*(fc1|v_proj)"},
        {"target_modules": ["v_proj"], "exclude_modules": r".*layers\.1\..*"},
        {"r": 1, "target_modules": ["out_proj"]},
        {"r": 32, "target_modules": ["k_proj"]},
        {"init_lora_weights": "gaussian"},
    ],
    ids=str,
)
def test_adapters_of_every_shape_that_peft_can_give(
    look: Describe, shelf: Path, tmp_path: Path, config: dict[str, object]
) -> None:
    """Beside others over the same base, which a pattern must not reach into."""
    save_adapter(tmp_path / "it", shelf / "base", seed=7, **config)
    one, frozen, wide = loader(), look(head="head"), look(adapter="wide")
    before = logits(one, frozen), logits(one, wide)
    same(
        logits(one, look(adapter=tmp_path / "it")), own_logits(adapted(shelf / "base", tmp_path / "it"), shelf / "base")
    )
    np.testing.assert_array_equal(before, (logits(one, frozen), logits(one, wide)))


def test_an_adapter_over_a_classification_base(look: Describe, shelf: Path, tmp_path: Path) -> None:
    """The base has a head of its own: the adapter's, or the one that is given, is used."""
    base = save_base(tmp_path / "base", small_config(layers=2, width=32, seconds=1), classifier=True)
    save_adapter(tmp_path / "it", base)
    save_head(tmp_path / "head", base, seed=3)
    same(logits(loader(), look(base=base, adapter=tmp_path / "it")), own_logits(adapted(base, tmp_path / "it"), base))
    same(logits(loader(), look(base=base, head=tmp_path / "head")), own_logits(classifier_over(base, 3), base))


def weighted(shelf: Path, directory: Path) -> WhisperForAudioClassification:
    model = classifier_over(shelf / "base", 6, use_weighted_layer_sum=True)
    with torch.no_grad():
        model.layer_weights.copy_(torch.linspace(-1, 2, model.layer_weights.numel()))
    model.save_pretrained(directory)
    save_extractor(directory, model.config)
    return model


def test_a_full_checkpoint_that_weighs_its_layers(look: Describe, shelf: Path, tmp_path: Path) -> None:
    model = weighted(shelf, tmp_path / "weighted")
    info = look(base=tmp_path / "weighted")
    assert info.weighted_layer_sum
    same(logits(loader(), info), own_logits(model, shelf / "base"))


def test_a_frozen_head_that_weighs_the_bases_layers(look: Describe, shelf: Path, tmp_path: Path) -> None:
    model = weighted(shelf, tmp_path / "weighted")
    info = look(head=tmp_path / "weighted", role="frozen")
    assert info.weighted_layer_sum
    same(logits(loader(), info), own_logits(model, shelf / "base"))


def test_an_adapter_over_a_base_that_weighs_its_layers(look: Describe, shelf: Path, tmp_path: Path) -> None:
    """PEFT saves no layer weights: they are the base's."""
    base = tmp_path / "weighted"
    weighted(shelf, base)
    save_adapter(tmp_path / "it", base)
    info = look(base=base, adapter=tmp_path / "it")
    assert info.weighted_layer_sum
    own = PeftModel.from_pretrained(WhisperForAudioClassification.from_pretrained(base), str(tmp_path / "it"))
    same(logits(loader(), info), own_logits(own, base))


def test_a_half_precision_checkpoint_runs_in_single_precision(look: Describe, shelf: Path, tmp_path: Path) -> None:
    base = tmp_path / "half"
    WhisperForConditionalGeneration.from_pretrained(shelf / "base", dtype=torch.float16).save_pretrained(base)
    save_extractor(base, small_config(seconds=1))
    assert load_file(base / "model.safetensors")["model.encoder.conv1.weight"].dtype == torch.float16
    one = loader()
    frozen = look(base=base, head="head")
    own = classifier_over(base, 1)
    assert own.dtype == torch.float32
    same(logits(one, frozen), own_logits(own, base))
    assert one.get(frozen).base.backbone.encoder.conv1.weight.dtype == torch.float32
    same(logits(one, look(base=base, adapter="lora")), own_logits(adapted(base, shelf / "lora"), base))


def test_a_sharded_checkpoint_is_the_same_model(look: Describe, shelf: Path, tmp_path: Path) -> None:
    WhisperForAudioClassification.from_pretrained(shelf / "full").save_pretrained(tmp_path / "s", max_shard_size="40KB")
    save_extractor(tmp_path / "s", small_config(seconds=1))
    sharded = look(base=tmp_path / "s")
    assert len(sharded.files.encoder) > 2
    same(logits(loader(), sharded), logits(loader(), look(base="full")))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_lower_precision_is_near(look: Describe, dtype: torch.dtype) -> None:
    info = look(adapter="wide")
    np.testing.assert_allclose(logits(loader(dtype), info), logits(loader(), info), atol=0.15)


def test_an_untrained_model_has_the_adapters_shape_and_a_draw_of_its_own(
    look: Describe, shelf: Path, tmp_path: Path
) -> None:
    """N(0, 0.02^2) for A and B, the same on every load; PEFT agrees where it is given the same tensors."""
    untrained, trained = look(adapter="wide", role="untrained"), look(adapter="wide")
    one = loader()
    model = one.get(untrained)
    drawn = {n: p for n, p in model.base.backbone.named_parameters() if "lora_" in n}
    assert len(drawn) == 2 * 3 * len(SIX_TARGETS)
    values = torch.cat([p.flatten() for p in drawn.values()])
    assert abs(values.std().item() - 0.02) < 0.001 and abs(values.mean().item()) < 0.001
    again = logits(loader(), untrained)
    np.testing.assert_array_equal(logits(one, untrained), again)
    assert np.abs(again - logits(one, trained)).max() > 0.01

    copy = copied(shelf / "wide", tmp_path / "copy") / "adapter_model.safetensors"
    tensors = {n: t for n, t in load_file(copy).items() if "lora_" not in n}
    for name, parameter in drawn.items():
        plain = name.replace(f".{model.adapter}.", ".")
        tensors[f"base_model.model.{plain}"] = parameter.detach().clone()
    for part in ("projector", "classifier"):
        linear = getattr(model.head, part)
        tensors |= {
            f"base_model.model.{part}.weight": linear.weight.clone(),
            f"base_model.model.{part}.bias": linear.bias.clone(),
        }
    save_file(tensors, copy, metadata={"format": "pt"})
    same(again, own_logits(adapted(shelf / "base", copy.parent), shelf / "base"))


# One base in memory


def test_models_over_one_base_share_its_weights(look: Describe, shelf: Path, tmp_path: Path) -> None:
    one = loader()
    infos = [look(head="head"), look(adapter="lora"), look(base=copied(shelf / "base", tmp_path / "b"), adapter="wide")]
    before = {n: p.data_ptr() for n, p in one.get(infos[0]).base.backbone.encoder.named_parameters()}
    models = [one.get(info) for info in infos]
    assert models[0].base is models[1].base is models[2].base
    own = {
        n.replace(".base_layer", ""): p.data_ptr()
        for n, p in models[2].base.backbone.encoder.named_parameters()
        if "lora_" not in n
    }
    assert own == before
    held = sum(p.numel() for p in models[0].base.backbone.parameters())
    lora = sum(infos[i].parameters - infos[0].parameters for i in (1, 2))
    assert held == sum(t.numel() for n, t in load_file(shelf / "full/model.safetensors").items() if "enc" in n) + lora
    assert one.get(look(base="full")).base is not models[0].base
    assert len({id(model.head) for model in models}) == 3


def test_nothing_is_left_to_train(look: Describe) -> None:
    one = loader()
    for info in (look(adapter="lora"), look(adapter="wide"), look(head="head")):
        logits(one, info)
        model = one.get(info)
        for part in (model.base.backbone, model.head.projector, model.head.classifier):
            assert not any(p.requires_grad for p in part.parameters())
        assert not any(module.training for module in model.base.backbone.modules())


def test_a_model_is_loaded_once(look: Describe) -> None:
    one, info = loader(), look(adapter="lora")
    assert one.get(info) is one.get(info)
    assert [model.name for model in one.memory.loaded] == ["It"]


# Refused on loading, and the others go on


def nan_adapter(shelf: Path, to: Path) -> dict[str, object]:
    file = copied(shelf / "lora", to) / "adapter_model.safetensors"
    put_nan(file, "base_model.model.encoder.layers.1.self_attn.q_proj.lora_B.weight")
    return {"adapter": to}


def nan_adapter_head(shelf: Path, to: Path) -> dict[str, object]:
    put_nan(copied(shelf / "lora", to) / "adapter_model.safetensors", "base_model.model.classifier.weight")
    return {"adapter": to}


def nan_base(shelf: Path, to: Path) -> dict[str, object]:
    put_nan(copied(shelf / "base", to) / "model.safetensors", "model.encoder.layers.2.fc1.weight")
    return {"base": to, "head": "head"}


def nan_head(shelf: Path, to: Path) -> dict[str, object]:
    put_nan(copied(shelf / "head", to) / "model.safetensors", "projector.bias")
    return {"head": to}


def infinite_adapter(shelf: Path, to: Path) -> dict[str, object]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[first(tensors, "lora_A")][0, 0] = -torch.inf

    edit_tensors(copied(shelf / "lora", to) / "adapter_model.safetensors", change)
    return {"adapter": to}


def another_rank(shelf: Path, to: Path) -> dict[str, object]:
    edit_json(copied(shelf / "lora", to) / "adapter_config.json", r=8)
    return {"adapter": to}


def another_rank_pattern(shelf: Path, to: Path) -> dict[str, object]:
    edit_json(copied(shelf / "lora", to) / "adapter_config.json", rank_pattern={"v_proj": 3})
    return {"adapter": to}


def config_adapts_more(shelf: Path, to: Path) -> dict[str, object]:
    edit_json(copied(shelf / "lora", to) / "adapter_config.json", target_modules=r".*(q|v|k)_proj")
    return {"adapter": to}


def config_adapts_less(shelf: Path, to: Path) -> dict[str, object]:
    edit_json(copied(shelf / "lora", to) / "adapter_config.json", target_modules=["v_proj"])
    return {"adapter": to}


def odd_config(shelf: Path, to: Path) -> dict[str, object]:
    edit_json(copied(shelf / "lora", to) / "adapter_config.json", layers_to_transform="some", target_modules=".*v_proj")
    return {"adapter": to}


def other_encoder(shelf: Path, to: Path) -> dict[str, object]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["encoder.layers.1.self_attn.v_proj.weight"] += 0.01

    classifier_over(shelf / "base", 1).save_pretrained(to)
    edit_tensors(to / "model.safetensors", change)
    return {"head": to}


def base_without_a_layer(shelf: Path, to: Path) -> dict[str, object]:
    copied(shelf / "base", to)
    edit_tensors(to / "model.safetensors", lambda t: {n: x for n, x in t.items() if "encoder.layers.2." not in n})
    return {"base": to, "head": "head"}


def base_with_a_layer_more(shelf: Path, to: Path) -> dict[str, object]:
    edit_json(copied(shelf / "base", to) / "config.json", encoder_layers=2)
    return {"base": to, "head": "head"}


def base_of_another_depth_than_its_config(shelf: Path, to: Path) -> dict[str, object]:
    edit_json(copied(shelf / "base", to) / "config.json", encoder_ffn_dim=64)
    return {"base": to, "head": "head"}


def heads_that_do_not_divide(shelf: Path, to: Path) -> dict[str, object]:
    edit_json(copied(shelf / "base", to) / "config.json", encoder_attention_heads=5)
    return {"base": to, "head": "head"}


def truncated_since(shelf: Path, to: Path) -> dict[str, object]:
    copied(shelf / "lora", to)
    return {"adapter": to}


REFUSED = [
    (
        nan_adapter,
        "holds NaN or Inf in base_model.model.encoder.layers.1.self_attn.q_proj.lora_B.weight",
    ),
    (nan_adapter_head, "/adapter_model.safetensors holds NaN or Inf in base_model.model.classifier.weight"),
    (nan_base, "/model.safetensors holds NaN or Inf in model.encoder.layers.2.fc1.weight: training diverged there"),
    (nan_head, "/model.safetensors holds NaN or Inf in projector.bias"),
    (infinite_adapter, "holds NaN or Inf in base_model.model.encoder.layers.0.self_attn.q_proj.lora_A.weight"),
    (another_rank, "holds rank 5 for encoder.layers.0.self_attn.q_proj, its config says rank 8"),
    (another_rank_pattern, "holds rank 5 for encoder.layers.0.self_attn.v_proj, its config says rank 3"),
    (
        config_adapts_more,
        "lacks the weights of encoder.layers.0.self_attn.k_proj and 2 more, which",
    ),
    (
        config_adapts_less,
        "holds weights of encoder.layers.0.self_attn.q_proj and 2 more, which its config",
    ),
    (odd_config, "/adapter_config.json is refused by PEFT: `layers_to_transform` cannot be used"),
    (
        other_encoder,
        "has an encoder of its own that differs from the base's (encoder.layers.1.self_attn.v",
    ),
    (base_without_a_layer, "lacks encoder.layers.2."),
    (base_with_a_layer_more, "which its config.json does not expect"),
    (base_of_another_depth_than_its_config, "does not fit its config.json: encoder.layers.0.fc1"),
    (heads_that_do_not_divide, "/config.json describes no encoder (embed_dim must be divisible by num_heads"),
    (truncated_since, "/adapter_model.safetensors is not a whole safetensors file"),
]


@pytest.mark.parametrize(("make", "expected"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_what_can_not_be_loaded_is_refused_and_the_others_stay_usable(
    look: Describe,
    shelf: Path,
    tmp_path: Path,
    make: Callable[[Path, Path], dict[str, object]],
    expected: str,
) -> None:
    one, frozen, wide, lora = loader(), look(head="head"), look(adapter="wide"), look(adapter="lora")
    before = logits(one, frozen), logits(one, wide)
    info = look(**make(shelf, tmp_path / "it"))
    if make is truncated_since:
        file = tmp_path / "it" / "adapter_model.safetensors"
        file.write_bytes(file.read_bytes()[:-10])
    for _ in range(2):  # asked again, it is refused again
        with pytest.raises(Refusal) as caught:
            one.get(info)
        sentence = str(caught.value)
        assert expected in sentence
        assert str(tmp_path / "it") in sentence and "\n" not in sentence
        np.testing.assert_array_equal(before, (logits(one, frozen), logits(one, wide)))
    same(logits(one, lora), own_logits(adapted(shelf / "base", shelf / "lora"), shelf / "base"))


def test_a_frozen_head_in_a_full_checkpoint_of_the_same_encoder_is_taken(
    look: Describe, shelf: Path, tmp_path: Path
) -> None:
    """Also in half precision, and also where adapters were put into the base before."""
    full = classifier_over(shelf / "base", 1)
    full.save_pretrained(tmp_path / "same")
    classifier_over(shelf / "base", 1).half().save_pretrained(tmp_path / "half")
    one = loader()
    one.get(look(adapter="wide"))
    same(logits(one, look(head=tmp_path / "same")), own_logits(full, shelf / "base"))
    np.testing.assert_allclose(logits(one, look(head=tmp_path / "half")), own_logits(full, shelf / "base"), atol=0.01)
