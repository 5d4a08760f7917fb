"""Training curves: every model its line in each panel, the kept epoch marked, one epoch and missing losses drawable."""

from dataclasses import replace

from core import paths
from core.evaluation.history import read_history
from core.evaluation.manifest import read_manifest
from core.figures.theme import model_style
from core.figures.training import Run, alt, rows, training_curves
from core.models.info import Role


def run(name: str, rank: int) -> Run:
    return Run(f"LoRA r={rank}", model_style(Role.LORA, rank), read_history(read_manifest(paths.DEMO / name)))


def test_each_model_has_its_own_line_in_each_panel_and_its_kept_epoch_marked() -> None:
    runs = [run("lora-r8", 8), run("lora-r32", 32)]
    fig = training_curves(runs)
    assert len(fig.data) == 6
    assert [trace.name for trace in fig.data if trace.showlegend] == ["LoRA r=8", "LoRA r=32"]
    uar = next(trace for trace in fig.data if trace.name == "LoRA r=8" and trace.xaxis == "x3")
    assert list(uar.y) == [epoch.validation_uar for epoch in runs[0].history.epochs]
    sizes = list(uar.marker.size)
    assert sizes.index(max(sizes)) + 1 == runs[0].history.best
    assert "LoRA r=8 kept epoch 4 of 5, validation UAR 0.773" in alt(runs)


def test_the_numbers_are_those_of_the_manifest() -> None:
    one = run("lora-r8", 8)
    table = rows([one])
    assert [row["epoch"] for row in table if row["kept"]] == [one.history.best]
    assert [row["train_loss"] for row in table] == [epoch.train_loss for epoch in one.history.epochs]


def test_one_epoch_without_a_training_loss_is_drawn() -> None:
    one = run("lora-r8", 8)
    epoch = replace(one.history.epochs[0], train_loss=None)
    fig = training_curves([replace(one, history=replace(one.history, epochs=(epoch,), best=1))], stacked=True)
    assert fig.data[0].y[0] is None
    assert fig.data[2].y[0] == epoch.validation_uar


def test_the_height_does_not_depend_on_the_data() -> None:
    assert training_curves([run("lora-r8", 8)]).layout.height == training_curves([run("frozen", 1)]).layout.height
