"""Colours are the specified ones, ordered, and stand out from both backgrounds."""

import math
import tomllib

import pytest
from plotly import colors

from core.figures import theme
from core.models.info import Role
from core.paths import ROOT

EMOTIONS = ("anger", "happiness", "neutral", "sadness", "excitement", "fear", "disgust", "surprise", "calm", "other")
MODELS = [
    theme.model_style(Role.FROZEN),
    theme.model_style(Role.FULL),
    *(theme.model_style(Role.LORA, rank) for rank in (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)),
    theme.model_style(Role.UNTRAINED, 32),
]


def test_specified_colours() -> None:
    assert [theme.rank_color(rank) for rank in (8, 32, 64)] == ["#44aa99", "#5b6fd8", "#aa4499"]
    colours = {name: theme.emotion_style(name).color for name in ("anger", "happiness", "neutral", "sadness")}
    assert colours == {"anger": "#d55e00", "happiness": "#e69f00", "neutral": "#8c8c8c", "sadness": "#0072b2"}
    frozen = theme.model_style(Role.FROZEN).color
    assert frozen[1:3] == frozen[3:5] == frozen[5:7], "frozen is a neutral grey"


def test_untrained_is_dashed_in_the_colour_of_its_rank() -> None:
    trained, untrained = theme.model_style(Role.LORA, 32), theme.model_style(Role.UNTRAINED, 32)
    assert (trained.dash, untrained.dash) == ("solid", "dash")
    assert trained.color == untrained.color
    assert untrained.symbol == trained.symbol + "-open"


def test_rank_colours_run_monotonically_between_the_anchors() -> None:
    def channels(rank: int) -> list[int]:
        return [int(theme.rank_color(rank)[i : i + 2], 16) for i in (1, 3, 5)]

    for low, high in ((8, 32), (32, 64)):
        steps = [channels(rank) for rank in range(low, high + 1)]
        for start, end, line in zip(steps[0], steps[-1], zip(*steps, strict=True), strict=True):
            assert list(line) == sorted(line, reverse=start > end)
    # r = 16 is half-way between 8 and 32 in log rank.
    assert channels(16) == [round((a + b) / 2) for a, b in zip(channels(8), channels(32), strict=True)]
    assert theme.rank_color(1024) == theme.rank_color(256)
    with pytest.raises(ValueError, match="rank is 0"):
        theme.rank_color(0)


def test_every_emotion_has_its_own_colour_and_marker_in_any_spelling() -> None:
    styles = theme.emotion_styles(EMOTIONS)
    assert len({style.color for style in styles.values()}) == len(EMOTIONS)
    assert len({style.symbol for style in styles.values()}) == len(EMOTIONS)
    assert theme.emotion_style("Angry") == theme.emotion_style("anger") == styles["anger"]


def test_unknown_classes_step_aside_for_each_other_and_keep_their_style_alone() -> None:
    names = ("bored", "awe", "pride", "shame", "relief", "guilt")
    assert len(set(theme.emotion_styles(names).values())) == len(names)
    assert theme.emotion_style("bored") == theme.emotion_styles(names)["bored"]
    assert len(theme.emotion_styles([*names, "envy"])) == 7


def test_components_differ_by_line_and_marker_not_by_colour() -> None:
    model = theme.model_style(Role.UNTRAINED, 8)
    styles = [theme.component_style(model, component) for component in ("attention", "mlp", "sum")]
    assert {style.color for style in styles} == {model.color}
    assert len({style.dash for style in styles}) == len({style.symbol for style in styles}) == 3
    assert all(style.symbol.endswith("-open") for style in styles)


def test_models_that_would_look_the_same_get_their_own_markers() -> None:
    first, frozen, second = theme.model_styles([(Role.LORA, 32), (Role.FROZEN, None), (Role.LORA, 32)])
    assert first.color == second.color
    assert first.symbol != second.symbol
    assert frozen.symbol == "circle"


@pytest.mark.parametrize("style", [*MODELS, *theme.emotion_styles(EMOTIONS).values(), theme.OTHER_CLASSES])
def test_contrast_by_fill_on_dark_and_by_outline_on_light(style: theme.Style) -> None:
    assert theme.contrast(style.color, theme.DARK_BACKGROUND) >= theme.MIN_CONTRAST
    assert theme.contrast(style.edge, theme.LIGHT_BACKGROUND) >= theme.MIN_CONTRAST


def test_only_the_named_fills_fall_short_on_white() -> None:
    """The module's docstring says which; their outlines make up for it (test above)."""
    named = {theme.rank_color(8), theme.emotion_style("happiness").color, theme.emotion_style("calm").color}
    for style in [*MODELS, *theme.emotion_styles(EMOTIONS).values()]:
        enough = theme.contrast(style.color, theme.LIGHT_BACKGROUND) >= theme.MIN_CONTRAST
        assert enough or style.color in named, style


def test_contrast_of_known_pairs() -> None:
    assert math.isclose(theme.contrast("#000000", "#ffffff"), 21)
    assert math.isclose(theme.contrast("#777777", "#ffffff"), 4.48, abs_tol=0.01)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0])
def test_ink_is_readable_all_along_the_scale(share: float) -> None:
    ground = colors.unlabel_rgb(colors.sample_colorscale(theme.PROBABILITY_SCALE, [share])[0])
    assert theme.contrast(theme.inks_on([share])[0], "#{:02x}{:02x}{:02x}".format(*map(round, ground))) >= 4.5
    assert theme.inks_on([0.0, 1.0]) == ["#ffffff", "#000000"]


def test_backgrounds_are_those_of_the_streamlit_theme() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["theme"]["light"]["backgroundColor"] == theme.LIGHT_BACKGROUND
    assert config["theme"]["dark"]["backgroundColor"] == theme.DARK_BACKGROUND
    for name, background in (("light", theme.LIGHT_BACKGROUND), ("dark", theme.DARK_BACKGROUND)):
        colours = config["theme"][name]
        assert theme.contrast(colours["textColor"], background) >= 7
        assert theme.contrast(colours["linkColor"], background) >= 4.5
        assert theme.contrast(colours["primaryColor"], background) >= theme.MIN_CONTRAST
        assert theme.contrast(colours["textColor"], colours["sidebar"]["backgroundColor"]) >= 7


def test_streamlit_listens_on_this_machine_only_and_reports_nothing() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["address"] == "localhost"
    assert config["server"]["maxUploadSize"] == 25
    assert config["browser"]["gatherUsageStats"] is False
    assert "http" not in str(config["theme"]), "fonts are not fetched from elsewhere"
