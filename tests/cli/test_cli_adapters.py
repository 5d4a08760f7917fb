"""`analyze spectra,cka` end to end, against plain PyTorch and whole matrices in float64; and what must not matter."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.analyses import textbook
from tests.checkpoints import LABELS
from tests.cli.adapter_oracle import ADAPTERS, Bench, Expected, expect_cka, expect_spectra
from tests.cli.command import Answer, Rows, rows, run_json

Quick = Callable[..., Answer]
VARIANTS = ("published", "released", "corrected")
SEEDS = 2
TOLERANCE = {"contributions": 1e-4, "lens": 1e-4, "spectra": 1e-3, "cka": 2e-3}
PLACE = ("model", "versus", "layer", "module", "component", "statistic")


@pytest.fixture
def run(quick: Quick, registry: Path, voices: Path, tmp_path: Path) -> Callable[..., Path]:
    """`analyze` of three models; the folder with its files."""

    def analyze(
        variant: str, *options: object, clips: object = None, out: str = "out", what: str = "spectra,cka"
    ) -> Path:
        clips = clips or f"folder:{voices}"
        words = ("--models", "Frozen,LoRA,Wide", "--clips", clips, "--registry", registry, "--out", tmp_path / out)
        assert quick("analyze", what, *words, "--variant", variant, *options) == Answer(0, "", "")
        return tmp_path / out

    return analyze


@pytest.fixture
def bench(shelf: Path, registry: Path, tmp_path: Path) -> Bench:
    return Bench(shelf, registry, tmp_path / "cache")


def check(table: Rows, wanted: Expected, tolerance: float) -> None:
    """Every row there is but null bands, and no other."""
    got = {tuple(row[name] for name in PLACE): row for row in table if not row["statistic"].endswith("_null")}
    assert got.keys() == wanted.keys()
    for place, value in wanted.items():
        assert textbook.close(float(got[place]["value"]), value, tolerance), (place, value)


def check_all(out: Path, bench: Bench, files: list[Path], labels: list[int | None], variant: str) -> None:
    frozen = bench.frozen(files, labels, variant)
    adapters = [bench.adapted(name, files, labels, variant, SEEDS) for name in ADAPTERS]
    check(rows(out / "spectra.csv"), expect_spectra(adapters), TOLERANCE["spectra"])
    check(rows(out / "cka.csv"), expect_cka(frozen, adapters), TOLERANCE["cka"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_against_plain_pytorch(run: Any, bench: Bench, voices: Path, variant: str) -> None:
    """Six targets and two, ranks 3 and 5, trained and untrained twice, forward and backward, and the weights."""
    out = run(variant, "--untrained-seeds", SEEDS)
    listed = rows(voices / "metadata.csv")
    files = [voices / row["file_name"] for row in listed]
    check_all(out, bench, files, [LABELS.index(row["label"]) for row in listed], variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_unlabelled_clip_alone(run: Any, bench: Bench, voices: Path, variant: str) -> None:
    """Its audio frames are rows, and its gradient is of the class that the model predicts, which must come first."""
    clip = voices / "clip5.wav"
    out = run(variant, "--untrained-seeds", SEEDS, clips=clip)
    check_all(out, bench, [clip], [None], variant)
    notes = {note["about"]: note["reason"] for note in run_json(out)["notes"]}
    assert "own prediction" in notes["LoRA gradients"] and "frames of one clip" in notes["cka"]


@pytest.mark.parametrize("variant", ["published", "corrected"])
def test_nothing_depends_on_batches_the_order_of_clips_or_a_restart(
    run: Any, monkeypatch: pytest.MonkeyPatch, voices: Path, tmp_path: Path, variant: str
) -> None:
    """The same bytes from a warm cache; the same numbers in batches of three, backwards, and continued half-way."""
    what = ",".join(TOLERANCE)
    first = run(variant, what=what)
    again = run(variant, what=what, out="again")
    assert run_json(again)["cache"]["misses"] == 0
    for name in TOLERANCE:
        assert (first / f"{name}.csv").read_bytes() == (again / f"{name}.csv").read_bytes()

    backwards = tmp_path / "backwards"  # a folder is read in the order of names
    backwards.mkdir()
    listed = rows(voices / "metadata.csv")
    for name, row in zip([row["file_name"] for row in reversed(listed)], listed, strict=True):
        shutil.copy(voices / row["file_name"], backwards / name)
        row["file_name"] = name
    with (backwards / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, listed[0])
        writer.writeheader()
        writer.writerows(listed)
    monkeypatch.setenv("LORASCOPE_CACHE_DIR", str(tmp_path / "other"))
    monkeypatch.setenv("LORASCOPE_BATCH_SIZE", "3")
    run(variant, "--limit", 4, what=what, clips=f"folder:{backwards}", out="half")
    other = run(variant, what=what, clips=f"folder:{backwards}", out="whole")
    ids = [[clip["clip_id"] for clip in run_json(out)["clips"]] for out in (first, other)]
    assert ids[0] == ids[1][::-1]
    assert run_json(other)["cache"]["hits"] > 0 < run_json(other)["cache"]["misses"]
    for name, tolerance in TOLERANCE.items():
        mine, theirs = (keyed(rows(out / f"{name}.csv")) for out in (first, other))
        assert mine.keys() == theirs.keys()
        for place, row in mine.items():
            for column in ("value", "ci_low", "ci_high"):
                got, wanted = theirs[place][column], row[column]
                assert (got == "") == (wanted == ""), place
                assert not wanted or textbook.close(float(got), float(wanted), tolerance), (place, column, got, wanted)


def keyed(table: Rows) -> dict[tuple[str, ...], dict[str, str]]:
    found = {tuple(row[name] for name in (*PLACE, "clip_id")): row for row in table}
    assert len(found) == len(table)
    return found


def test_damaged_records_of_every_kind_are_made_again(run: Any, tmp_path: Path) -> None:
    first = run("published")
    for record in sorted((tmp_path / "cache").rglob("*.safetensors"))[::3]:
        data = bytearray(record.read_bytes())
        data[-9] ^= 4
        record.write_bytes(data)
    again = run("published", out="again")
    assert run_json(again)["cache"]["misses"] > 0
    for name in ("spectra.csv", "cka.csv"):
        for mine, theirs in zip(rows(first / name), rows(again / name), strict=True):
            if mine["value"]:
                assert textbook.close(float(theirs["value"]), float(mine["value"]), 1e-3), mine
