"""The Models page: what is here, adding good models, refusing bad ones with a reason, removing, auditing, looking after
the cache."""

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import paths
from core.engine.build import worker_config
from core.engine.runner import Runner
from core.models.memory import Memory, ModelMemory
from core.models.registry import read_registry
from core.settings import settings
from core.store.key import Key, Kind, Precision
from core.training.manifest import MANIFEST
from core.ui import context
from core.ui.chores import chores
from core.ui.models_page import known
from tests.checkpoints import LABELS, save_base, small_config, write_registry
from tests.models.workshop import copied, headless, pickled, truncated, with_nan
from tests.pages.conftest import TIMEOUT_S, Dashboard, chart, until, words
from tests.pages.test_overview import point_at

PAGE, CLIP = "pages/8_Models.py", "pages/1_Clip.py"


@pytest.fixture
def mine(shelf: Path, tmp_path: Path, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of two models that the test may change, with comments in it, over an engine that loads for real."""
    registry = write_registry(
        tmp_path / "mine.toml",
        [
            {"name": "Frozen", "base": str(shelf / "base"), "head": str(shelf / "head"), "group": "tiny"},
            {"name": "LoRA", "base": str(shelf / "base"), "adapter": str(shelf / "lora"), "labels": LABELS}
            | {"group": "tiny"},
        ],
    )
    registry.write_text(f"# about all of it\n\n{registry.read_text()}# the end\n")
    monkeypatch.setenv("LORASCOPE_DEVICE", "cpu")
    point_at(registry, monkeypatch)
    monkeypatch.setattr(dashboard.inventor, "check", Runner(worker_config(settings())).check)
    return registry


def names(registry: Path) -> list[str]:
    return [entry.name for entry in read_registry(registry)[0]]


def open_page(dashboard: Dashboard, voices: Path, **address: str | list[str]) -> AppTest:
    """The page over the eight voices, with the clips read."""
    return settle(dashboard.open(PAGE, source=f"folder:{voices}", **address))


def settle(app: AppTest) -> AppTest:
    """Wait for what goes on in the background, as the page's polling would, and run it again."""
    until(lambda: not chores().active)
    app.run(timeout=TIMEOUT_S)
    assert not app.exception
    return app


def add(app: AppTest, place: Path | str, name: str, *, kind: str = "LoRA adapter", labels: str = "") -> AppTest:
    app.segmented_control(key="add_kind").set_value(kind).run()
    app.text_input(key="add_place").set_value(str(place))
    app.text_input(key="add_name").set_value(name)
    app.text_input(key="add_group").set_value("tiny")
    app.text_input(key="add_labels").set_value(labels)
    app.button(key="add").click().run()
    return settle(app)


def error(app: AppTest) -> str:
    return "\n".join(element.value for element in app.error)


# The registry as a table


def test_the_table_says_what_the_files_say(dashboard: Dashboard, mine: Path, voices: Path) -> None:
    app = open_page(dashboard, voices)
    table = app.dataframe[0].value
    assert list(table["model"]) == ["Frozen", "LoRA"]
    assert list(table["rank"]) == ["–", "5"]
    assert list(table["alpha"]) == ["–", "7"]
    assert list(table["targets"]) == ["–", "q_proj, v_proj"]
    assert list(table["layers"]) == ["–", "all 3"]
    assert list(table["trained on"]) == ["not known"] * 2
    assert list(table["these clips"]) == ["unknown"] * 2
    assert "Of Frozen and LoRA nobody can tell" in words(app)


def test_a_model_that_can_not_be_used_is_named_with_its_reason(dashboard: Dashboard, mine: Path, voices: Path) -> None:
    mine.write_text(mine.read_text() + '[[model]]\nname = "Gone"\nbase = "nowhere"\n')
    app = open_page(dashboard, voices)
    assert "2 models can be used, 1 can't" in words(app)
    assert [element.value for element in app.warning if element.value.startswith("Gone: ")]


@pytest.mark.parametrize("aspect", ["training", "audit", "differences", "cache", "engine"])
def test_without_a_usable_model_every_part_stays(dashboard: Dashboard, mine: Path, voices: Path, aspect: str) -> None:
    mine.write_text('[[model]]\nname = "Gone"\nbase = "nowhere"\n')
    app = open_page(dashboard, voices, aspect=aspect)
    assert "0 models can be used, 1 can't" in words(app)
    assert "Gone" in app.selectbox(key="remove_name").options


# Adding


def test_a_good_model_is_added_and_can_be_chosen_on_the_clip_page(
    dashboard: Dashboard, mine: Path, shelf: Path, voices: Path
) -> None:
    before = mine.read_text()
    app = add(open_page(dashboard, voices), shelf / "wide", "Wide", labels=", ".join(LABELS))
    assert "Wide loads and was added." in [element.value for element in app.success]
    assert list(app.dataframe[0].value["model"]) == ["Frozen", "LoRA", "Wide"]
    assert mine.read_text().startswith(before), "what the user wrote stays"
    link = next(one.proto for one in app.get("page_link") if one.proto.label == "Look at a clip with it")
    assert link.page == "Clip" and "models=Wide" in link.query_string
    clip = dashboard.open(CLIP, source=f"folder:{voices}", clip="clip1.wav", models=["Frozen", "Wide"])
    assert "Wide" in clip.multiselect(key="models").options
    assert clip.multiselect(key="models").value == ["Frozen", "Wide"]
    dashboard.settle(clip)
    assert dashboard.inventor.seen == ["Frozen", "Wide"]


def test_a_trained_head_and_a_whole_model_are_added_by_their_own_names_of_classes(
    dashboard: Dashboard, mine: Path, shelf: Path, voices: Path
) -> None:
    app = add(open_page(dashboard, voices), shelf / "head", "Head", kind="trained head")
    app = add(app, shelf / "full", "Full", kind="whole model")
    assert names(mine) == ["Frozen", "LoRA", "Head", "Full"]
    assert list(app.dataframe[0].value["role"]) == ["frozen", "lora", "frozen", "full"]


@pytest.mark.parametrize(
    ("make", "labels", "sentence"),
    [
        (pickled, True, "adapter_model.bin is pickled, which can run code when it is opened: save it as safetensors"),
        (headless, True, "adapter_model.safetensors holds no projector and classifier: train with modules_to_save"),
        (with_nan, True, "NaN"),
        (truncated, True, "is not a whole safetensors file"),
        (copied, False, 'add the line labels = ["anger", "happiness"'),
        (lambda adapter, to: to, True, "bad does not exist: check the path"),
    ],
    ids=["pickled", "no head", "NaN", "truncated", "unknown classes", "no such place"],
)
def test_a_bad_model_is_refused_with_its_reason_and_nothing_is_written(
    dashboard: Dashboard,
    mine: Path,
    shelf: Path,
    voices: Path,
    tmp_path: Path,
    make: Callable[[Path, Path], Path],
    labels: bool,
    sentence: str,
) -> None:
    before = mine.read_text()
    place = make(shelf / "lora", tmp_path / "bad")
    app = add(open_page(dashboard, voices), place, "Bad", labels=", ".join(LABELS) if labels else "")
    assert error(app).startswith("Bad was not added: ")
    assert sentence in error(app)
    assert mine.read_text() == before
    assert list(app.dataframe[0].value["model"]) == ["Frozen", "LoRA"], "the others stay usable"


def test_an_adapter_of_another_base_is_refused(
    dashboard: Dashboard, mine: Path, shelf: Path, voices: Path, tmp_path: Path
) -> None:
    wide = save_base(tmp_path / "wider", small_config(layers=3, width=48, seconds=1))
    mine.write_text(mine.read_text() + f'[[model]]\nname = "No head"\nbase = "{wide}"\n')  # so that it is offered
    app = open_page(dashboard, voices)
    app.selectbox(key="add_base").set_value(str(wide)).run()
    app = add(app, shelf / "lora", "Bad", labels=", ".join(LABELS))
    assert "does not fit its base" in error(app)
    assert names(mine) == ["Frozen", "LoRA", "No head"]


def test_the_page_stays_alive_while_a_model_is_checked(
    dashboard: Dashboard, mine: Path, shelf: Path, voices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading takes as long as it takes: the click returns at once, and says what is going on."""
    real = dashboard.inventor.check
    dashboard.inventor.gate.clear()
    monkeypatch.setattr(
        dashboard.inventor, "check", lambda model: real(model) if dashboard.inventor.gate.wait(TIMEOUT_S) else "late"
    )
    app = open_page(dashboard, voices)
    app.text_input(key="add_place").set_value(str(shelf / "wide"))
    app.text_input(key="add_name").set_value("Wide")
    app.text_input(key="add_labels").set_value(", ".join(LABELS))
    began = time.monotonic()
    app.button(key="add").click().run()
    assert time.monotonic() - began < TIMEOUT_S / 2
    assert any("Checking Wide" in element.value for element in app.info)
    dashboard.inventor.gate.set()
    assert "Wide loads and was added." in [element.value for element in settle(app).success]


def test_a_name_that_is_taken_or_missing_is_refused(
    dashboard: Dashboard, mine: Path, shelf: Path, voices: Path
) -> None:
    app = add(open_page(dashboard, voices), shelf / "wide", "LoRA", labels=", ".join(LABELS))
    assert "There is a model 'LoRA' in mine.toml already" in error(app)
    assert "`name` is missing" in error(add(app, shelf / "wide", ""))
    app.text_input(key="add_place").set_value("")
    app.button(key="add").click().run()
    assert "Give the path or hub id" in words(app)
    assert names(mine) == ["Frozen", "LoRA"]


# Removing


def test_a_model_is_removed_and_brought_back(dashboard: Dashboard, mine: Path, voices: Path) -> None:
    before = mine.read_text()
    app = open_page(dashboard, voices)
    assert names(mine) == ["Frozen", "LoRA"]
    app.selectbox(key="remove_name").set_value("LoRA").run()
    assert names(mine) == ["Frozen", "LoRA"], "choosing it is not yet removing it"
    app.button(key="remove").click().run()
    assert not app.exception
    assert names(mine) == ["Frozen"]
    assert list(app.dataframe[0].value["model"]) == ["Frozen"]
    assert app.multiselect(key="models").value == ["Frozen"]
    app.button(key="undo").click().run()
    assert mine.read_text() == before
    assert list(app.dataframe[0].value["model"]) == ["Frozen", "LoRA"]


def test_the_last_model_stays(dashboard: Dashboard, mine: Path, voices: Path) -> None:
    app = open_page(dashboard, voices)
    for name in ("LoRA", "Frozen"):
        app.selectbox(key="remove_name").set_value(name).run()
        app.button(key="remove").click().run()
        assert not app.exception
    assert names(mine) == ["Frozen"]
    assert "Frozen is the only model" in words(app)


# What lies beside the checkpoints

_OTHER_CLIPS = "None of the models above was trained on IEMOCAP"


@pytest.fixture
def trained(dashboard: Dashboard, mine: Path, shelf: Path, tmp_path: Path) -> Path:
    """The LoRA model again, with the demo's manifest beside it; its directory."""
    place = copied(shelf / "lora", tmp_path / "run" / "fold1")
    shutil.copy(paths.DEMO / "lora-r8" / MANIFEST, place / MANIFEST)
    entry = f'[[model]]\nname = "Trained"\nbase = "{shelf / "base"}"\nadapter = "{place}"\ngroup = "tiny"\n'
    mine.write_text(mine.read_text() + entry + f"labels = {json.dumps(LABELS)}\n")
    return place


def facts(place: Path, **splits: dict[str, list[str]]) -> None:
    data = json.loads((place / MANIFEST).read_text())
    empty = {"clip_ids": [], "speakers": [], "sessions": [], "dialogs": [], "scripts": []}
    data["splits"] = {name: empty | splits.get(name, {}) for name in ("train", "validation", "test")}
    (place / MANIFEST).write_text(json.dumps(data))


def test_training_curves_and_scores_come_from_the_manifest(dashboard: Dashboard, trained: Path, voices: Path) -> None:
    app = open_page(dashboard, voices)
    traces = chart(app, "training")["data"]
    assert {trace["name"] for trace in traces} == {"Trained"}
    table = app.dataframe[0].value.set_index("model")
    assert table.loc["Trained", "UAR"] == "0.773"
    assert table.loc["Trained", "scored on"] == "validation"
    assert list(app.dataframe[2].value["validation clips"]) == ["480"]
    assert "Without a training manifest, so not shown: Frozen, LoRA." in words(app)


def test_the_papers_scores_stand_beside_ours_as_its_own(dashboard: Dashboard, trained: Path, voices: Path) -> None:
    app = open_page(dashboard, voices)
    scores = app.dataframe[1].value.set_index("method")
    assert scores.loc["LoRA r=8", "UAR"] == "0.773"
    theirs = scores.loc["LoRA, the paper's"]
    assert (theirs["base"], theirs["clips"]) == ("openai/whisper-large-v2", "IEMOCAP")
    assert (theirs["UAR"], theirs["WAR"]) == ("0.774 ± 0.026", "0.768 ± 0.035")
    assert "arXiv 2509.08454" in words(app) and "11 other rows are not held here" in words(app)
    assert _OTHER_CLIPS in words(app)


def test_scores_over_iemocap_can_be_held_against_the_papers(dashboard: Dashboard, trained: Path, voices: Path) -> None:
    data = json.loads((trained / MANIFEST).read_text()) | {"source": ["iemocap:/data"]}
    (trained / MANIFEST).write_text(json.dumps(data))
    app = open_page(dashboard, voices)
    assert "the paper's Table 1" in words(app)
    assert _OTHER_CLIPS not in words(app)


def test_without_manifests_the_page_says_so(dashboard: Dashboard, mine: Path, voices: Path) -> None:
    assert "None of the chosen models has a training manifest" in words(open_page(dashboard, voices))


def test_a_damaged_manifest_is_named_and_the_page_stays(dashboard: Dashboard, trained: Path, voices: Path) -> None:
    (trained / MANIFEST).write_text("{")
    app = open_page(dashboard, voices)
    assert [element.value for element in app.warning if "manifest.json can't be read" in element.value]


def test_the_audit_holds_a_checkpoint_against_the_sidebars_clips(
    dashboard: Dashboard, trained: Path, voices: Path
) -> None:
    """The same checkpoint, two slices: one speaker was heard, the other was not."""
    facts(trained, train={"clip_ids": ["x"], "speakers": ["S0"]}, validation={"clip_ids": ["y"], "speakers": ["S9"]})
    app = open_page(dashboard, voices, aspect="audit", checkpoint="Trained")
    assert "1 of these 2 speakers was in training: S0." in words(app)
    assert "Do not trust scores of Trained on these 8 clips" in words(app)
    app.selectbox(key="speaker").set_value("S1").run()
    app = settle(app)
    assert "This speaker was not in training." in words(app)
    assert "Trained can be trusted on these 4 clips" in words(app)
    table = app.dataframe[0].value.set_index("model")
    assert table.loc["Trained", "these clips"] == "unseen"


def test_clips_that_can_not_be_listed_are_named_and_the_table_stays(dashboard: Dashboard, mine: Path) -> None:
    app = settle(dashboard.open(PAGE, source="folder:/nowhere/at/all"))
    assert "/nowhere/at/all" in error(app)
    assert list(app.dataframe[0].value["model"]) == ["Frozen", "LoRA"]


@pytest.mark.parametrize("aspect", ["training", "audit"])
def test_how_many_clips_are_read_is_said(
    dashboard: Dashboard, mine: Path, voices: Path, monkeypatch: pytest.MonkeyPatch, aspect: str
) -> None:
    """A large corpus takes minutes, the first time."""
    fourth, going = threading.Event(), threading.Event()
    real = known.identify

    def slow(listed, decoder, index, progress):  # type: ignore[no-untyped-def]
        def advance(done: int) -> None:
            progress(done)
            if done == 4:
                fourth.set()
                assert going.wait(TIMEOUT_S)

        return real(listed, decoder, index, advance)

    monkeypatch.setattr(known, "identify", slow)
    app = dashboard.open(PAGE, source=f"folder:{voices}", aspect=aspect)
    assert fourth.wait(TIMEOUT_S)
    app.run()
    places = 1 if aspect == "training" else 2  # the answer, and the audit
    assert words(app).count("to see whether training heard them: 4 of 8 …") == places
    going.set()
    assert "Reading the clips" not in words(settle(app))


def test_clips_that_can_not_be_read_are_counted(dashboard: Dashboard, mine: Path, voices: Path, tmp_path: Path) -> None:
    folder = copied(voices, tmp_path / "clips")
    (folder / "clip1.wav").write_bytes(b"no sound")
    app = open_page(dashboard, folder, aspect="audit")
    assert "1 of the clips can't be read. clip1.wav: " in words(app)


def test_where_no_clip_can_be_read_that_is_said(dashboard: Dashboard, mine: Path, voices: Path, tmp_path: Path) -> None:
    folder = copied(voices, tmp_path / "clips")
    for place in folder.glob("*.wav"):
        place.write_bytes(b"no sound")
    assert "None of the clips can be read" in words(open_page(dashboard, folder))


# Two models side by side


def test_what_differs_comes_first_and_alone(dashboard: Dashboard, mine: Path, voices: Path) -> None:
    app = open_page(dashboard, voices, aspect="differences", one="Frozen", other="LoRA")
    differ, same = app.dataframe[1].value, app.dataframe[2].value
    assert dict(zip(differ["setting"], differ["LoRA"], strict=True))["rank"] == "5"
    assert all(differ["Frozen"] != differ["LoRA"])
    assert {"classes", "encoder layers", "base fingerprint"} <= set(same["setting"])
    assert not set(differ["setting"]) & set(same["setting"])


# Cache, engine, jobs


def test_the_cache_is_counted_verified_and_pruned(dashboard: Dashboard, mine: Path, voices: Path) -> None:
    clip = dashboard.open(CLIP, source=f"folder:{voices}", clip="clip1.wav")
    dashboard.settle(clip)
    store = context.store()
    bad = Key(Kind.RESULT, "model", "request", Precision())
    store.path(bad).parent.mkdir(parents=True, exist_ok=True)
    store.path(bad).write_bytes(b"flipped")
    app = open_page(dashboard, voices, aspect="cache")
    table = app.dataframe[1].value.set_index("kind")
    assert table.loc["forward", "records"] == "2"
    app.button(key="verify").click().run()
    assert "2 records are good, 1 were damaged and are dropped." in words(settle(app))
    assert not store.path(bad).exists()
    app.number_input(key="prune_to").set_value(0.0).run()
    app.button(key="prune").click().run()
    assert "Freed" in words(settle(app))
    assert store.stats().records == 0


def test_an_empty_cache_says_so(dashboard: Dashboard, mine: Path, voices: Path) -> None:
    assert "Nothing is kept yet" in words(open_page(dashboard, voices, aspect="cache"))


def test_weights_over_the_budget_are_said_where_the_engine_is_shown(
    dashboard: Dashboard, mine: Path, voices: Path
) -> None:
    wide = ModelMemory("LoRA", "print", "base", own_bytes=1_000_000, base_bytes=2_000_000_000)
    sentence = "LoRA alone: 2 GB of weights, more than the 1 GB that models may take."
    assert sentence not in words(open_page(dashboard, voices, aspect="engine"))
    dashboard.inventor.memory = Memory(1_000_000_000, (wide,))
    dashboard.settle(dashboard.open(CLIP, source=f"folder:{voices}", clip="clip1.wav"))
    app = open_page(dashboard, voices, aspect="engine")
    assert any(sentence in element.value for element in app.warning), "on the page"
    assert any(sentence in element.value for element in app.sidebar.caption), "and on every other one"


def test_jobs_and_the_engine_are_shown(dashboard: Dashboard, mine: Path, voices: Path) -> None:
    dashboard.settle(dashboard.open(CLIP, source=f"folder:{voices}", clip="clip1.wav"))
    app = open_page(dashboard, voices, aspect="engine")
    assert "Engine ready · cpu · float32" in words(app)
    jobs = app.dataframe[1].value
    assert list(jobs["passes"]) == ["2 of 2"]
    assert list(jobs["state"]) == ["done"]
