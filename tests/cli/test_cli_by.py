"""`analyze --by`: each group of clips as a set of its own, in a directory of its own; `clips --where fold=…`."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import Answer, pick, rows, run_json
from tests.conftest import save_sound
from tests.corpora.trees import iemocap_tree

Quick = Callable[..., Answer]


@pytest.fixture
def analyze(quick: Quick, registry: Path, voices: Path, tmp_path: Path) -> Quick:
    """`analyze contributions` of two models over the eight clips into `out`."""

    def run(*options: object, clips: object = None, out: str = "out") -> Answer:
        plain = ("--models", "Frozen,LoRA", "--registry", registry, "--out", tmp_path / out)
        return quick("analyze", "contributions", *plain, "--clips", clips or f"folder:{voices}", *options)

    return run


@pytest.mark.parametrize(
    ("by", "groups"),
    [("emotion", ["anger", "happiness", "neutral", "sadness"]), ("speaker", ["S0", "S1"]), ("session", ["one", "two"])],
)
def test_a_directory_for_each_group_with_what_a_slice_gives(
    analyze: Quick, tmp_path: Path, by: str, groups: list[str]
) -> None:
    assert analyze("--by", by) == Answer(0, "", "")
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == sorted([*groups, "run.json"])
    run = run_json(out)
    assert list(run["groups"]) == groups
    assert sum(map(len, run["groups"].values())) == len(run["clips"]) == 8
    assert run["cache"] == {"hits": 0, "misses": 16}
    for group in groups:
        assert analyze("--where", f"{by}={group}", out=f"only {group}") == Answer(0, "", "")
        slice_ = tmp_path / f"only {group}"
        assert (out / group / "contributions.csv").read_bytes() == (slice_ / "contributions.csv").read_bytes()
        assert run_json(slice_)["cache"]["misses"] == 0
        assert [clip["clip_id"] for clip in run_json(slice_)["clips"]] == run["groups"][group]
    about = {note["group"] for note in run["notes"]}
    assert about <= set(groups)


def test_right_and_wrong_of_a_model(analyze: Quick, tmp_path: Path, quick: Quick) -> None:
    assert analyze("--by", "correct:LoRA") == Answer(0, "", "")
    out = tmp_path / "out"
    groups = run_json(out)["groups"]
    assert set(groups) <= {"right", "wrong"} and sum(map(len, groups.values())) == 8
    for group, clips in groups.items():
        table = rows(out / group / "contributions.csv")
        found = pick(table, model="LoRA", versus="", component="sum", statistic="relative", layer="0")
        assert [row["n"] for row in found] == [str(len(clips))]


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("label", "'label' is no way to split clips: there are emotion, speaker, session and correct:MODEL."),
        ("correct:Wide", "'Wide' is not among the chosen models: split by what one of them gets right."),
        ("correct:", "'' is not among the chosen models: split by what one of them gets right."),
    ],
)
def test_a_split_that_makes_no_sense_is_refused_in_one_line(analyze: Quick, tmp_path: Path, by: str, said: str) -> None:
    assert analyze("--by", by) == Answer(2, "", f"lorascope: {said}\n")
    assert not list(tmp_path.rglob("*.csv"))


def test_clips_that_say_nothing_can_not_be_split(analyze: Quick, tmp_path: Path) -> None:
    save_sound(tmp_path / "bare" / "one.wav", 0.4, 1)
    answer = analyze("--by", "emotion", clips=f"folder:{tmp_path / 'bare'}")
    said = "lorascope: None of these clips has a known emotion: they can't be split by it.\n"
    assert answer == Answer(2, "", said)


def test_every_group_has_its_own_place_below_the_directory(analyze: Quick, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    speakers = ["../up", "a b", "a+b", "a-b", "/etc", ".."]
    for i in range(len(speakers)):
        save_sound(folder / f"{i}.wav", 0.4, i)
    with (folder / "metadata.csv").open("w", newline="") as file:
        lines = [(f"{i}.wav", "anger", speaker) for i, speaker in enumerate(speakers)]
        csv.writer(file).writerows([("file_name", "label", "speaker"), *lines])
    assert analyze("--by", "speaker", clips=f"folder:{folder}") == Answer(0, "", "")
    assert len(list((tmp_path / "out").glob("*/contributions.csv"))) == len(speakers)
    assert len(list(tmp_path.rglob("contributions.csv"))) == len(speakers)
    assert (tmp_path / "out" / "a-b").is_dir(), "where a name can be kept, it is"


# clips --where fold


def test_clips_of_a_fold_are_those_of_the_speaker_it_tests(quick: Quick, tmp_path: Path) -> None:
    source = f"iemocap:{iemocap_tree(tmp_path / 'release', per_class=2, seconds=0.2)}"
    whole = list(csv.DictReader(quick("clips", "--clips", source).out.splitlines()))
    for fold in ("3", "fold3", "03"):
        answer = quick("clips", "--clips", source, "--where", f"fold={fold}")
        found = list(csv.DictReader(answer.out.splitlines()))
        assert answer.code == 0 and found == [row for row in whole if row["speaker"] == "Ses02F"]
    answer = quick("clips", "--clips", source, "--where", "fold=11")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("lorascope: No clip fits fold=11") and answer.err.count("\n") == 1
