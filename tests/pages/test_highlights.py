"""Which demo clips come first."""

import json
from pathlib import Path

from core.corpora.source import DEMO, Listed, list_source
from core.ui.highlights import highlights

CLIPS = [
    Listed(f"{speaker}_{label}.flac", Path("x"), label, speaker)
    for speaker in ("A", "B")
    for label in ("anger", "sadness")
]


def measured(folder: Path, *models: dict[str, str]) -> Path:
    path = folder / "metrics.json"
    path.write_text(json.dumps({"shipped_clips": {"models": {str(i): {"answers": m} for i, m in enumerate(models)}}}))
    return path


def test_the_clip_that_one_model_gets_wrong_comes_first(tmp_path: Path) -> None:
    right = {clip.name: clip.label for clip in CLIPS}
    metrics = measured(tmp_path, right | {"B_sadness.flac": "anger"}, right, right)
    assert [clip.name for clip in highlights(CLIPS, metrics)] == ["B_sadness.flac", "A_anger.flac"]


def test_without_measurements_labels_and_speakers_still_differ(tmp_path: Path) -> None:
    assert [clip.name for clip in highlights(CLIPS, tmp_path / "none.json")] == ["A_anger.flac", "B_sadness.flac"]
    broken = tmp_path / "broken.json"
    broken.write_text("[]")
    assert len(highlights(CLIPS, broken)) == 2
    assert highlights([], broken) == []


def test_the_demo_has_some() -> None:
    clips = highlights(list_source(DEMO).clips)
    assert len({clip.label for clip in clips}) == 4
