"""From a registry entry to a model's files: what is found, and the sentence for what can't be used."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core import paths
from core.errors import Refusal
from core.models.describe import describe, describe_registry
from core.models.info import Role
from core.models.registry import Entry
from core.store.index import Index
from tests.checkpoints import (
    LABELS,
    classifier_over,
    save_adapter,
    save_base,
    save_head,
    small_config,
    write_registry,
)
from tests.conftest import SIX_TARGETS
from tests.models.workshop import Describe, copied, edit_json, edit_tensors, first


def refusal(look: Describe, **entry: object) -> str:
    with pytest.raises(Refusal) as caught:
        look(**entry)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


# What is found


def test_an_adapter_is_described_from_its_headers(look: Describe, shelf: Path) -> None:
    info = look(adapter="wide")
    assert (info.role, info.rank, info.labels, info.group) == (Role.LORA, 3, LABELS, "base")
    assert [module.name for module in info.lora] == [f"{layer}.{t}" for layer in range(3) for t in SIX_TARGETS]
    shape = info.shape
    assert (shape.layers, shape.width, shape.frames, shape.mel_frames, shape.mel_bins) == (3, 32, 50, 100, 80)
    assert (shape.samples_per_frame, shape.window_samples, shape.seconds_per_frame) == (320, 16_000, 0.02)
    assert info.files.adapter == shelf / "wide" / "adapter_model.safetensors"


def test_parameters_are_those_of_encoder_adapter_and_head(look: Describe, shelf: Path) -> None:
    model = classifier_over(shelf / "base", 0)
    encoder = sum(p.numel() for p in model.encoder.parameters())
    head = sum(p.numel() for module in (model.projector, model.classifier) for p in module.parameters())
    lora = sum(t.numel() for n, t in load_file(shelf / "lora/adapter_model.safetensors").items() if "lora_" in n)
    assert look(head="head").parameters == encoder + head
    assert look(adapter="lora").parameters == encoder + head + lora
    assert look(base="full").parameters == encoder + head


def test_paths_are_relative_to_the_registry_file(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "shelf").symlink_to(shelf)
    file = write_registry(
        tmp_path / "there" / "r.toml",
        [{"name": "a", "base": "../shelf/base", "head": "../shelf/head"}, {"name": "b", "base": str(shelf / "full")}],
    )
    monkeypatch.chdir(tmp_path)
    for spelling in (file, Path("there/r.toml")):
        models = describe_registry(spelling, Index(tmp_path / "index.sqlite"))
        assert [m.name for m in models.models] == ["a", "b"], models.refused


def test_the_kind_of_base_makes_no_difference(look: Describe, shelf: Path, tmp_path: Path) -> None:
    """A WhisperForConditionalGeneration checkpoint's encoder, or a WhisperForAudioClassification one."""
    config = small_config(layers=2, width=32, seconds=1)
    hub = look(base=save_base(tmp_path / "hub", config), head="head")
    own = look(base=save_base(tmp_path / "own", config, classifier=True), head="head")
    assert hub.shape == own.shape
    assert look(base=tmp_path / "own").role is Role.FULL


def test_a_sharded_base_is_read_from_all_its_shards(look: Describe, shelf: Path, tmp_path: Path) -> None:
    model = classifier_over(shelf / "base", 4)
    model.save_pretrained(tmp_path / "sharded", max_shard_size="40KB")
    whole = look(base="full")
    info = look(base=tmp_path / "sharded")
    assert len(info.files.encoder) > 2
    assert (info.shape, info.labels, info.parameters) == (whole.shape, LABELS, whole.parameters)
    info.files.encoder[1].unlink()
    assert refusal(look, base=tmp_path / "sharded") == (
        f"{info.files.encoder[1]} is missing though model.safetensors.index.json lists it: copy or download it again."
    )


def trainer_output(shelf: Path, directory: Path, steps: tuple[int, ...], best: int | None = None) -> Path:
    """What transformers' Trainer leaves behind: a checkpoint per evaluation and its state in each."""
    for step in steps:
        made = copied(shelf / "lora", directory / f"checkpoint-{step}")
        state = {"global_step": step}
        if best is not None:
            state["best_model_checkpoint"] = f"/home/someone/runs/checkpoint-{best}"
        (made / "trainer_state.json").write_text(json.dumps(state))
    (directory / "checkpoint-100-old").mkdir()
    (directory / "runs").mkdir()
    return directory


@pytest.mark.parametrize(("best", "chosen"), [(None, 10), (8, 8), (7, 10)])
def test_of_a_trainers_output_the_best_checkpoint_is_taken_else_the_last(
    look: Describe, shelf: Path, tmp_path: Path, best: int | None, chosen: int
) -> None:
    """By number: 10 comes after 9. A best one that was deleted since (here 7) is not missed."""
    directory = trainer_output(shelf, tmp_path / "out", (8, 9, 10), best)
    info = look(adapter=directory)
    assert info.files.adapter == directory / f"checkpoint-{chosen}" / "adapter_model.safetensors"


def test_an_adapter_saved_at_the_end_goes_before_the_trainers_checkpoints(
    look: Describe, shelf: Path, tmp_path: Path
) -> None:
    directory = trainer_output(shelf, copied(shelf / "lora", tmp_path / "out"), (8, 9))
    assert look(adapter=directory).files.adapter == directory / "adapter_model.safetensors"


def test_an_empty_trainer_output_is_refused(look: Describe, tmp_path: Path) -> None:
    (tmp_path / "out" / "checkpoint-5").mkdir(parents=True)
    assert "has no adapter_config.json" in refusal(look, adapter=tmp_path / "out")


def test_class_names_come_from_the_checkpoints_own_config(look: Describe, shelf: Path, tmp_path: Path) -> None:
    names = ("sadness", "neutral", "anger")
    save_head(tmp_path / "head", shelf / "base", labels=names)
    assert look(head=tmp_path / "head", labels=()).labels == names
    assert look(base="full", labels=()).labels == LABELS
    assert look(base="full", labels=tuple("abcd")).labels == tuple("abcd")


def test_the_usual_role_follows_from_what_is_given(look: Describe) -> None:
    assert look(head="head").role is Role.FROZEN
    assert look(adapter="lora").role is Role.LORA
    assert look(base="full").role is Role.FULL
    assert look(adapter="lora", role="untrained").role is Role.UNTRAINED
    assert look(adapter="lora", head="head").files.head[0].parent.name == "head"


def test_layers_and_projections_are_chosen_as_peft_allows(look: Describe, shelf: Path, tmp_path: Path) -> None:
    base = shelf / "base"
    chosen: dict[str, dict[str, object]] = {
        "some-layers": {"layers_to_transform": [0, 2], "target_modules": ["v_proj"]},
        "one-layer": {"layers_to_transform": 1, "target_modules": ["v_proj", "fc1"]},
        "pattern": {"target_modules": r"encoder\.layers\.[01]\.self_attn\.(q|v)_proj"},
        "full-path": {"target_modules": ["encoder.layers.1.fc2"]},
        "exclude": {"target_modules": ["v_proj"], "exclude_modules": ["encoder.layers.1.self_attn.v_proj"]},
        "ranks": {"target_modules": ["q_proj", "v_proj"], "rank_pattern": {"layers.1.self_attn.v_proj": 9}},
    }
    found = {}
    for name, config in chosen.items():
        save_adapter(tmp_path / name, base, **config)
        found[name] = [f"{m.name}:{m.rank}" for m in look(adapter=tmp_path / name).lora]
    assert found == {
        "some-layers": ["0.v_proj:5", "2.v_proj:5"],
        "one-layer": ["1.v_proj:5", "1.fc1:5"],
        "pattern": ["0.q_proj:5", "0.v_proj:5", "1.q_proj:5", "1.v_proj:5"],
        "full-path": ["1.fc2:5"],
        "exclude": ["0.v_proj:5", "2.v_proj:5"],
        "ranks": ["0.q_proj:5", "0.v_proj:5", "1.q_proj:5", "1.v_proj:9", "2.q_proj:5", "2.v_proj:5"],
    }


# Class names that are not there


@pytest.mark.parametrize("spelling", ["none", "LABEL_0", "of another count"])
def test_without_class_names_the_line_to_add_is_spelled_out(
    look: Describe, shelf: Path, tmp_path: Path, spelling: str
) -> None:
    full = copied(shelf / "full", tmp_path / "full")
    named = {"none": None, "LABEL_0": {str(i): f"LABEL_{i}" for i in range(4)}, "of another count": {"0": "a"}}
    edit_json(full / "config.json", id2label=named[spelling], label2id=None)
    assert 'labels = ["anger", "happiness", "neutral", "sadness"]' in refusal(look, base=full, labels=())


def test_an_adapter_needs_the_line_too(look: Describe) -> None:
    sentence = refusal(look, adapter="lora", labels=())
    assert sentence == (
        'its checkpoint does not name its 4 classes: add the line labels = ["anger", "happiness", "neutral", '
        '"sadness"] to the registry, in the index order it was trained with.'
    )


def test_the_wrong_number_of_class_names_is_refused(look: Describe) -> None:
    sentence = "`labels` names 3 classes, its classifier has 4: name each, in order."
    assert refusal(look, adapter="lora", labels=("a", "b", "c")) == sentence


# What is refused: each names the file, says what is wrong and what to do


def test_what_is_not_there_is_refused(look: Describe, shelf: Path) -> None:
    assert refusal(look, base="gone", head="head") == (
        f"{shelf}/gone does not exist: check the path (it is relative to the registry file)."
    )
    assert "is a file; name the directory that holds it" in refusal(look, base="base/config.json")
    assert f"{shelf} has no config.json" in refusal(look, base=".")
    assert "base has no adapter_config.json" in refusal(look, adapter="base")
    assert "lora holds no model.safetensors" in refusal(look, head="lora")


def test_roles_that_contradict_the_files_are_refused(look: Describe) -> None:
    assert "needs `adapter`" in refusal(look, head="head", role="lora")
    assert "needs `adapter`" in refusal(look, role="untrained")
    assert "has no adapter: remove `adapter`" in refusal(look, adapter="lora", role="frozen")
    assert "has no projector and classifier: add `head = …` or `adapter = …`" in refusal(look)


def test_pickled_weights_are_refused_and_never_opened(look: Describe, shelf: Path, tmp_path: Path) -> None:
    for source, stem, role in (
        ("lora", "adapter_model", "adapter"),
        ("base", "model", "base"),
        ("head", "model", "head"),
    ):
        made = copied(shelf / source, tmp_path / source)
        weights = made / f"{stem}.safetensors"
        pickled = made / ("pytorch_model.bin" if stem == "model" else "adapter_model.bin")
        torch.save(load_file(weights), pickled)
        weights.unlink()
        entry: dict[str, object] = {role: made} if role != "base" else {role: made, "head": "head"}
        sentence = refusal(look, **entry)
        assert sentence.startswith(f"{pickled} is pickled")
        assert "safe_serialization=True" in sentence


def test_a_pickle_beside_safetensors_is_not_minded(look: Describe, shelf: Path, tmp_path: Path) -> None:
    made = copied(shelf / "lora", tmp_path / "lora")
    (made / "training_args.bin").write_bytes(b"\x80\x04.")
    assert look(adapter=made).rank == 5


def drop(part: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if name != first(tensors, part)}


def rename(old: str, new: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda tensors: {name.replace(old, new): tensor for name, tensor in tensors.items()}


def reshape(part: str, shape: tuple[int, ...]) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[first(tensors, part)] = torch.zeros(shape)

    return change


BROKEN_ADAPTERS = {
    "no head": (
        lambda t: {n: x for n, x in t.items() if "lora_" in n},
        "holds no projector and classifier: train with modules_to_save=['projector', 'classifier'], or add `head = …`",
    ),
    "no classifier bias": (drop("classifier.bias"), "lacks classifier.bias"),
    "no projector": (drop("projector.weight"), "lacks projector.weight"),
    "no LoRA": (lambda t: {n: x for n, x in t.items() if "lora_" not in n}, "holds no LoRA weights of the encoder"),
    "no A": (drop("lora_A"), "lacks lora_A of layer 0's q_proj"),
    "no B": (drop("lora_B"), "lacks lora_B of layer 0's q_proj"),
    "a module less": (
        lambda t: {n: x for n, x in t.items() if "layers.1.self_attn.v_proj" not in n},
        "lacks the weights of encoder.layers.1.self_attn.v_proj, which its config adapts",
    ),
    "decoder too": (rename("encoder.layers.2", "decoder.layers.2"), "it adapts the decoder too"),
    "something else": (
        lambda t: t | {"base_model.model.encoder.conv1.lora_A.weight": torch.zeros(2, 3)},
        "holds base_model.model.encoder.conv1.lora_A.weight: it is no LoRA or head weight",
    ),
    "DoRA": (
        lambda t: t | {"base_model.model.encoder.layers.0.self_attn.q_proj.lora_magnitude_vector": torch.zeros(3)},
        "lora_magnitude_vector: it is no LoRA or head weight",
    ),
    "deeper": (rename("layers.2", "layers.7"), "adapts layer 7, its base has layers 0 to 2: wrong base?"),
    "wider": (reshape("lora_A", (5, 48)), "does not fit its base: for layer 0's q_proj A is 5 x 48"),
    "taller": (reshape("lora_B", (48, 5)), "B 48 x 5, the base's projection is 32 x 32"),
    "ranks apart": (reshape("lora_B", (32, 4)), "B 32 x 4"),
    "A is a vector": (reshape("lora_A", (32,)), "does not fit its base"),
    "A of a convolution": (reshape("lora_A", (5, 32, 3)), "does not fit its base"),
    "wide projector": (reshape("projector.weight", (24, 48)), "its projector is 24 x 48"),
    "head apart": (reshape("classifier.weight", (4, 20)), "its classifier 4 x 20, the encoder's width is 32"),
    "projector is a vector": (reshape("projector.weight", (32,)), "does not fit"),
    "long bias": (reshape("classifier.bias", (5,)), "does not fit"),
}


@pytest.mark.parametrize("case", BROKEN_ADAPTERS)
def test_an_adapter_that_does_not_fit_is_refused(look: Describe, shelf: Path, tmp_path: Path, case: str) -> None:
    change, expected = BROKEN_ADAPTERS[case]
    file = copied(shelf / "lora", tmp_path / "lora") / "adapter_model.safetensors"
    edit_tensors(file, change)
    sentence = refusal(look, adapter=file.parent)
    assert expected in sentence
    assert str(file) in sentence


VARIANTS = {
    "dora": ({"use_dora": True}, "sets use_dora = True, a LoRA variant that is not supported"),
    "lora_bias": ({"lora_bias": True}, "sets lora_bias = True"),
    "bias": ({"bias": "all"}, "trains biases (bias = 'all')"),
    "bias of LoRA": ({"bias": "lora_only"}, "trains biases (bias = 'lora_only')"),
    "PiSSA": ({"init_lora_weights": "pissa"}, "was initialised by 'pissa', which changes the base's weights"),
    "fast PiSSA": ({"init_lora_weights": "pissa_niter_4"}, "was initialised by 'pissa_niter_4'"),
    "OLoRA": ({"init_lora_weights": "olora"}, "was initialised by 'olora'"),
    "LoftQ": ({"init_lora_weights": "loftq"}, "was initialised by 'loftq'"),
    "replication": ({"layer_replication": [[0, 2]]}, "sets layer_replication"),
    "parameters": ({"target_parameters": ["x"]}, "sets target_parameters"),
    "a variant to come": ({"use_tomorrows_lora": True}, "sets use_tomorrows_lora = True"),
    "IA3": ({"peft_type": "IA3"}, "is a IA3 adapter; LoRAscope reads LORA ones"),
    "no type": ({"peft_type": None}, "is a None adapter"),
}


@pytest.mark.parametrize("case", VARIANTS)
def test_what_is_not_plain_lora_is_refused(look: Describe, shelf: Path, tmp_path: Path, case: str) -> None:
    changes, expected = VARIANTS[case]
    file = copied(shelf / "lora", tmp_path / "lora") / "adapter_config.json"
    edit_json(file, **changes)
    sentence = refusal(look, adapter=file.parent)
    assert expected in sentence
    assert str(file) in sentence


@pytest.mark.parametrize(
    "lora", [{"use_dora": True}, {"lora_bias": True}, {"bias": "all"}, {"init_lora_weights": "pissa"}]
)
def test_variants_saved_by_peft_itself_are_refused(
    look: Describe, shelf: Path, tmp_path: Path, lora: dict[str, object]
) -> None:
    save_adapter(tmp_path / "variant", shelf / "base", **lora)
    refusal(look, adapter=tmp_path / "variant")


@pytest.mark.parametrize("init", [True, False, "gaussian", "orthogonal"])
def test_plain_initialisations_are_taken(look: Describe, shelf: Path, tmp_path: Path, init: object) -> None:
    adapter = copied(shelf / "lora", tmp_path / "lora")
    edit_json(adapter / "adapter_config.json", init_lora_weights=init)
    assert look(adapter=adapter).rank == 5


@pytest.mark.parametrize("keep", [0, 5, 200, 4000])
@pytest.mark.parametrize("which", ["adapter", "base", "head"])
def test_a_truncated_file_is_refused(look: Describe, shelf: Path, tmp_path: Path, which: str, keep: int) -> None:
    source = {"adapter": "lora/adapter_model.safetensors"}.get(which, f"{which}/model.safetensors")
    made = copied((shelf / source).parent, tmp_path / which)
    file = made / Path(source).name
    os.truncate(file, keep)
    sentence = refusal(look, **({"head": "head"} | {which: made}))
    assert sentence.startswith(f"{file} is not a whole safetensors file")
    assert sentence.endswith("copy or download it again.")


def test_a_base_that_is_not_whisper_is_refused(look: Describe, shelf: Path, tmp_path: Path) -> None:
    base = copied(shelf / "base", tmp_path / "base")
    edit_json(base / "config.json", model_type="wav2vec2")
    assert "is a wav2vec2 checkpoint, not Whisper" in refusal(look, base=base, head="head")


def test_a_base_without_an_encoder_is_refused(look: Describe, shelf: Path, tmp_path: Path) -> None:
    base = copied(shelf / "base", tmp_path / "base")
    edit_tensors(base / "model.safetensors", lambda t: {n: x for n, x in t.items() if "encoder." not in n})
    assert "holds no Whisper encoder" in refusal(look, base=base, head="head")


@pytest.mark.parametrize(
    "setting", ["encoder_layers", "d_model", "max_source_positions", "num_mel_bins", "encoder_ffn_dim"]
)
def test_a_config_without_the_encoders_shape_is_refused(
    look: Describe, shelf: Path, tmp_path: Path, setting: str
) -> None:
    base = copied(shelf / "base", tmp_path / "base")
    edit_json(base / "config.json", **{setting: None})
    sentence = refusal(look, base=base, adapter="lora")
    assert setting in sentence and str(base) in sentence


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"chunk_length": 30}, "its feature extractor cuts 30 s, its encoder takes 1 s (50 positions)"),
        ({"feature_size": 128}, "makes 128 mel bins, its encoder takes 80"),
        ({"sampling_rate": 8000}, "expects audio at 8000 Hz"),
        ({"hop_length": 200}, "make chunk_length and max_source_positions agree"),
        ({"hop_length": "often"}, "preprocessor_config.json"),
        ({"chunk_length": [1]}, "preprocessor_config.json"),
    ],
)
def test_a_feature_extractor_of_another_model_is_refused(
    look: Describe, shelf: Path, tmp_path: Path, changes: dict[str, object], expected: str
) -> None:
    base = copied(shelf / "base", tmp_path / "base")
    edit_json(base / "preprocessor_config.json", **changes)
    sentence = refusal(look, base=base, head="head")
    assert expected in sentence
    assert str(base) in sentence


def test_a_base_without_a_feature_extractor_gets_whispers_own(look: Describe, shelf: Path, tmp_path: Path) -> None:
    base = copied(shelf / "base", tmp_path / "base")
    (base / "preprocessor_config.json").unlink()
    assert look(base=base, head="head").shape == look(head="head").shape


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff"])
@pytest.mark.parametrize("file", ["base/config.json", "base/preprocessor_config.json", "lora/adapter_config.json"])
def test_damaged_json_is_refused_with_the_files_name(
    look: Describe, shelf: Path, tmp_path: Path, file: str, text: str
) -> None:
    base, lora = copied(shelf / "base", tmp_path / "base"), copied(shelf / "lora", tmp_path / "lora")
    (tmp_path / file).write_bytes(text.encode("latin-1"))
    assert str(tmp_path / file) in refusal(look, base=base, adapter=lora)


# Fingerprints


def test_fingerprints_are_of_contents_not_of_names(look: Describe, shelf: Path, tmp_path: Path) -> None:
    plain = look(adapter="lora").fingerprint
    assert look(adapter="lora", group="x", labels=tuple("abcd")).fingerprint == plain
    assert look(adapter=copied(shelf / "lora", tmp_path / "b")).fingerprint == plain
    assert look(base=copied(shelf / "base", tmp_path / "a"), adapter="lora").fingerprint == plain
    assert look(adapter="lora", role="untrained").fingerprint != plain
    assert look(adapter="lora", head="head").fingerprint != plain
    assert look(adapter="wide").fingerprint != plain


def test_a_fingerprint_is_the_same_on_every_machine(look: Describe, shelf: Path, tmp_path: Path) -> None:
    """Also where nothing is remembered of the files."""
    again = describe(Entry("It", "base", shelf, adapter="lora", labels=LABELS), Index(tmp_path / "other.sqlite"))
    assert again.fingerprint == look(adapter="lora").fingerprint


@pytest.mark.parametrize(
    "file",
    [
        "base/model.safetensors",
        "base/config.json",
        "base/preprocessor_config.json",
        "lora/adapter_model.safetensors",
        "lora/adapter_config.json",
    ],
)
def test_any_byte_of_weights_or_config_changes_the_fingerprint(
    look: Describe, shelf: Path, tmp_path: Path, file: str
) -> None:
    base, lora = copied(shelf / "base", tmp_path / "base"), copied(shelf / "lora", tmp_path / "lora")
    before = look(base=base, adapter=lora)
    data = bytearray((tmp_path / file).read_bytes())
    if file.endswith(".json"):
        data = data.replace(b"\n", b"\n ", 1)
    else:
        data[-1] ^= 1
    (tmp_path / file).write_bytes(data)
    after = look(base=base, adapter=lora)
    assert after.fingerprint != before.fingerprint
    # what models over one base share in memory: encoder and feature extractor
    assert (after.base_fingerprint != before.base_fingerprint) == file.startswith("base/")


def test_a_heads_bytes_change_the_fingerprint(look: Describe, shelf: Path, tmp_path: Path) -> None:
    head = save_head(tmp_path / "head", shelf / "base", seed=1)
    before = look(head=head)
    assert before.fingerprint == look(head="head").fingerprint
    save_head(head, shelf / "base", seed=9)
    after = look(head=head)
    assert after.fingerprint != before.fingerprint
    assert after.base_fingerprint == before.base_fingerprint


# The Hub's cache on this machine

ON_THE_HUB = """
import sys
from pathlib import Path
from core.models.describe import describe_registry
from core.store.index import Index
models = describe_registry(Path(sys.argv[1]), Index(Path(sys.argv[2])), download=sys.argv[3] == "yes")
for model in models.models:
    print(model.name, model.files.encoder[0], sep="|")
for model in models.refused:
    print(model.reason)
assert "torch" not in sys.modules
"""


def into_hub_cache(home: Path, repository: str, source: Path, commit: str = "c" * 40, ref: str = "main") -> Path:
    """A snapshot as huggingface_hub lays it out: refs, blobs and links to them."""
    folder = home / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    for directory in (folder / "refs", folder / "blobs", snapshot):
        directory.mkdir(parents=True, exist_ok=True)
    (folder / "refs" / ref).write_text(commit)
    for file in source.iterdir():
        blob = folder / "blobs" / f"{commit[:4]}{file.name}"
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


def ask_hub(registry: Path, home: Path, *, download: bool = False) -> list[str]:
    """Describe a registry in a process of its own, offline, with `home` as the Hub's cache."""
    done = subprocess.run(
        [sys.executable, "-c", ON_THE_HUB, str(registry), str(home / "index.sqlite"), "yes" if download else "no"],
        cwd=paths.ROOT,
        env=os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def test_hub_ids_are_found_in_the_local_cache_and_never_fetched_unasked(shelf: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    main = into_hub_cache(home, "someone/whisper-tiny", shelf / "base")
    pinned = into_hub_cache(home, "someone/whisper-tiny", shelf / "full", "d" * 40, "v1")
    adapter = into_hub_cache(home, "someone/lora", shelf / "lora")
    half = into_hub_cache(home, "someone/half", shelf / "base")
    (half / "model.safetensors").unlink()  # as when only its config or tokenizer was ever used
    registry = write_registry(
        tmp_path / "models.toml",
        [
            {"name": "hub", "base": "someone/whisper-tiny", "adapter": "someone/lora", "labels": LABELS},
            {"name": "pinned", "base": "someone/whisper-tiny", "revision": "v1"},
            {"name": "absent", "base": "someone/absent"},
            {"name": "half", "base": "someone/half"},
            {"name": "no revision", "base": "someone/whisper-tiny", "revision": "v2"},
            {"name": "no id", "base": "a/b/c"},
        ],
    )
    assert adapter.is_dir()
    found = ask_hub(registry, home)
    assert found[:2] == [f"hub|{main}/model.safetensors", f"pinned|{pinned}/model.safetensors"]
    fetch = "is not on this machine yet: fetch it once with `python -m core models --check`, or give the path"
    assert found[2].startswith(f"absent: someone/absent {fetch}")
    assert found[3].startswith(f"half: someone/half {fetch}")
    assert found[4].startswith(f"no revision: someone/whisper-tiny {fetch}")
    assert found[5].startswith(f"no id: {tmp_path}/a/b/c does not exist")

    asked = ask_hub(registry, home, download=True)
    assert asked[:2] == found[:2]
    for line, name in ((asked[2], "absent"), (asked[4], "whisper-tiny")):
        assert f"someone/{name} is no local directory and could not be fetched from the Hub" in line
        assert "check the name and the network" in line
    assert "holds no model.safetensors" in asked[3]
