"""A whole build in miniature: every step runs, what comes out loads cleanly, and a second run redoes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from core.demo.build import Sizes, build
from core.demo.runs import Training
from tests.cli.command import lorascope

TINY = Sizes(
    utterances=20,
    renderings=2,
    backbone_epochs=1,
    train_speakers=4,
    validation_speakers=2,
    sentences=1,
    test_sentences=1,
    training=Training(ranks=(2,), seeds=(4,), head_epochs=2, lora_epochs=1, fold_head_epochs=1, fold_lora_epochs=1),
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORASCOPE_DEVICE", "cpu")
        return folder, build(folder / "out", folder / "work", TINY, processes=2)


def test_every_table_is_there(built: tuple[Path, dict[str, Any]]) -> None:
    folder, metrics = built
    assert metrics == json.loads((folder / "out/metrics.json").read_text())
    assert [row["name"] for row in metrics["shipped_clips"]] == ["Frozen", "LoRA r=2", "LoRA r=2, labels shuffled"]
    assert [(row["name"], len(row["members"])) for row in metrics["folds"]] == [("Frozen", 10), ("LoRA r=2", 10)]
    card = (folder / "out/MODEL_CARD.md").read_text()
    assert all(name in card for name in ("synthetic", "| LoRA r=2, labels shuffled |", "| 10 folds |"))
    assert "synthetic" in (folder / "out/DATA_CARD.md").read_text()


def test_base_is_a_whisper_checkpoint_without_missing_or_unexpected_keys(built: tuple[Path, dict[str, Any]]) -> None:
    out = built[0] / "out"
    base, info = WhisperForConditionalGeneration.from_pretrained(out / "base", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    extractor = WhisperFeatureExtractor.from_pretrained(out / "base")
    assert extractor.feature_size == base.config.num_mel_bins
    assert extractor.chunk_length * 50 == base.config.max_source_positions
    assert extractor.nb_max_frames == 2 * base.config.max_source_positions


def test_what_ships_is_half_precision_of_the_first_seed_without_our_paths(built: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = built
    trained = load_file(folder / "work/runs/lora-r2-seed4/fold1/adapter_model.safetensors")
    shipped = load_file(folder / "out/lora-r2/adapter_model.safetensors")
    assert {name: str(tensor.dtype) for name, tensor in shipped.items()} == dict.fromkeys(trained, "float16")
    assert all(abs(shipped[name] - trained[name]).max() < 2e-3 for name in trained)
    for file in (folder / "out").rglob("*.json"):
        assert str(folder / "work/demo/base") not in file.read_text(), file.name


def test_no_shipped_speaker_or_clip_was_trained_on(built: tuple[Path, dict[str, Any]]) -> None:
    """And the shipped folders can be evaluated again where they lie, with the same numbers."""
    folder, metrics = built
    out = folder / "out"
    again = ("--runs", out / "frozen", out / "lora-r2", "--clips", f"iemocap:{out / 'clips'}")
    done = lorascope("evaluate", *again, "--out", folder / "again", "--cache", folder / "cache")
    assert done.code == 0, done.err
    rows = json.loads((folder / "again/evaluate.json").read_text())["rows"]
    assert [row["uar"] for row in rows] == [row["uar"] for row in metrics["shipped_clips"][:2]]
    for row in rows:
        assert "none of these clips" in done.out
        audit = row["members"][0]["audit"]
        assert not audit.get("clips") and not audit.get("speakers")


def test_a_second_run_redoes_nothing_and_other_sizes_are_refused(built: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = built
    weights = sorted((folder / "work" / "runs").rglob("*.safetensors"))
    before = [file.stat().st_mtime_ns for file in weights]
    build(folder / "out", folder / "work", TINY)
    assert [file.stat().st_mtime_ns for file in weights] == before
    with pytest.raises(RuntimeError, match="other sizes"):
        build(folder / "out", folder / "work", Sizes(utterances=21))
