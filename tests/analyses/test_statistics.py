"""Intervals against scipy, the jackknife against its closed form, and what never happens to a NaN."""

import numpy as np
import pytest
from scipy import stats

from core.analyses.statistics import Band, jackknife, mean_interval, speaker_note


def test_student_t_over_speaker_means():
    values = np.array([1.0, 3.0, 5.0, 5.0, 9.0, 13.0])
    band = mean_interval(values, ["a", "a", "b", "b", "c", "c"])
    low, high = stats.t.interval(0.95, 2, loc=6.0, scale=stats.sem([2.0, 5.0, 11.0]))
    assert band.at().value == 6.0
    np.testing.assert_allclose([band.low, band.high], [low, high])
    assert band.n == 6


def test_value_is_the_mean_over_clips_even_where_speakers_are_uneven():
    band = mean_interval(np.array([0.0, 0.0, 0.0, 4.0]), ["a", "a", "a", "b"])
    assert band.value == 1.0
    assert (band.low + band.high) / 2 == pytest.approx(2.0)  # the mean of speaker means


@pytest.mark.parametrize("speakers", [[None] * 7, ["a"] * 7, ["a", "b", None, "a", "b", "c", "d"]])
def test_unknown_speakers_or_a_single_one_give_an_interval_over_clips(speakers):
    values = np.random.default_rng(1).normal(size=7)
    band = mean_interval(values, speakers)
    np.testing.assert_allclose([band.low, band.high], stats.t.interval(0.95, 6, values.mean(), stats.sem(values)))
    note = speaker_note(speakers)
    assert note is not None
    assert "not independent" in note.reason


def test_no_note_where_speakers_are_known_or_no_interval_exists():
    assert speaker_note(["a", "b"]) is None
    assert speaker_note(["a"]) is None
    assert speaker_note([]) is None


def test_one_clip_has_no_interval():
    estimate = mean_interval(np.array([2.5]), ["a"]).at()
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (2.5, None, None, 1)


def test_no_clip_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        mean_interval(np.empty(0), [])


def test_speaker_bootstrap_from_twenty_speakers():
    rng = np.random.default_rng(2)
    speakers = [f"s{i:02d}" for i in range(20) for _ in range(1 + i % 3)]
    effect = dict(zip(sorted(set(speakers)), rng.normal(size=20), strict=True))
    values = np.array([effect[s] for s in speakers]) + rng.normal(size=len(speakers)) * 0.1
    band = mean_interval(values, speakers, seed=3)
    assert (band.low, band.high) == (mean_interval(values, speakers, seed=3).low, band.high)
    assert mean_interval(values, speakers, seed=4).low != band.low
    # The oracle draws speakers one by one and pools their clips.
    pools = [values[[s == name for s in speakers]] for name in sorted(set(speakers))]
    means = [np.concatenate([pools[i] for i in rng.integers(20, size=20)]).mean() for _ in range(4000)]
    np.testing.assert_allclose([band.low, band.high], np.percentile(means, [2.5, 97.5]), atol=0.05)
    order = rng.permutation(len(values))
    again = mean_interval(values[order], [speakers[i] for i in order], seed=3)
    np.testing.assert_allclose([again.value, again.low, again.high], [band.value, band.low, band.high])


def test_nineteen_speakers_still_use_student_t():
    values = np.random.default_rng(5).normal(size=19)
    band = mean_interval(values, [f"s{i}" for i in range(19)])
    np.testing.assert_allclose(band.high, stats.t.interval(0.95, 18, values.mean(), stats.sem(values))[1])


@pytest.mark.parametrize("count", [1, 6, 25])
def test_trailing_axes_are_independent(count):
    values = np.random.default_rng(count).normal(size=(count, 3, 4))
    speakers = [f"s{i}" for i in range(count)]
    whole = mean_interval(values, speakers)
    assert whole.value.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            one = mean_interval(values[:, i, j], speakers)
            np.testing.assert_allclose(whole.value[i, j], one.value)
            np.testing.assert_allclose([whole.low[i, j], whole.high[i, j]], [one.low, one.high], equal_nan=True)
            assert (whole.at(i, j).low is None) == (count == 1)
    np.testing.assert_array_equal(whole.part(1).value, whole.value[1])


@pytest.mark.parametrize("count", [5, 25])
def test_nan_stays_nan_and_stays_where_it_is(count):
    values = np.ones((count, 2)) * np.arange(count)[:, None]
    values[0, 1] = np.nan
    band = mean_interval(values, [f"s{i}" for i in range(count)])
    assert np.isnan([band.value[1], band.low[1], band.high[1]]).all()
    assert np.isfinite([band.value[0], band.low[0], band.high[0]]).all()


def test_float32_values_are_summed_in_float64():
    values = np.full(10_000, 0.1, dtype=np.float32)
    assert mean_interval(values, [None] * 10_000).value == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_jackknife_of_the_mean_is_the_t_interval():
    values = np.random.default_rng(6).normal(size=(9, 2))
    band = jackknife(lambda kept: values[kept].mean(axis=0), [None] * 9)
    exact = mean_interval(values, [None] * 9)
    np.testing.assert_allclose(band.value, exact.value)
    np.testing.assert_allclose(band.low, exact.low)
    np.testing.assert_allclose(band.high, exact.high)


def test_jackknife_leaves_out_a_speaker_at_a_time():
    left_out = []

    def statistic(kept):
        left_out.append(sorted(set(range(5)) - set(kept.tolist())))
        return np.asarray(float(len(kept)))

    jackknife(statistic, ["b", "a", "b", "c", "a"])
    assert sorted(left_out) == [[], [0, 2], [1, 4], [3]]


def test_jackknife_without_a_second_group_or_with_a_nan_replicate_has_no_interval():
    assert jackknife(lambda kept: np.asarray(1.0), ["a"]).at().low is None
    # One clip each of two classes: without one of them there is no recall.
    assert jackknife(lambda kept: np.asarray(1.0 if len(kept) == 3 else np.nan), [None] * 3).at().low is None


def test_a_single_speaker_is_jackknifed_over_clips():
    values = np.array([1.0, 2.0, 6.0])
    band = jackknife(lambda kept: values[kept].mean(axis=0, keepdims=True)[0:1].reshape(()), ["a"] * 3)
    assert band.low == pytest.approx(mean_interval(values, ["a"] * 3).low)


def test_bounds_of_another_shape_are_refused():
    with pytest.raises(Exception, match=r"(?s)shape|bounds"):
        Band(np.zeros(3), np.zeros(2), np.zeros(3), 1)
