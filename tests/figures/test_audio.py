"""The time view: one axis in seconds, padding in its place, frames averaged as said."""

import dataclasses
import itertools

import numpy as np
import pytest

from core.figures.clip import audio_view, audio_view_alt, audio_view_table, envelope
from core.figures.clip.frames import MAX_COLUMNS, bin_frames, wave_trace
from core.figures.theme import with_alpha
from core.models.info import Role
from tests.figures.views_for_tests import spread, track, view

FROZEN = view("frozen", Role.FROZEN, None, seed=3)
LORA = view("lora-r32")


def lens(fig) -> list:
    return [t for t in fig.data if t.type == "heatmap" and t.name != "log-mel"]


def test_bins_are_averages_and_the_last_one_is_over_what_is_left() -> None:
    frames = np.arange(7, dtype=float).reshape(1, 7, 1)
    binned, k = bin_frames(frames, most=3)
    assert k == 3
    np.testing.assert_allclose(binned[0, :, 0], [1, 4, 6])
    same, k = bin_frames(frames, most=7)
    assert k == 1
    np.testing.assert_array_equal(same, frames)


def test_binned_probabilities_still_sum_to_one() -> None:
    binned, k = bin_frames(spread((3, 1500, 4), 0))
    assert binned.shape == (3, MAX_COLUMNS, 4)
    assert k == 2
    np.testing.assert_allclose(binned.sum(axis=-1), 1)


def test_envelope_bounds_every_stretch() -> None:
    low, high = envelope(np.array([0.0, 1, -2, 3, -4, 5, 0.5, 0.25]), bins=4)
    np.testing.assert_array_equal(low, [0, -2, -4, 0.25])
    np.testing.assert_array_equal(high, [1, 3, 5, 0.5])
    low, _ = envelope(np.zeros(3), bins=10)
    assert low.size == 3


def test_a_waveform_is_drawn_at_the_middle_of_each_stretch() -> None:
    samples = np.linspace(-1, 1, 16_000, dtype=np.float32) * 0.5
    low, high = envelope(samples, 100)
    times = np.asarray(wave_trace(low, high, seconds=1.0).x)[:100]
    assert len(times) == len(low) == len(high) == 100
    assert times[0] == pytest.approx(0.005) and times[-1] == pytest.approx(0.995)
    assert low[0] == np.float32(-0.5) and high[-1] == np.float32(0.5)
    assert (low <= high).all() and (high[:-1] <= low[1:]).all()
    assert len(envelope(samples[:30], 100)[0]) == 30


def test_probability_of_one_class_on_the_time_axis() -> None:
    fig = audio_view(track(), [FROZEN, LORA], show="anger")
    for drawn, given in zip(lens(fig), (FROZEN, LORA), strict=True):
        np.testing.assert_allclose(drawn.z, given.frames[:, :, 2], rtol=1e-6)
        np.testing.assert_allclose(drawn.x, np.arange(11) * 0.02)
        assert drawn.coloraxis == "coloraxis"
    assert (fig.layout.coloraxis.cmin, fig.layout.coloraxis.cmax) == (0, 1)
    assert fig.layout.coloraxis.colorbar.title.text == "probability of anger"
    assert fig.layout.coloraxis2.colorbar.title.text == "level (dB)"
    assert fig.layout.xaxis.title.text == "time (s)"
    assert fig.layout.xaxis.range == (0, 0.2)
    assert {t.xaxis for t in fig.data} <= {None, "x"}, "one time axis for all rows"


def test_frame_length_is_the_models_own() -> None:
    slow = view(seconds_per_frame=0.05)
    assert lens(audio_view(track(0.3, 0.5), [slow], show="anger"))[0].x[-1] == pytest.approx(0.5)


def test_argmax_codes_class_and_confidence() -> None:
    fig = audio_view(track(), [LORA])
    (drawn,) = lens(fig)
    z, best = np.asarray(drawn.z), LORA.frames.argmax(axis=2)
    np.testing.assert_array_equal(np.floor(z), best)
    sure = (LORA.frames.max(axis=2) - 0.25) / 0.75
    np.testing.assert_allclose(z - best, sure, atol=1e-5)
    assert drawn.hovertext[0][0].split()[0] == LORA.names[best[0, 0]]
    assert drawn.colorscale[5] == (0.75, with_alpha("#d55e00", 1)), "third class of this model: anger at its surest"
    legend = [t.name for t in fig.data if t.showlegend is not False and t.type == "scatter"]
    assert legend == ["anger", "happiness", "neutral", "sadness"]


def test_full_certainty_does_not_spill_into_the_next_class() -> None:
    certain = dataclasses.replace(LORA, frames=np.broadcast_to(np.eye(4)[1], (5, 10, 4)).copy())
    (drawn,) = lens(audio_view(track(), [certain]))
    assert (np.floor(drawn.z) == 1).all()


def test_long_clips_are_drawn_in_at_most_750_columns() -> None:
    given = view(frames=1500, layers=32)
    (drawn,) = lens(audio_view(track(20, 30), [given], show="anger"))
    assert np.asarray(drawn.z).shape == (33, 750)
    assert len(drawn.x) == 751
    assert drawn.x[-1] == pytest.approx(30)
    np.testing.assert_allclose(drawn.z[3][7], given.frames[3, 14:16, 2].mean(), rtol=1e-6)


def test_padding_is_hatched_from_the_audios_end_to_the_windows_in_every_row() -> None:
    fig = audio_view(track(), [FROZEN, LORA])
    hatched = [t for t in fig.data if t.name == "padding"]
    assert [t.yaxis for t in hatched] == ["y", "y2", "y3", "y4"]
    for area in hatched:
        assert (min(area.x), max(area.x)) == (0.12, 0.2)
        assert area.fillpattern.shape == "/"
    assert "padding" in [a.text for a in fig.layout.annotations]


def test_no_padding_nothing_hatched() -> None:
    fig = audio_view(track(0.2, 0.2), [LORA])
    assert not [t for t in fig.data if t.name == "padding"]
    assert "no padding" in audio_view_alt(track(0.2, 0.2), [LORA])


def test_cut_to_the_audio_shows_where_the_padding_begins() -> None:
    fig = audio_view(track(), [LORA], show="anger", whole_window=False)
    assert fig.layout.xaxis.range == (0, pytest.approx(0.1296))
    assert np.asarray(lens(fig)[0].z).shape == (5, 6)
    assert max(next(t for t in fig.data if t.name == "padding").x) == pytest.approx(0.1296)


def test_waveform_and_spectrogram_are_on_time() -> None:
    fig = audio_view(track(), [LORA])
    wave = next(t for t in fig.data if t.name == "waveform")
    np.testing.assert_allclose(wave.x[:3], [0.02, 0.06, 0.10])
    np.testing.assert_array_equal(wave.y, [0.4, 0.3, 0.1, -0.1, -0.2, -0.5])
    mel = next(t for t in fig.data if t.name == "log-mel")
    assert (mel.x0, mel.dx) == (0.005, 0.01)
    np.testing.assert_allclose(mel.z, track().mel_db, rtol=1e-6)
    assert (fig.layout.coloraxis2.cmin, fig.layout.coloraxis2.cmax) == (-80, 0)
    assert fig.layout.yaxis2.title.text == "kHz"


def test_a_long_spectrogram_is_averaged_like_the_frames() -> None:
    long = dataclasses.replace(track(20, 30), mel_db=np.tile(np.arange(3000.0), (40, 1)))
    mel = next(t for t in audio_view(long, [LORA]).data if t.name == "log-mel")
    assert np.asarray(mel.z).shape == (40, 750)
    np.testing.assert_allclose(mel.z[0][:2], [1.5, 5.5])
    assert (mel.x0, mel.dx) == (pytest.approx(0.02), pytest.approx(0.04)), "four columns a bin, centred"


def test_rows_do_not_overlap_and_the_legend_has_its_own() -> None:
    layout = audio_view(track(), [FROZEN, LORA]).layout
    domains = [layout[name].domain for name in ("yaxis", "yaxis2", "yaxis3", "yaxis4")]
    assert all(upper[0] > lower[1] for upper, lower in itertools.pairwise(domains))
    assert layout.margin.t > 52


def test_what_a_model_lacks_is_said() -> None:
    bare = dataclasses.replace(LORA, frames=None, seconds_per_frame=None)
    assert "no per-frame reading" in [a.text for a in audio_view(track(), [bare]).layout.annotations]
    texts = [a.text for a in audio_view(track(), [LORA], show="fear").layout.annotations]
    assert "this model has no class fear" in texts


def test_alt_text_counts_audio_frames_only() -> None:
    frames = np.full((5, 10, 4), 0.1)
    frames[-1, :3, 2] = 0.7  # anger in three of six audio frames
    frames[-1, 3:5, 0] = 0.7
    frames[-1, 5, 1] = 0.7
    frames[-1, 6:, 3] = 0.7  # sadness, but only in the padding
    text = audio_view_alt(track(), [dataclasses.replace(LORA, frames=frames)])
    assert text == (
        "Waveform, spectrogram and per-frame readings of 0.120 s of audio and 0.0800 s of padding; "
        "at the last point lora-r32 reads anger in 50.0 % of audio frames."
    )
    assert "gives anger 0.400 on average" in audio_view_alt(
        track(), [dataclasses.replace(LORA, frames=frames)], show="anger"
    )


def test_table_bounds_each_bin_in_seconds() -> None:
    rows = audio_view_table([LORA])
    assert len(rows) == 5 * 10
    assert (rows[1]["start_s"], rows[1]["end_s"], rows[1]["point"]) == (0.02, 0.04, 0)
    assert rows[1]["anger"] == LORA.frames[0, 1, 2]


def test_tracks_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="audio_seconds is 3"):
        track(3, 2)
    with pytest.raises(ValueError, match="mel_hz has shape"):
        dataclasses.replace(track(), mel_hz=np.ones(3))
