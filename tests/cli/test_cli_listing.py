"""`models`, `clips`, `cache`, `settings`: what they print, and their exit codes."""

import csv
import io
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from core.settings import Settings
from core.store.records import read_key
from tests.checkpoints import LABELS, write_registry
from tests.cli.command import Answer, Run, lorascope
from tests.corpora.trees import iemocap_tree
from tests.models.workshop import copied, put_nan

Quick = Callable[..., Answer]


def cells(answer: Answer) -> list[list[str]]:
    """A printed table: columns are two or more blanks apart."""
    lines = answer.out.splitlines()
    starts = [0] + [
        i + 1 for i in range(1, len(lines[0])) if lines[0][i - 1 : i + 1] == "  " and lines[0][i + 1] != " "
    ]
    return [[line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)] for line in lines]


# models


def test_models_are_listed_with_ranks_targets_and_sizes(quick: Quick, registry: Path) -> None:
    answer = quick("models", "--registry", registry)
    assert (answer.code, answer.err) == (0, "")
    head, *found = cells(answer)
    assert head[:4] == ["name", "role", "rank", "targets"] and head[-1] == "state"
    by_name = {row[0]: dict(zip(head, row, strict=True)) for row in found}
    assert list(by_name) == ["Frozen", "LoRA", "Wide", "Full"]
    assert (by_name["Frozen"]["role"], by_name["Frozen"]["rank"], by_name["Frozen"]["targets"]) == ("frozen", "", "")
    assert (by_name["LoRA"]["role"], by_name["LoRA"]["rank"], by_name["LoRA"]["targets"]) == (
        "lora",
        "5",
        "q_proj,v_proj",
    )
    assert by_name["Wide"]["targets"] == "q_proj,k_proj,v_proj,out_proj,fc1,fc2"
    assert {(row["layers"], row["width"], row["classes"]) for row in by_name.values()} == {
        ("3", "32", ",".join(LABELS))
    }
    assert {row["state"] for row in by_name.values()} == {"found"}
    assert int(by_name["Wide"]["parameters"].replace(" ", "")) > int(by_name["Frozen"]["parameters"].replace(" ", ""))


@pytest.fixture
def some_broken(shelf: Path, tmp_path: Path) -> Path:
    """One good model, one whose files are not there, one that turns out to be broken when it is loaded."""
    put_nan(copied(shelf / "head", tmp_path / "nan") / "model.safetensors", "projector.weight")
    base = str(shelf / "base")
    return write_registry(
        tmp_path / "models.toml",
        [
            {"name": "Good", "base": base, "head": str(shelf / "head")},
            {"name": "Gone", "base": "gone"},
            {"name": "NaN", "base": base, "head": "nan"},
        ],
    )


def test_models_that_can_not_be_used_are_listed_with_their_reasons(quick: Quick, some_broken: Path) -> None:
    answer = quick("models", "--registry", some_broken)
    assert answer.code == 3
    assert {row[0]: row[-1] for row in cells(answer)[1:]} == {"Good": "found", "NaN": "found", "Gone": "refused"}
    assert answer.err.startswith("Gone: ") and answer.err.count("\n") == 1


def test_check_loads_each_model(quick: Quick, some_broken: Path) -> None:
    answer = quick("models", "--check", "--registry", some_broken)
    assert answer.code == 3
    assert {row[0]: row[-1] for row in cells(answer)[1:]} == {"Good": "loads", "NaN": "refused", "Gone": "refused"}
    lines = answer.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Gone: ")
    assert lines[1].startswith("NaN: ") and "holds NaN or Inf in projector.weight" in lines[1]


def test_check_says_that_all_load(quick: Quick, registry: Path) -> None:
    answer = quick("models", "--check", "--registry", registry)
    assert (answer.code, answer.err) == (0, "")
    assert {row[-1] for row in cells(answer)[1:]} == {"loads"}


def test_a_registry_without_a_usable_model_is_a_wrong_request(quick: Quick, tmp_path: Path) -> None:
    registry = write_registry(tmp_path / "models.toml", [{"name": "Gone", "base": "gone"}])
    answer = quick("models", "--registry", registry)
    assert answer.code == 2 and answer.err.startswith("Gone: ")


# clips


def listed(answer: Answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.out)))


def test_clips_are_listed_as_csv(quick: Quick, voices: Path) -> None:
    answer = quick("clips", "--clips", f"folder:{voices}")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("clip_id,name,label,speaker,session,duration_s\n") and "\r" not in answer.out
    found = listed(answer)
    assert [row["name"] for row in found] == [f"clip{i}.wav" for i in range(8)]
    assert found[5] | {"clip_id": ""} == {
        "clip_id": "",
        "name": "clip5.wav",
        "label": "happiness",
        "speaker": "S1",
        "session": "two",
        "duration_s": "0.750",
    }
    assert len({row["clip_id"] for row in found}) == 8 and all(len(row["clip_id"]) == 64 for row in found)


def test_iemocap_is_listed_with_what_is_worth_knowing_about_it(quick: Quick, tmp_path: Path) -> None:
    """Two clips can't be used: one has no sound, one an empty file. The rest is listed, notes go to stderr."""
    release = iemocap_tree(tmp_path, per_class=1, seconds=0.2)
    answer = quick("clips", "--clips", f"iemocap:{release}")
    assert answer.code == 3
    assert answer.out.startswith("clip_id,name,label,speaker,session,duration_s\n")
    found = listed(answer)
    assert len(found) == 40 and {row["label"] for row in found} == set(LABELS)
    assert {row["session"] for row in found} == {f"Ses0{i}" for i in range(1, 6)}
    casualties = [line for line in answer.err.splitlines() if not line.startswith("Note: ")]
    assert len(casualties) == 2 and "does not exist" in casualties[0]
    assert "Note: Left out, because their label is none of the four classes: 10 xxx, 10 fru." in answer.err

    chosen = ("--where", "session=2,speaker=Ses02M", "--balanced", 1)
    answer = quick("clips", "--clips", f"iemocap:{release}", *chosen)
    assert answer.code == 0 and [row["speaker"] for row in listed(answer)] == ["Ses02M"] * 4


def test_a_selection_of_clips(quick: Quick, voices: Path) -> None:
    source = ("clips", "--clips", f"folder:{voices}")
    assert [r["name"] for r in listed(quick(*source, "--where", "session=two,speaker=S0"))] == [
        "clip4.wav",
        "clip6.wav",
    ]
    assert [r["name"] for r in listed(quick(*source, "--limit", 1))] == ["clip0.wav"]
    draws = [quick(*source, "--balanced", 1, "--seed", seed).out for seed in (4, 4, 5, 6)]
    assert draws[0] == draws[1] and len(set(draws)) > 1
    assert all({row["label"] for row in csv.DictReader(io.StringIO(draw))} == set(LABELS) for draw in draws)


def test_clips_without_metadata_have_empty_cells(quick: Quick, voices: Path) -> None:
    (row,) = listed(quick("clips", "--clips", voices / "clip0.wav"))
    assert (row["label"], row["speaker"], row["session"]) == ("", "", "")


def test_the_demo_is_a_source(quick: Quick) -> None:
    found = listed(quick("clips", "--clips", "demo", "--balanced", 1))
    assert {row["label"] for row in found} == set(LABELS)


def test_a_clip_that_can_not_be_read_is_said(quick: Quick, voices: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    answer = quick("clips", "--clips", tmp_path / "bad.wav", voices / "clip1.wav")
    assert answer.code == 3
    assert [row["name"] for row in listed(answer)] == ["clip1.wav"]
    assert answer.err.startswith("bad.wav ") and answer.err.count("\n") == 1
    answer = quick("clips", "--clips", tmp_path / "bad.wav")
    assert answer.code == 2 and answer.err.startswith("bad.wav ")


def test_a_listing_that_nobody_reads_to_the_end_is_no_failure(voices: Path, tmp_path: Path) -> None:
    """`… | head -1`."""
    import subprocess
    import sys

    from core import paths
    from tests.cli.command import environment

    words = [sys.executable, "-m", "core", "clips", "--clips", f"folder:{voices}", "--cache", str(tmp_path / "c")]
    with subprocess.Popen(
        words, cwd=paths.ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


# cache


def test_the_cache_is_counted_verified_and_pruned(quick: Quick, first_run: Run, tmp_path: Path) -> None:
    cache = copied(first_run.cache, tmp_path / "copy")
    records = sorted(cache.rglob("*.safetensors"))
    sizes = {path: path.stat().st_size for path in records}
    total = sum(sizes.values())
    answer = quick("cache", "stats", "--cache", cache)
    kinds = Counter(read_key(path)["kind"] for path in records)
    assert kinds["forward"] == 32, "four models times eight clips"
    lines = [f"{cache}: {len(records)} records, {total / 1e6:.1f} MB of 20 GB"]
    for kind, count in sorted(kinds.items()):
        size = sum(size for path, size in sizes.items() if read_key(path)["kind"] == kind)
        lines.append(f"  {kind}: {count} records, {size / 1e6:.1f} MB")
    assert answer == Answer(0, "\n".join(lines) + "\n", "")

    answer = quick("cache", "verify", "--cache", cache)
    assert answer.code == 0 and answer.out.startswith(
        f"{len(records)} records are good, 0 were damaged and are dropped.\n"
    )
    data = bytearray(records[0].read_bytes())
    data[len(data) // 2] ^= 1
    records[0].write_bytes(data)
    answer = quick("cache", "verify", "--cache", cache)
    assert answer.out.startswith(f"{len(records) - 1} records are good, 1 were damaged and are dropped.\n")
    assert not records[0].exists()

    half = total / 2e9
    answer = quick("cache", "prune", "--to-gb", half, "--cache", cache)
    assert answer.code == 0 and answer.out.startswith("Freed ")
    left = sum(path.stat().st_size for path in cache.rglob("*.safetensors"))
    assert 0 < left <= half * 1e9
    assert quick("cache", "prune", "--to-gb", 0, "--cache", cache).code == 0
    assert not list(cache.rglob("*.safetensors"))
    assert quick("cache", "stats", "--cache", cache).out == f"{cache}: 0 records, 0.0 MB of 20 GB\n"


@pytest.mark.parametrize("size", ["-1", "nan", "all"])
def test_pruning_to_what_is_no_size_is_refused(quick: Quick, size: str) -> None:
    answer = quick("cache", "prune", "--to-gb", size)
    assert answer.code == 2 and answer.err.count("\n") == 1


def test_an_index_that_was_deleted_comes_back(quick: Quick, first_run: Run, tmp_path: Path) -> None:
    cache = copied(first_run.cache, tmp_path / "copy")
    (cache / "index.sqlite").unlink()
    assert "32 records" in quick("cache", "stats", "--cache", cache).out


# settings


def test_every_setting_is_listed_with_its_value(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORASCOPE_BATCH_SIZE", "17")
    answer = quick("settings")
    assert (answer.code, answer.err) == (0, "")
    values = {row[0]: row[1:] for row in cells(answer)[1:]}
    assert list(values) == [f"LORASCOPE_{name.upper()}" for name in Settings.model_fields]
    assert values["LORASCOPE_BATCH_SIZE"][0] == "17"
    assert all(description for _, description in values.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BATCH_SIZE", "many"),
        ("BATCH_SIZE", "0"),
        ("CACHE_MAX_GB", "-1"),
        ("DEVICE", "tpu"),
        ("DTYPE", "int8"),
        ("THREADS", "-1"),
        ("MIN_CLIP_S", ""),
        ("MAX_CLIP_S", "nan"),
    ],
)
def test_a_bad_setting_is_refused_by_name(
    quick: Quick, monkeypatch: pytest.MonkeyPatch, voices: Path, name: str, value: str
) -> None:
    monkeypatch.setenv(f"LORASCOPE_{name}", value)
    for words in (["settings"], ["clips", "--clips", f"folder:{voices}"]):
        answer = quick(*words)
        assert answer.code == 2 and answer.out == ""
        assert answer.err.startswith(f"lorascope: Setting LORASCOPE_{name} is ") and answer.err.count("\n") == 1


def test_settings_come_from_the_environment_and_options_go_before_them(
    voices: Path, registry: Path, tmp_path: Path
) -> None:
    """The environment goes before a `.env` in the working directory."""
    (tmp_path / ".env").write_text("LORASCOPE_MIN_CLIP_S=0.5\nLORASCOPE_CACHE_DIR=dot-env\n")
    words = ("clips", "--clips", f"folder:{voices}")
    answer = lorascope(*words, cwd=tmp_path, LORASCOPE_CACHE_DIR=str(tmp_path / "variable"))
    assert answer.code == 3, "the two clips below 0.5 s"
    assert [row["name"] for row in listed(answer)] == [f"clip{i}.wav" for i in range(2, 8)]
    assert all("LORASCOPE_MIN_CLIP_S" in line for line in answer.err.splitlines())
    assert (tmp_path / "variable").is_dir() and not (tmp_path / "dot-env").exists()
    shutil.rmtree(tmp_path / "variable")
    lorascope(*words, "--cache", "option", cwd=tmp_path, LORASCOPE_CACHE_DIR=str(tmp_path / "variable"))
    assert (tmp_path / "option").is_dir() and not (tmp_path / "variable").exists()


# All of them


def test_no_command_that_only_lists_imports_torch(registry: Path, voices: Path, tmp_path: Path) -> None:
    """They must start at once."""
    import subprocess
    import sys

    from core import paths
    from tests.cli.command import environment

    code = (
        "import sys\nfrom core.__main__ import main\n"
        f"assert main(['models', '--registry', {str(registry)!r}]) == 0\n"
        f"assert main(['clips', '--clips', 'folder:{voices}']) == 0\n"
        "assert main(['cache', 'stats']) == main(['settings']) == 0\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules and 'streamlit' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=paths.ROOT,
        env=environment(LORASCOPE_CACHE_DIR=str(tmp_path / "cache")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
