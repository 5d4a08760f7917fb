"""Which demo clips come first."""

import json
from pathlib import Path

from core.corpora.source import DEMO, Listed, list_source
from core.ui.highlights import Look, highlights

MODELS = ["Frozen", "LoRA"]
CLIPS = [
    Listed(f"{speaker}_{label}.flac", Path("x"), label, speaker)
    for speaker in ("A", "B")
    for label in ("anger", "sadness")
]
STORY = {"clip": "B_anger.flac", "title": "Only LoRA hears it", "text": "Frozen says sadness.", "models": MODELS}


def measured(folder: Path, **facts: object) -> Path:
    path = folder / "metrics.json"
    path.write_text(json.dumps(facts))
    return path


def test_without_measurements_labels_and_speakers_still_differ(tmp_path: Path) -> None:
    looks = highlights(CLIPS, MODELS, tmp_path / "none.json")
    assert [look.clip.name for look in looks] == ["A_anger.flac", "B_sadness.flac"]
    broken = tmp_path / "broken.json"
    broken.write_text("[]")
    assert len(highlights(CLIPS, MODELS, broken)) == 2
    assert highlights([], MODELS, broken) == []


def test_what_the_build_found_comes_as_it_was_written(tmp_path: Path) -> None:
    corrected = STORY | {"clip": "A_sadness.flac", "models": ["LoRA"], "variant": "corrected"}
    metrics = measured(tmp_path, stories=[STORY, corrected])
    title, text = "Only LoRA hears it", "Frozen says sadness."
    assert highlights(CLIPS, MODELS, metrics) == [
        Look(CLIPS[2], title, text, ("Frozen", "LoRA")),
        Look(CLIPS[1], title, text, ("LoRA",), "corrected"),
    ]


def test_no_story_about_models_or_clips_that_are_not_there(tmp_path: Path) -> None:
    """Under another registry its sentence would say what nobody can see."""
    metrics = measured(tmp_path, stories=[STORY | {"clip": "gone.flac"}, STORY])
    assert [look.clip.name for look in highlights(CLIPS, MODELS, metrics)] == ["B_anger.flac"]
    assert [look.text for look in highlights(CLIPS, ["LoRA"], metrics)] == ["", ""]


def test_stories_that_make_no_sense_are_passed_over(tmp_path: Path) -> None:
    for stories in (None, [], ["text"], [{"clip": "A_anger.flac"}], [STORY | {"models": None}]):
        assert len(highlights(CLIPS, MODELS, measured(tmp_path, stories=stories))) == 2


def test_the_demo_has_some() -> None:
    looks = highlights(list_source(DEMO).clips, [])
    assert len({look.clip.label for look in looks}) == 4
