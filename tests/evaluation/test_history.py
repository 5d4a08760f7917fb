"""How training went, as manifests say: the demo's own, folds of one recipe, and damaged ones."""

import json
import shutil
from pathlib import Path

import pytest

from core import paths
from core.errors import Refusal
from core.evaluation.history import History, read_history, siblings, summarise
from core.evaluation.manifest import read_manifest
from core.training.manifest import MANIFEST


def history(directory: Path) -> History:
    return read_history(read_manifest(directory))


def copy(to: Path, **changes: object) -> Path:
    """A fold like the demo's r = 8, with other facts."""
    to.mkdir(parents=True)
    data = json.loads((paths.DEMO / "lora-r8" / MANIFEST).read_text())
    (to / MANIFEST).write_text(json.dumps(data | changes))
    return to


def results(n: int, uar: float, war: float) -> dict[str, object]:
    return {"validation": {"n": 9, "uar": 0.9, "war": 0.9}, "test": {"n": n, "uar": uar, "war": war}}


def test_the_shipped_models_say_how_they_were_trained() -> None:
    found = history(paths.DEMO / "lora-r8")
    assert [epoch.number for epoch in found.epochs] == [1, 2, 3, 4, 5]
    kept = found.epochs[found.best - 1]
    assert kept.validation_uar == max(epoch.validation_uar for epoch in found.epochs) == found.validation.uar
    assert found.test is None
    assert found.recipe["learning_rate"] == 0.004


def test_folds_of_one_recipe_become_one_row(tmp_path: Path) -> None:
    for number, (uar, war) in enumerate(((0.5, 0.6), (0.7, 0.8)), start=1):
        copy(tmp_path / "run" / f"fold{number}", fold=f"fold{number}", results=results(10, uar, war))
    other = json.loads((paths.DEMO / "lora-r8" / MANIFEST).read_text())["recipe"] | {"epochs": 99}
    copy(tmp_path / "run" / "other", recipe=other)
    found = siblings(history(tmp_path / "run" / "fold2"))
    assert [one.manifest.fold for one in found] == ["fold1", "fold2"]
    total = summarise(found)
    assert (total.folds, total.on_test) == (2, True)
    assert total.uar == pytest.approx(0.6) and total.war == pytest.approx(0.7)
    assert total.uar_sd == pytest.approx(0.02**0.5) == total.war_sd


def test_one_fold_has_no_spread_and_without_test_clips_validation_counts(tmp_path: Path) -> None:
    total = summarise([history(paths.DEMO / "lora-r32")])
    assert (total.folds, total.on_test, total.uar_sd) == (1, False, None)
    both = [history(copy(tmp_path / "a", results=results(10, 0.5, 0.5))), history(paths.DEMO / "lora-r8")]
    assert summarise(both).uar == pytest.approx((0.9 + both[1].validation.uar) / 2), "never test and validation mixed"


@pytest.mark.parametrize("gone", ["epochs", "best_epoch", "results"])
def test_a_manifest_without_its_training_is_refused_with_its_name(tmp_path: Path, gone: str) -> None:
    shutil.copytree(paths.DEMO / "lora-r8", tmp_path / "fold")
    data = json.loads((tmp_path / "fold" / MANIFEST).read_text())
    del data[gone]
    (tmp_path / "fold" / MANIFEST).write_text(json.dumps(data))
    with pytest.raises(Refusal, match=rf"fold/manifest.json does not say how training went .*{gone}.*train the fold"):
        history(tmp_path / "fold")
