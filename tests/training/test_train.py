"""Training real checkpoints through the command line: what is written, and that the registry takes it as it is."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from core import paths
from tests.cli.command import Answer, environment, lorascope, rows
from tests.conftest import LABELS
from tests.corpora.trees import iemocap_tree

Train = Callable[..., Answer]
QUICK = ("--epochs", "3", "--learning-rate", "0.01", "--batch-size", "16")


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


@pytest.fixture(scope="module")
def head(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Heads on the frozen encoder, all ten folds."""
    out = tmp_path_factory.mktemp("head")
    done = train("--rank", "0", *QUICK, "--out", out)
    assert done.code == 0, done.err
    return out


@pytest.fixture(scope="module")
def lora(train: Train, head: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapters on two layers' q and v, first two folds, heads from the frozen run's own folds."""
    out = tmp_path_factory.mktemp("lora")
    what = ("--rank", "3", "--targets", "q_proj,v_proj", "--layers", "0,2", "--class-weights")
    done = train(*what, *QUICK, "--fold", "1,2", "--head", head, "--out", out)
    assert done.code == 0, done.err
    return out


def test_ten_folds_by_speaker_leave_both_speakers_of_the_session_out(head: Path) -> None:
    held_out = []
    for number in range(1, 11):
        facts = manifest(head / f"fold{number}")
        splits = {name: set(split["speakers"]) for name, split in facts["splits"].items()}
        (tested,), (validated,) = splits["test"], splits["validation"]
        assert tested[:5] == validated[:5]
        assert len(splits["train"]) == 8
        assert all(speaker[:5] != tested[:5] for speaker in splits["train"])
        audit = facts["audit"]["train_test"]
        assert [name for name, both in audit.items() if both] in ([], ["scripts"])  # a script is played in any session
        assert not facts["leaking"] and not facts["audit"]["selection_on_test"]
        held_out.append(tested)
    assert held_out == [f"Ses0{session}{sex}" for session in range(1, 6) for sex in "FM"]


def test_a_manifest_says_everything(lora: Path, corpus: str, shelf: Path) -> None:
    facts = manifest(lora / "fold2")
    assert facts["command"].startswith("python -m core train --base")
    assert facts["source"] == [corpus]
    assert facts["base"] == str(shelf / "base")
    assert (facts["method"], facts["rank"], facts["alpha"], facts["targets"]) == ("lora", 3, 6.0, ["q_proj", "v_proj"])
    assert (facts["layers"], facts["seed"], facts["scheme"], facts["fold"]) == ([0, 2], 42, "speakers", "fold2")
    assert facts["labels"] == list(LABELS)
    assert {name: len(split["clip_ids"]) for name, split in facts["splits"].items()} == {
        "train": 64,
        "validation": 8,
        "test": 8,
    }
    assert [epoch["epoch"] for epoch in facts["epochs"]] == [1, 2, 3]
    scores = [epoch["validation_uar"] for epoch in facts["epochs"]]
    assert facts["best_epoch"] == 1 + scores.index(max(scores))
    assert facts["results"]["validation"]["uar"] == pytest.approx(max(scores)), "the best epoch's weights were loaded"
    assert sum(map(sum, facts["results"]["test"]["confusion"])) == facts["results"]["test"]["n"] == 8
    assert {"torch", "transformers", "peft", "lorascope", "python"} <= set(facts["versions"])


def test_only_what_the_registry_needs_is_left(head: Path, lora: Path) -> None:
    left = {path.name for path in (lora / "fold1").iterdir()}
    assert left == {"adapter_config.json", "adapter_model.safetensors", "manifest.json"}
    assert {path.name for path in (head / "fold1").iterdir()} == {"config.json", "model.safetensors", "manifest.json"}
    config = json.loads((lora / "fold1" / "adapter_config.json").read_text())
    assert config["layers_to_transform"] == [0, 2]
    tensors = load_file(lora / "fold1/adapter_model.safetensors")
    assert {name.split(".layers.")[1][0] for name in tensors if ".layers." in name} == {"0", "2"}


@pytest.mark.parametrize("kind", ["head", "lora"])
def test_the_registry_takes_it_and_gives_the_trainers_own_answers(
    kind: str, request: pytest.FixtureRequest, corpus: str, tmp_path: Path
) -> None:
    """Adapter or head, read by the engine, has the confusion matrix that the Trainer's network had."""
    out = request.getfixturevalue(kind)
    facts = manifest(out / "fold1")
    words = ("--clips", corpus, "--where", f"speaker={facts['held_out']}", "--registry", out / "models.toml")
    name = "Frozen fold1" if kind == "head" else "LoRA r=3 fold1"
    done = lorascope("analyze", "predict", "--models", name, *words, "--out", tmp_path, "--cache", tmp_path / "cache")
    assert done.code == 0, done.err
    best: dict[str, tuple[float, str]] = {}
    for row in rows(tmp_path / "predict.csv"):
        if row["statistic"] == "prob":
            best[row["clip_id"]] = max(best.get(row["clip_id"], (0.0, "")), (float(row["value"]), row["component"]))
    truth = {clip["clip_id"]: clip["label"] for clip in json.loads((tmp_path / "run.json").read_text())["clips"]}
    confusion = [[sum(truth[c] == t and best[c][1] == g for c in truth) for g in LABELS] for t in LABELS]
    assert confusion == facts["results"]["test"]["confusion"]


def test_the_head_starts_from_the_one_given(train: Train, head: Path, tmp_path: Path) -> None:
    """With a learning rate of next to nothing, the adapter's head is the frozen run's of the same fold."""
    still = ("--rank", "2", "--epochs", "1", "--learning-rate", "1e-12")
    done = train(*still, "--fold", "3", "--head", head, "--out", tmp_path / "o")
    assert done.code == 0, done.err
    ours = load_file(tmp_path / "o/fold3/adapter_model.safetensors")
    theirs = load_file(head / "fold3/model.safetensors")
    found = [tensor for name, tensor in ours.items() if name.endswith("classifier.weight")]
    assert len(found) == 1 and abs(found[0] - theirs["classifier.weight"]).max() < 1e-6


def test_full_fine_tuning(train: Train, tmp_path: Path, shelf: Path) -> None:
    """All of the encoder changes but the sinusoids, and the checkpoint is a model like any other."""
    done = train("--full", "--epochs", "1", "--learning-rate", "0.01", "--fold", "1", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    ours, base = load_file(tmp_path / "o/fold1/model.safetensors"), load_file(shelf / "base/model.safetensors")
    still = [name for name in ours if name.startswith("encoder.") and (ours[name] == base[f"model.{name}"]).all()]
    assert still == ["encoder.embed_positions.weight"]
    checked = lorascope(
        "models", "--check", "--registry", tmp_path / "o/models.toml", LORASCOPE_CACHE_DIR=str(tmp_path)
    )
    assert checked.code == 0, checked.err


def test_the_released_split_is_shown_to_leak(train: Train, tmp_path: Path) -> None:
    done = train("--preset", "released", "--rank", "0", "--epochs", "1", "--fold", "1", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    assert "leaks" in done.err
    facts = manifest(tmp_path / "o/fold1")
    assert facts["leaking"] and facts["audit"]["selection_on_test"]
    assert facts["audit"]["train_test"]["speakers"] == ["Ses01F", "Ses01M"]
    assert facts["splits"]["validation"] == facts["splits"]["test"]


def test_an_odd_release_trains_on_what_can_be_used_and_lists_the_rest(train: Train, tmp_path: Path) -> None:
    """A label without sound and an empty file are casualties; `xxx` and `fru` are in no fold."""
    odd = f"iemocap:{iemocap_tree(tmp_path, per_class=1, seconds=0.2)}"
    done = train("--clips", odd, "--rank", "0", "--epochs", "1", "--fold", "2", "--out", tmp_path / "o")
    assert done.code == 3, done.err
    facts = manifest(tmp_path / "o/fold2")
    assert len(facts["casualties"]) == 2
    assert all(reason in done.err for reason in facts["casualties"])
    sizes = {name: (len(split["clip_ids"]), split["speakers"]) for name, split in facts["splits"].items()}
    others = [f"Ses0{session}{sex}" for session in range(2, 6) for sex in "FM"]
    assert sizes == {"train": (32, others), "validation": (4, ["Ses01F"]), "test": (4, ["Ses01M"])}
    assert facts["labels"] == list(LABELS)
    assert any("xxx" in note for note in facts["notes"])


def test_killed_and_resumed_is_the_same_to_the_bit(shelf: Path, corpus: str, tmp_path: Path) -> None:
    """kill -9 between epochs; dropout, shuffling and the optimizer go on where they were."""
    words = ("--rank", "4", "--dropout", "0.3", "--epochs", "6", "--learning-rate", "0.005", "--fold", "1")
    data = ("--base", str(shelf / "base"), "--clips", corpus, "--cache", str(tmp_path / "cache"))
    assert lorascope("train", *data, *words, "--out", tmp_path / "whole").code == 0
    command = [sys.executable, "-m", "core", "train", *data, *words, "--out", str(tmp_path / "killed")]
    process = subprocess.Popen(command, cwd=paths.ROOT, env=environment(), stderr=subprocess.DEVNULL)
    fold = tmp_path / "killed" / "fold1"
    deadline = time.monotonic() + 120
    while len(list(fold.glob("checkpoint-*/trainer_state.json"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (fold / "manifest.json").exists(), "it was killed too late to show anything"
    # a checkpoint that was being written when it happened
    half = shutil.copytree(max(fold.glob("checkpoint-*")), fold / "checkpoint-9999")
    (half / "trainer_state.json").unlink()
    done = lorascope(*command[3:])
    assert done.code == 0, done.err
    assert "epoch 1 of 6" not in done.err
    weights = [load_file(tmp_path / name / "fold1/adapter_model.safetensors") for name in ("whole", "killed")]
    assert weights[0].keys() == weights[1].keys()
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
    both = [manifest(tmp_path / name / "fold1") for name in ("whole", "killed")]
    assert both[0]["results"] == both[1]["results"] and both[0]["epochs"] == both[1]["epochs"]


def test_early_stopping(train: Train, tmp_path: Path) -> None:
    """Nothing gets better at a learning rate of next to nothing: it ends after the patience."""
    still = ("--rank", "0", "--epochs", "9", "--learning-rate", "1e-12")
    done = train(*still, "--patience", "2", "--fold", "1", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    facts = manifest(tmp_path / "o/fold1")
    assert (len(facts["epochs"]), facts["best_epoch"], facts["stopped_early"]) == (3, 1, True)


def test_the_same_call_again_trains_nothing_again(train: Train, head: Path) -> None:
    before = (head / "fold1/manifest.json").stat().st_mtime_ns
    done = train("--rank", "0", *QUICK, "--out", head)
    assert done.code == 0 and "epoch" not in done.err
    assert "test UAR:" in done.out and "over 10 folds" in done.out
    assert (head / "fold1/manifest.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--rank", "0", "--epochs", "4"), "holds a run with other recipe (epochs was 3, is 4): give another --out"),
        (("--rank", "0", "--epochs", "3", "--seed", "1"), "holds a run with other seed"),
    ],
)
def test_another_run_into_the_same_place_is_refused(
    train: Train, head: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = train(*QUICK, *words, "--out", head)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--fold", "11"), "'11' is no fold; there are 1 to 10"),
        (("--folds", "given"), "The split of 80 clips are not known"),
        (("--where", "emotion=anger"), "All of these clips are anger"),
        (("--layers", "0,7"), "--layers names layer 7"),
        (("--dtype", "float16"), "--dtype float16 needs a GPU"),
        (("--base", "nowhere/at/all"), "does not exist"),
        (("--head", "nowhere"), "nowhere"),
    ],
)
def test_what_can_not_be_trained_is_refused_in_one_sentence(
    train: Train, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = train(*words, "--out", tmp_path / "o")
    assert done.code == 2, done.err
    assert sentence in done.err and "Traceback" not in done.err
