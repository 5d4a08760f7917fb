"""`evaluate`: the same answers as `analyze predict`, scored; registry models and trained folds."""

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from core.audio.decoder import decoder
from core.corpora.clip import Clip
from core.corpora.folder import list_folder
from core.corpora.folds import Fold
from core.emotions import canonical
from core.errors import Refusal
from core.models.describe import describe_base
from core.models.registry import Entry
from core.store.index import Index
from core.training.manifest import about_fold, write_manifest
from core.training.recipe import Recipe
from tests.checkpoints import (
    LABELS,
    classifier_over,
    save_adapter,
    save_base,
    save_extractor,
    save_head,
    small_config,
    write_registry,
)
from tests.cli.command import Answer, Rows, pick, rows
from tests.conftest import save_sound

Quick = Callable[..., Answer]
PERMUTED = ("sad", "angry", "hap", "neutrality")


def corpus(folder: Path, labels: Sequence[str], speakers: Sequence[str]) -> Path:
    table = [("file_name", "label", "speaker")]
    for i, (label, speaker) in enumerate(zip(labels, speakers, strict=True)):
        save_sound(folder / f"c{i}.wav", 0.3 + 0.03 * i, i)
        table.append((f"c{i}.wav", label, speaker))
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows(table)
    return folder


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen clips: four speakers who say each emotion once."""
    return corpus(
        tmp_path_factory.mktemp("four"), [LABELS[i % 4] for i in range(16)], [f"S{i // 4}" for i in range(16)]
    )


def clips_in(folder: Path) -> list[Clip]:
    found = []
    for listed in list_folder(folder).clips:
        try:
            waveform = decoder().decode_file(listed.path)
        except Refusal:
            continue
        found.append(
            Clip(waveform.clip_id, listed.name, waveform.samples.size, listed.path, listed.label, listed.speaker)
        )
    return found


def said(quick: Quick, out: Path, *words: object) -> dict[str, dict[str, str]]:
    """What `analyze predict` has each model say of each clip: its likeliest class, by the name it goes by."""
    assert quick("analyze", "predict", "--out", out, *words).code == 0
    best: dict[str, dict[str, tuple[float, str]]] = {}
    for row in rows(out / "predict.csv"):
        heard = (float(row["value"]), canonical(row["component"]))
        of_model = best.setdefault(row["model"], {})
        of_model[row["clip_id"]] = max(heard, of_model.get(row["clip_id"], heard))
    return {model: {clip: name for clip, (_, name) in answers.items()} for model, answers in best.items()}


def value(table: Rows, **wanted: str) -> float:
    (row,) = pick(table, **({"versus": "", "component": ""} | wanted))
    return float(row["value"])


def check_scores(table: Rows, model: str, truth: list[str], guess: list[str]) -> None:
    """The CSV's numbers of a model against scikit-learn, by class names."""
    assert value(table, model=model, statistic="uar") == pytest.approx(
        recall_score(truth, guess, labels=sorted(set(truth)), average="macro")
    )
    assert value(table, model=model, statistic="war") == pytest.approx(accuracy_score(truth, guess))
    counts = confusion_matrix(truth, guess, labels=LABELS)
    for i, true in enumerate(LABELS):
        for j, other in enumerate(LABELS):
            assert value(table, model=model, statistic="confusion", component=f"{true}>{other}") == counts[i, j]


def evaluation(out: Path) -> dict[str, Any]:
    return json.loads((out / "evaluate.json").read_text(encoding="utf-8"))


# Models of the registry


def test_scores_are_those_of_what_analyze_predicts(quick: Quick, registry: Path, voices: Path, tmp_path: Path) -> None:
    words = ("--models", "all", "--clips", f"folder:{voices}", "--registry", registry)
    heard = said(quick, tmp_path / "predict", *words)
    answer = quick("evaluate", *words, "--out", tmp_path / "out")
    assert answer.code == 0
    table, run = rows(tmp_path / "out" / "evaluate.csv"), evaluation(tmp_path / "out")
    clips = {clip.clip_id: clip for clip in clips_in(voices)}
    for model, answers in heard.items():
        truth = [str(clips[clip_id].label) for clip_id in answers]
        check_scores(table, model, truth, list(answers.values()))
        for clip_id in clips:
            assert clip_id in run["rows"][0]["members"][0]["clip_ids"]
    assert run["cache"] == {"hits": 4 * 16, "misses": 0}, "the same passes as analyze's, not new ones"


def test_the_table_the_matrices_the_comparisons_and_the_audit_are_printed(
    quick: Quick, registry: Path, voices: Path
) -> None:
    """And nothing is written without --out."""
    answer = quick("evaluate", "--models", "Frozen,LoRA", "--clips", f"folder:{voices}", "--registry", registry)
    parts = answer.out.rstrip("\n").split("\n\n")
    assert [part.split("\n")[0].split("  ")[0] for part in parts] == [
        "model",
        "Frozen: truth \\ guess",
        "LoRA: truth \\ guess",
        "On the same clips",
        "Training data",
    ]
    assert "16" in parts[0].split("\n")[1].split() and "4 speakers" in parts[0]
    assert [line.split()[0] for line in parts[1].split("\n")[1:]] == list(LABELS)
    assert parts[3].split("\n")[1].startswith("LoRA - Frozen: UAR ")
    assert parts[4].split("\n")[1:] == [
        f"{name}: no manifest: unknown what it was trained on" for name in ("Frozen", "LoRA")
    ]
    assert answer.err == "Note: intervals: Only 4 speakers to draw from: intervals are too narrow.\n"
    assert answer.code == 0


def test_differences_are_with_the_reference_that_is_asked_for(
    quick: Quick, registry: Path, voices: Path, tmp_path: Path
) -> None:
    words = ("--models", "Frozen,LoRA,Wide", "--clips", f"folder:{voices}", "--registry", registry)
    assert quick("evaluate", *words, "--reference", "Wide", "--out", tmp_path).code == 0
    table = rows(tmp_path / "evaluate.csv")
    differences = [row for row in table if row["versus"]]
    assert {(row["model"], row["versus"]) for row in differences} == {("Frozen", "Wide"), ("LoRA", "Wide")}
    for statistic in ("uar", "war"):
        for model in ("Frozen", "LoRA"):
            (row,) = pick(differences, model=model, statistic=statistic)
            own = value(table, model=model, statistic=statistic) - value(table, model="Wide", statistic=statistic)
            assert float(row["value"]) == pytest.approx(own)
            assert float(row["ci_low"]) <= float(row["value"]) <= float(row["ci_high"])
    assert "not among the chosen" in quick("evaluate", *words, "--reference", "Full").err


def test_classes_are_matched_by_name(quick: Quick, shelf: Path, voices: Path, tmp_path: Path) -> None:
    """The same weights under permuted, otherwise spelled names say other things, and are scored by what they say."""
    models = [
        {"name": "Plain", "base": str(shelf / "base"), "adapter": str(shelf / "lora"), "labels": LABELS},
        {"name": "Renamed", "base": str(shelf / "base"), "adapter": str(shelf / "lora"), "labels": PERMUTED},
    ]
    registry = write_registry(tmp_path / "models.toml", models)
    words = ("--models", "all", "--clips", f"folder:{voices}", "--registry", registry)
    heard = said(quick, tmp_path / "predict", *words)
    assert quick("evaluate", *words, "--out", tmp_path / "out").code == 0
    table = rows(tmp_path / "out" / "evaluate.csv")
    clips = {clip.clip_id: clip for clip in clips_in(voices)}
    for model, answers in heard.items():
        check_scores(table, model, [str(clips[clip_id].label) for clip_id in answers], list(answers.values()))
    renamed = dict(zip(LABELS, map(canonical, PERMUTED), strict=True))
    assert heard["Renamed"] == {clip_id: renamed[name] for clip_id, name in heard["Plain"].items()}
    (row,) = pick(table, model="Renamed", versus="Plain", statistic="only_model")
    right = {
        name: {clip_id for clip_id, guess in answers.items() if guess == clips[clip_id].label}
        for name, answers in heard.items()
    }
    assert float(row["value"]) == len(right["Renamed"] - right["Plain"])


def test_clips_without_a_known_class_are_left_out_and_counted(quick: Quick, registry: Path, tmp_path: Path) -> None:
    folder = corpus(tmp_path / "mixed", ["anger", "", "fear", "hap", "neutral"], ["A", "A", "B", "B", "B"])
    words = ("--models", "LoRA", "--clips", f"folder:{folder}", "--registry", registry)
    answer = quick("evaluate", *words, "--out", tmp_path / "out")
    assert answer.code == 0
    assert "Note: 1 clips have no label and are left out." in answer.err
    assert "Note: LoRA: 1 clips are labelled fear, not among its classes (anger, happiness" in answer.err
    run = evaluation(tmp_path / "out")
    assert run["cache"]["misses"] == 3, "what can't be scored needs no pass"
    assert run["rows"][0]["uar"]["n"] == 3
    assert run["rows"][0]["recall"]["sadness"] is None
    (row,) = pick(rows(tmp_path / "out" / "evaluate.csv"), statistic="recall", component="sadness")
    assert (row["value"], row["n"]) == ("", "")


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [(["", ""], "None of the clips has a label"), (["fear", "calm"], "none of its 2 clips has a label it knows")],
)
def test_nothing_to_score_is_a_wrong_request(
    quick: Quick, registry: Path, tmp_path: Path, labels: list[str], sentence: str
) -> None:
    folder = corpus(tmp_path / "none", labels, ["A", "B"])
    answer = quick("evaluate", "--models", "LoRA", "--clips", f"folder:{folder}", "--registry", registry)
    assert answer.code == 2 and sentence in answer.err and answer.out == ""


def test_damaged_models_and_clips_are_casualties(quick: Quick, shelf: Path, voices: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(voices, tmp_path / "voices"))
    (folder / "c3.wav").write_bytes(b"RIFF nothing")
    over = {"base": str(shelf / "base"), "labels": LABELS}
    registry = write_registry(
        tmp_path / "models.toml",
        [
            {"name": "Good", "adapter": str(shelf / "lora")} | over,
            {"name": "Gone", "adapter": str(tmp_path / "nowhere")} | over,
        ],
    )
    answer = quick(
        *("evaluate", "--models", "all", "--clips", f"folder:{folder}", "--registry", registry),
        *("--out", tmp_path / "out"),
    )
    assert answer.code == 3
    assert "nowhere does not exist" in answer.err and "c3.wav" in answer.err
    run = evaluation(tmp_path / "out")
    assert [row["name"] for row in run["rows"]] == ["Good"] and run["rows"][0]["uar"]["n"] == 15
    assert len(run["casualties"]) == 2


# Trained folds


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("bases") / "base", small_config(layers=2, width=32, seconds=1))


def folds_of(clips: Sequence[Clip]) -> list[Fold]:
    """Two: test one of the first two speakers, validate on the other, train on the last two."""
    of = {name: tuple(i for i, clip in enumerate(clips) if clip.speaker == name) for name in ("S0", "S1", "S2", "S3")}
    rest = of["S2"] + of["S3"]
    return [Fold("fold1", rest, of["S1"], of["S0"], "S0"), Fold("fold2", rest, of["S0"], of["S1"], "S1")]


def write_run(
    directory: Path,
    base: Path,
    voices: Path,
    recipe: Recipe,
    seed: int = 1,
    folds: Sequence[Fold] = (),
    scheme: str = "speakers",
) -> Path:
    """What training leaves: random weights, real manifests."""
    clips = clips_in(voices)
    directory.mkdir()
    print_of_base = describe_base(Entry("base", str(base), Path.cwd()), Index(directory / "index.sqlite")).fingerprint
    for number, fold in enumerate(folds or folds_of(clips)):
        into = directory / fold.name
        if recipe.method == "full":
            classifier_over(base, 10 * seed + number).save_pretrained(into)
            save_extractor(into, small_config(layers=2, width=32, seconds=1))
        elif recipe.method == "head":
            save_head(into, base, seed=10 * seed + number)
        else:
            save_adapter(into, base, seed=10 * seed + number)
        facts = {
            "source": [f"folder:{voices}"],
            "where": "",
            "base": str(base),
            "base_fingerprint": print_of_base,
            "head": None,
            "method": recipe.method,
            "rank": recipe.rank,
            "alpha": recipe.alpha,
            "targets": list(recipe.targets),
            "layers": None,
            "recipe": recipe.as_json(),
            "seed": seed,
            "labels": list(LABELS),
            "scheme": scheme,
        }
        write_manifest(into, facts | about_fold(fold, clips))
    return directory


def test_each_fold_is_scored_on_its_own_test_clips(quick: Quick, base: Path, voices: Path, tmp_path: Path) -> None:
    head = write_run(tmp_path / "head", base, voices, Recipe(rank=0))
    lora = write_run(tmp_path / "lora", base, voices, Recipe(rank=5))
    answer = quick("evaluate", "--runs", lora, head, "--out", tmp_path / "out")
    assert answer.code == 0
    table, run = rows(tmp_path / "out" / "evaluate.csv"), evaluation(tmp_path / "out")
    assert [row["name"] for row in run["rows"]] == ["LoRA r=5", "Frozen"]
    assert run["reference"] == "Frozen"
    over = {"base": str(base), "labels": LABELS}
    registry = write_registry(
        tmp_path / "models.toml",
        [
            {"name": f"{name} {fold}", key: str(directory / fold)} | over
            for name, key, directory in (("LoRA r=5", "adapter", lora), ("Frozen", "head", head))
            for fold in ("fold1", "fold2")
        ],
    )
    heard = said(quick, tmp_path / "predict", "--models", "all", "--clips", f"folder:{voices}", "--registry", registry)
    clips = clips_in(voices)
    for name in ("LoRA r=5", "Frozen"):
        truth, guess, each = [], [], []
        for fold, speaker in (("fold1", "S0"), ("fold2", "S1")):
            tested = [clip for clip in clips if clip.speaker == speaker]
            said_of = [heard[f"{name} {fold}"][clip.clip_id] for clip in tested]
            named = [str(clip.label) for clip in tested]
            truth, guess = truth + named, guess + said_of
            each.append(recall_score(named, said_of, labels=LABELS, average="macro"))
        check_scores(table, name, truth, guess)
        (mean,) = pick(table, model=name, statistic="uar_mean", component="2 folds")
        assert float(mean["value"]) == pytest.approx(sum(each) / 2)
        (row,) = [row for row in run["rows"] if row["name"] == name]
        assert [member["title"] for member in row["members"]] == ["fold1", "fold2"]
        assert [member["uar"] for member in row["members"]] == pytest.approx(each)
        assert all(member["audit"]["clean"] for member in row["members"])
    line = "trained on none of these clips or speakers (their sessions can't be compared)"
    assert f"Frozen: {line}\n" in answer.out and f"LoRA r=5: {line}\n" in answer.out
    assert "LoRA r=5 - Frozen: UAR " in answer.out and "of 8 clips" in answer.out


def test_seeds_and_folds_are_one_row(quick: Quick, base: Path, voices: Path, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"seed{seed}", base, voices, Recipe(rank=5), seed) for seed in (1, 2)]
    assert quick("evaluate", "--runs", *runs, "--out", tmp_path / "out").code == 0
    (row,) = evaluation(tmp_path / "out")["rows"]
    assert row["spread"]["over"] == "2 folds x 2 seeds"
    assert [member["title"] for member in row["members"]] == [
        f"fold{fold} seed {seed}" for seed in (1, 2) for fold in (1, 2)
    ]
    assert row["uar"]["n"] == 8, "different clips"


def test_a_whole_encoder_needs_no_base(quick: Quick, base: Path, voices: Path, tmp_path: Path) -> None:
    there = Path(shutil.copytree(base, tmp_path / "there"))
    run = write_run(tmp_path / "run", there, voices, Recipe(rank=0, full=True))
    shutil.rmtree(there)
    answer = quick("evaluate", "--runs", run, "--out", tmp_path / "out")
    assert answer.code == 0
    (row,) = evaluation(tmp_path / "out")["rows"]
    assert (row["name"], row["uar"]["n"], row["spread"]["over"]) == ("Full", 8, "2 folds")


def test_other_clips_are_given_to_every_fold_and_audited(
    quick: Quick, base: Path, voices: Path, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", base, voices, Recipe(rank=5))
    answer = quick("evaluate", "--runs", run, "--clips", f"folder:{voices}")
    assert answer.code == 0
    assert "LoRA r=5: TRAINED ON 8 of these 16 clips; BEST EPOCH CHOSEN ON 4 of them\n" in answer.out
    own = quick("evaluate", "--runs", run / "fold1", "--clips", f"folder:{voices}", "--where", "speaker=S0")
    assert "LoRA r=5: trained on none of these clips or speakers" in own.out


def test_a_registry_model_is_audited_by_the_manifest_beside_it(
    quick: Quick, base: Path, voices: Path, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", base, voices, Recipe(rank=5))
    entry = {"base": str(base), "labels": LABELS}
    registry = write_registry(
        tmp_path / "models.toml",
        [
            {"name": "Ours", "adapter": str(run / "fold1")} | entry,
            {"name": "Fresh", "adapter": str(run / "fold1"), "role": "untrained"} | entry,
        ],
    )
    answer = quick("evaluate", "--models", "all", "--clips", f"folder:{voices}", "--registry", registry)
    assert "Ours: TRAINED ON 8 of these 16 clips; BEST EPOCH CHOSEN ON 4 of them\n" in answer.out
    assert "Fresh: its adapter is not trained\n" in answer.out
    (run / "fold1" / "manifest.json").write_text("[]")
    answer = quick("evaluate", "--models", "Ours", "--clips", f"folder:{voices}", "--registry", registry)
    assert answer.code == 0 and "Ours: no manifest" in answer.out and "Note: Ours: " in answer.err


def test_a_leaking_split_is_marked_wherever_it_is_named(quick: Quick, base: Path, voices: Path, tmp_path: Path) -> None:
    test = tuple(range(0, 16, 2))
    fold = Fold("fold1", tuple(range(1, 16, 2)), test, test, "Ses01F", leaking=True)
    run = write_run(tmp_path / "run", base, voices, Recipe(rank=5), folds=[fold], scheme="released")
    answer = quick("evaluate", "--runs", run, "--out", tmp_path / "out")
    name = "LoRA r=5 [LEAKING: released split]"
    assert (
        f"{name}: TRAINED ON 4 of these 4 speakers; BEST EPOCH CHOSEN ON 8 of them; LEAKING SPLIT (released)"
        in answer.out
    )
    assert {row["model"] for row in rows(tmp_path / "out" / "evaluate.csv")} == {name}


def test_test_clips_that_are_gone_are_casualties(quick: Quick, base: Path, voices: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(voices, tmp_path / "voices"))
    (folder / "c15.wav").write_bytes(b"RIFF nothing")
    run = write_run(tmp_path / "run", base, folder, Recipe(rank=5))
    assert quick("evaluate", "--runs", run).code == 0, "a clip that training could not use either is none"
    save_sound(folder / "c0.wav", 0.3, 99)  # another sound under the old name
    answer = quick("evaluate", "--runs", run, "--out", tmp_path / "out")
    assert answer.code == 3
    assert "fold1: 1 of its 4 test clips are not in folder:" in answer.err
    assert [member["n"] for member in evaluation(tmp_path / "out")["rows"][0]["members"]] == [3, 4]
    shutil.rmtree(folder)
    answer = quick("evaluate", "--runs", run)
    assert (answer.code, answer.out) == (2, "") and "There is no folder" in answer.err


def test_a_damaged_fold_is_a_casualty(quick: Quick, base: Path, voices: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", base, voices, Recipe(rank=5))
    (run / "fold1" / "adapter_model.safetensors").write_bytes(b"no weights")
    answer = quick("evaluate", "--runs", run, "--out", tmp_path / "out")
    assert answer.code == 3
    assert "adapter_model.safetensors is not a whole safetensors file" in answer.err
    assert [member["title"] for member in evaluation(tmp_path / "out")["rows"][0]["members"]] == ["fold2"]


def test_a_base_that_moved_is_given_and_another_one_is_refused(
    quick: Quick, base: Path, voices: Path, tmp_path: Path
) -> None:
    """Over other weights an adapter gives numbers all the same, which would be wrong."""
    there = Path(shutil.copytree(base, tmp_path / "there"))
    run = write_run(tmp_path / "run", there, voices, Recipe(rank=5))
    there.rename(tmp_path / "elsewhere")
    gone = quick("evaluate", "--runs", run)
    assert gone.code == 2 and "does not exist" in gone.err
    assert quick("evaluate", "--runs", run, "--base", tmp_path / "elsewhere").code == 0
    other = save_base(tmp_path / "other", small_config(layers=2, width=32, seconds=1), seed=5)
    wrong = quick("evaluate", "--runs", run, "--base", other)
    assert wrong.code == 2 and "is not the base" in wrong.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--models", "LoRA"), "--models needs --clips"),
        (("--models", "LoRA", "--clips", "demo", "--base", "x"), "--base goes with --runs"),
        (("--runs", "x", "--registry", "models.toml"), "--registry goes with --models"),
        (("--runs", "x", "--limit", "3"), "choose from --clips"),
        (("--runs", "nowhere"), "nowhere holds no trained fold"),
        (("--runs", "x", "--models", "LoRA"), "not allowed with"),
        ((), "one of the arguments --models --runs is required"),
    ],
)
def test_requests_that_make_no_sense_are_refused(quick: Quick, words: tuple[str, ...], sentence: str) -> None:
    answer = quick("evaluate", *words)
    assert answer.code == 2 and sentence in answer.err and answer.err.count("\n") == 1
