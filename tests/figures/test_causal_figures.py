"""The Causal page's charts and sentences say what their rows say, stand before there are any, and say when they can't
tell."""

from dataclasses import replace

import numpy as np
import pytest

from core.analyses.request import Note, Row
from core.analyses.tidy import Table
from core.figures import causal as figures
from core.figures.causal.erasure import ERASED
from core.figures.causal.patching import DIRECTIONS
from core.figures.view import View
from core.models.info import LoraModule, ModelInfo, Role
from core.store.intervention import ABLATIONS, CONTROLS
from tests.analyses.fabricate import make_model

LAYERS, N = 5, 20
LORA = tuple(LoraModule(layer, "v_proj", 8, 48, 48) for layer in range(LAYERS))
MODEL = replace(make_model("r=8", layers=LAYERS, role=Role.LORA), lora=LORA)
FROZEN = make_model(layers=LAYERS)
LOST = (0.0, 0.02, 0.1, 0.6, 0.2)  # by layer, without its LoRA
COMPONENTS = ("attention", "mlp", "lora")


def row(
    component: str, statistic: str, value: float | None, layer: int | None = None, half: float = 0.05, **more
) -> Row:
    bounds = {} if value is None else {"ci_low": value - half, "ci_high": value + half}
    return Row(
        "causal", "published", "r=8", **{"layer": layer, "component": component, "n": N} | bounds | more,
        statistic=statistic, value=value,
    )  # fmt: skip


def layer_rows(lost=LOST, restored=None, half: float = 0.05, spearman: float = 0.9) -> list[Row]:
    found = [row(run, one, 0.7, half=0.1) for run in ("intact", "off") for one in ("accuracy", "loss", "confidence")]
    for layer in range(LAYERS):
        for name in ABLATIONS:
            for one in ("accuracy", "loss", "confidence"):
                found.append(row(name, one, 0.5, layer))
                found.append(row(name, f"{one}_change", -0.3 if layer == 2 else 0.01, layer))
        needed, enough = ("without", "without_a", "without_b"), ("only", "only_a", "only_b", "first", "last")
        found += [row(name, "lost_share", lost[layer], layer, half) for name in needed]
        found += [row(name, "restored_share", (restored or lost)[layer], layer, half) for name in enough]
        found += [row("write", "relative_change", 0.01 * layer, layer), row("lens", "kl_drop", 0.02, layer)]
    found += [row(f"rank:{k}", one, 0.1 * k, half=0.02) for k in (8, 1, 2, 4) for one in ("accuracy", "confidence")]
    found += [row(f"without~{side}", "spearman", spearman, half=0.2, n=LAYERS) for side in ("write", "kl_drop")]
    return found


def patch_rows(skip: tuple[int, ...] = (), ratio: float = 1.0, undefined: float = 3, **more) -> list[Row]:
    more = {"versus": "dial"} | more
    found = [row(run, one, 0.6, **more) for run in ("clean", "corrupt") for one in ("accuracy", "probability")]
    found += [row("clean", "undefined", undefined, half=0, **more), row("clean", "pairs", N, half=0, **more)]
    for layer in set(range(LAYERS)) - set(skip):
        for i, name in enumerate(COMPONENTS):
            for direction, (share, _) in DIRECTIONS.items():
                found.append(row(name, share, 0.1 * layer + 0.3 * i - 0.1, layer, **more))
                found += [row(name, f"{direction}_{one}", 0.4, layer, **more) for one in ("probability", "accuracy")]
                found.append(row(name, f"{direction}_norm_ratio", ratio if layer == 4 else 1.0, layer, **more))
    return found


def view(found: list[Row] | None = None, model: ModelInfo = MODEL, notes: tuple[Note, ...] = (), **more) -> View:
    tables = {} if found is None else {"": {"causal": Table.of(found, notes)}}
    return View((model,), model, "published", "all", tables, (), N, **more)


def named(figure, name: str):
    return next(trace for trace in figure.data if trace.name == name)


DRAWN = {
    "layers": figures.layers,
    "factors": lambda shown: figures.layers(shown, "A or B alone"),
    "runs": lambda shown: figures.layers(shown, "runs of layers"),
    "erasure": figures.erasure,
    "truncation": figures.truncation,
    "patching": lambda shown: figures.patching(shown, "dial"),
    "beside": lambda shown: figures.beside(shown, "norm ratio"),
}


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_charts_stand_at_the_same_height_before_there_are_numbers(draw, narrow: bool) -> None:
    """Nothing jumps when data arrive, also under rows of which none is defined."""
    full = [*layer_rows(), *patch_rows()]
    undefined = [replace(one, value=None, ci_low=None, ci_high=None) for one in full]
    heights = {draw(view(rows, narrow=narrow)).figure.layout.height for rows in (None, full, undefined)}
    assert len(heights) == 1
    for rows in (None, undefined):
        assert draw(view(rows)).alt


def test_there_is_no_answer_before_there_are_numbers() -> None:
    for rows in (None, [replace(one, value=None) for one in [*layer_rows(), *patch_rows()]]):
        empty = view(rows)
        assert figures.answer_layers(empty) == figures.answer_erasure(empty) == figures.answer_patching(empty) == ""


@pytest.mark.parametrize("shown", figures.SWITCHES)
def test_lines_of_the_main_chart_are_told_apart_without_colour(shown: str) -> None:
    """Lost and restored shares mean opposite things; whoever sees no hue must still know which is which."""
    figure = figures.layers(view(layer_rows()), shown).figure
    lines = [trace for trace in figure.data if trace.mode == "lines+markers" and (trace.yaxis or "y") == "y"]
    assert len(lines) == 2 + len(figures.SWITCHES[shown]) <= 7
    looks = {(trace.line.dash, trace.marker.symbol) for trace in lines}
    assert len(looks) == len(lines)
    assert tuple(named(figure, "lost without this layer's LoRA").y) == LOST


def test_what_stands_behind_shares_the_depth_axis() -> None:
    """The page asks whether writing and mattering coincide: one must see it by looking down."""
    figure = figures.layers(view(layer_rows())).figure
    assert len({tuple(axis.range) for axis in figure.select_xaxes()}) == 1
    panels = {trace.yaxis or "y" for trace in figure.data if trace.mode == "lines+markers"}
    assert panels == {"y", "y2", "y3"}
    tops = [axis.domain[1] for axis in figure.select_yaxes()]
    assert tops == sorted(tops, reverse=True)


def test_the_answer_names_the_layer_that_is_needed_and_those_it_can_not_be_told_from() -> None:
    said = figures.answer_layers(view(layer_rows()))
    assert "needs **layer 3**'s LoRA most: without it 0.600 [0.550, 0.650]" in said
    assert "No other layer comes near" in said and "No loss is seen without layers 0 to 1." in said
    assert "No single layer is enough: the best, layer 3 alone restores 0.600 [0.550, 0.650] of it." in said
    assert "LoRA matters most where it writes most (rank correlation 0.900 [0.700, 1.10])" in said
    close = figures.answer_layers(view(layer_rows(lost=(0.0, 0.02, 0.55, 0.6, 0.2))))
    assert "Its interval overlaps that of layer 2." in close


def test_the_answer_says_when_the_data_can_not_tell() -> None:
    """An interval that holds zero shows no need; one around 0.9 does not show that a layer is enough."""
    vague = figures.answer_layers(view(layer_rows(half=0.7, spearman=0.1)))
    assert "can't be shown to need any single layer's LoRA" in vague
    assert "Whether one layer is enough can't be told" in vague
    assert "Whether LoRA matters most where it writes most or" in vague and "rank correlation" not in vague
    enough = figures.answer_layers(view(layer_rows(restored=(0, 0, 0, 0.97, 0))))
    assert "One layer is enough: layer 3 alone restores 0.970" in enough
    against = figures.answer_layers(view(layer_rows(spearman=-0.8)))
    assert "LoRA matters least where it writes most" in against
    wide = figures.answer_layers(view(layer_rows(lost=(0.55, 0.5, 0.52, 0.6, 0.51))))
    assert "Yet its interval overlaps those of all others. Every layer's is missed." in wide
    alone = [replace(one, ci_low=None, ci_high=None, n=1) for one in layer_rows()]
    assert "there is no interval" in figures.answer_layers(view(alone))


def test_erasure_says_which_layer_is_missed_and_how_many_can_go() -> None:
    said = figures.answer_erasure(view(layer_rows()))
    assert "misses **layer 2** most: −0.300 [−0.350, −0.250] in accuracy" in said
    assert "Erased from the top, layers 3 to 4 can go" in said
    figure = figures.erasure(view(layer_rows())).figure
    lower = [shape for shape in figure.layout.shapes if shape.y0 == shape.y1 == 0]
    assert len(lower) == 3, "a zero line under each change"
    looks = {(trace.line.dash, trace.marker.symbol) for trace in figure.data if trace.mode == "lines+markers"}
    assert len(looks) == len(ERASED)


def test_erasure_of_one_clip_names_a_loss_or_says_that_there_is_none() -> None:
    """Without intervals; what a layer's absence adds is no loss."""

    def one_clip(changes: list[float]) -> View:
        found = [row("erase", "accuracy_change", change, layer, n=1) for layer, change in enumerate(changes)]
        return view([replace(each, ci_low=None, ci_high=None) for each in found])

    assert "No single layer's erasure lowers **r=8**'s accuracy" in figures.answer_erasure(one_clip([1, 0, 0, 1, 0]))
    said = figures.answer_erasure(one_clip([1.0, 0.0, -1.0, 0.0, 0.0]))
    assert "Erasing **layer 2** alone lowers **r=8**'s accuracy most: −1.00" in said and "no interval" in said


def test_ranks_are_drawn_in_their_order_with_the_intact_model_as_a_line() -> None:
    """The rows come as they were computed; a curve that jumps back and forth would say nothing."""
    figure = figures.truncation(view(layer_rows())).figure
    curve = next(trace for trace in figure.data if trace.mode == "lines+markers")
    assert list(curve.x) == [1, 2, 4, 8] and np.allclose(curve.y, [0.1, 0.2, 0.4, 0.8])
    assert any(shape.y0 == shape.y1 == 0.7 for shape in figure.layout.shapes)
    assert tuple(figure.layout.xaxis.tickvals) == (1, 2, 4, 8)


def test_both_heatmaps_share_their_colours_and_leave_blank_what_is_not_known() -> None:
    """A missing layer must look like none, not like a share of 0."""
    figure = figures.patching(view(patch_rows(skip=(1,))), "dial").figure
    maps = [trace for trace in figure.data if trace.type == "heatmap"]
    assert [trace.coloraxis for trace in maps] == ["coloraxis", "coloraxis"]
    for trace in maps:
        grid = np.array(trace.z, dtype=float)
        assert grid.shape == (len(COMPONENTS), LAYERS)
        assert np.isnan(grid[:, 1]).all() and np.isfinite(np.delete(grid, 1, axis=1)).all()
        assert "not known" in trace.customdata[0][1]
        written = next(one for one in figure.data if one.type == "scatter" and one.xaxis == trace.xaxis)
        there = np.argwhere(np.isfinite(grid))
        assert np.array_equal(np.column_stack([written.y, written.x]), there)
        assert [float(text.replace("−", "-")) for text in written.text] == pytest.approx(
            grid[tuple(there.T)], abs=0.005
        )
    assert grid[2, 4] == pytest.approx(0.9) and grid[0, 0] == pytest.approx(-0.1)
    assert figure.layout.coloraxis.cmin == pytest.approx(-0.1) and figure.layout.coloraxis.cmax == 1


def test_one_share_far_out_does_not_take_the_colours_from_the_others() -> None:
    rows = [
        replace(one, value=9.0) if one.statistic == "lost_share" and one.layer == 0 else one for one in patch_rows()
    ]
    figure = figures.patching(view(rows), "noise").figure
    assert figure.layout.coloraxis.cmax == 1.5
    assert figure.layout.coloraxis.colorbar.ticktext[-1] == "≥ 1.5"


def test_the_residual_stream_has_its_row_before_there_are_numbers() -> None:
    """Where it will come; a row that appears later would push the page down."""
    for span, frames, there in ((None, "all", False), ((0.1, 0.2), "all", True), (None, "audio", True)):
        empty = View((MODEL,), MODEL, "published", frames)
        assert ("residual stream" in figures.patching(empty, "dial", span).figure.layout.yaxis.ticktext) == there


def test_what_is_not_patched_is_covered_on_the_waveform() -> None:
    """And a drag along it draws a box in time, whatever its height."""
    samples = np.sin(np.linspace(0, 60, 16_000)).astype(np.float32)
    assert not figures.span_view(samples, 16_000, None).layout.shapes
    figure = figures.span_view(samples, 16_000, (0.2, 0.7))
    covered = [(shape.x0, shape.x1) for shape in figure.layout.shapes if shape.type == "rect"]
    assert covered == [(0.0, 0.2), (0.7, 1.0)]
    assert (figure.layout.dragmode, figure.layout.selectdirection) == ("select", "h")
    assert tuple(figure.layout.xaxis.range) == (0, 1.0)
    assert "0.200 s to 0.700 s" in figures.span_alt(1.0, (0.2, 0.7))


def test_residual_has_a_row_only_where_the_rows_have_it() -> None:
    assert "residual stream" not in figures.patching(view(patch_rows()), "dial").figure.layout.yaxis.ticktext
    more = [*patch_rows(), row("residual", "restored_share", 0.5, 2, versus="dial")]
    assert "residual stream" in figures.patching(view(more), "dial", (0.2, 0.8)).figure.layout.yaxis.ticktext
    assert "LoRA" not in figures.patching(view(None, FROZEN), "minimal").figure.layout.yaxis.ticktext


def test_patching_says_what_can_not_be_read() -> None:
    notes = (
        Note("r=8 pairs", "In 12 of 20 pairs the words differ or are not known."),
        Note("other pairs", "Somebody else's."),
    )
    said = figures.warnings(view(patch_rows(ratio=1.8), notes=notes))
    assert "Of 20, 3 pairs have no share" in said[0]
    assert "attention at layer 4 (clean into corrupt)" in said[1] and "LoRA at layer 4" in said[1]
    assert said[2:] == ["In 12 of 20 pairs the words differ or are not known."]
    assert figures.warnings(view(patch_rows(undefined=0))) == []
    assert any("Off-distribution" in text for text in figures.warnings(view(patch_rows(ratio=0.6))))


def test_the_patching_answer_names_component_and_layer() -> None:
    said = figures.answer_patching(view(patch_rows()))
    assert "into corrupt, **LoRA of layer 4** restores most: 0.900 [0.850, 0.950]" in said
    assert "into clean, **LoRA of layer 4** takes most" in said and "20 pairs" in said
    assert "(1 of 14 others' intervals overlap it)" in said, "0.8 ± 0.05 touches it"
    vague = [replace(one, ci_low=-0.1) for one in patch_rows()]
    assert "which may be nothing" in figures.answer_patching(view(vague))


def test_every_control_is_offered() -> None:
    """What the engine computes, somebody must be able to see."""
    offered = {one.component for of in figures.SWITCHES.values() for one in of}
    assert offered == {*CONTROLS, "first", "last"}
