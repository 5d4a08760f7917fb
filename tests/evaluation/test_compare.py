"""Scores with intervals, spreads and paired differences: by hand, and by simulation where the truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from core.analyses.request import Note
from core.evaluation.bootstrap import confusions, draw_groups, estimate, resample, uars, wars
from core.evaluation.compare import Comparison, compare, score
from core.evaluation.scores import confusion, uar, war
from tests.evaluation.fabricate import make_group, make_outcome

TRUTH = [0, 0, 0, 0, 1, 1, 2, 2]
SPEAKERS = ["A", "A", "B", "B", "A", "B", "A", "B"]


def spread_over(group):
    spread = score(group, 0).spread
    return None if spread is None else (spread.over, spread.count)


# Numbers by hand


def test_scores_by_hand() -> None:
    """A: 1 of 2, 1 of 1, 0 of 1 right; B: 2 of 2, 0 of 1, 1 of 1."""
    one = score(make_group("m", make_outcome(TRUTH, [0, 1, 0, 0, 1, 0, 0, 2], SPEAKERS)), 0)
    assert one.uar.value == pytest.approx((3 / 4 + 1 / 2 + 1 / 2) / 3)
    assert one.war.value == pytest.approx(5 / 8)
    assert (one.uar.n, one.war.n) == (8, 8)
    assert one.confusion.tolist() == [[3, 1, 0], [1, 1, 0], [1, 0, 1]]
    assert [(r.value, r.n) for r in one.recall if r] == [(0.75, 4), (0.5, 2), (0.5, 2)]
    assert one.spread is not None
    a, b = (1 / 2 + 1 + 0) / 3, (1 + 0 + 1) / 3
    assert (one.spread.over, one.spread.uar) == ("2 speakers", pytest.approx((a + b) / 2))
    assert one.spread.uar_sd == pytest.approx(abs(a - b) / np.sqrt(2))
    assert (one.spread.war, one.spread.war_sd) == (pytest.approx((2 / 4 + 3 / 4) / 2), pytest.approx(0.25 / np.sqrt(2)))


def test_a_class_without_clips_has_no_recall_and_is_not_in_the_uar() -> None:
    one = score(make_group("m", make_outcome([0, 0, 1, 1], [0, 2, 1, 1], ["A", "B", "A", "B"])), 0)
    assert one.uar.value == pytest.approx(0.75)
    assert one.recall[2] is None


def test_intervals_are_the_quantiles_of_speakers_drawn() -> None:
    """Two speakers, all right and all wrong: drawn AA a quarter of the time, AB half, BB a quarter."""
    one = score(make_group("m", make_outcome([0, 1, 0, 1], [0, 1, 1, 0], ["A", "A", "B", "B"])), 0)
    assert (one.uar.value, one.uar.low, one.uar.high) == (0.5, 0, 1)
    draws = draw_groups(2, 0)
    assert draws.shape == (2000, 2) and (draws.sum(axis=1) == 2).all()
    assert np.mean(draws[:, 0] == 1) == pytest.approx(0.5, abs=0.04)
    assert np.array_equal(draws, draw_groups(2, 0)) and not np.array_equal(draws, draw_groups(2, 1))


def test_vectorised_resampling_is_what_repeating_the_clips_gives() -> None:
    draw = np.random.default_rng(0)
    truth, guess, group = draw.integers(0, 4, 90), draw.integers(0, 4, 90), draw.integers(0, 6, 90)
    draws = draw_groups(6, 3)[:50]
    drawn = resample(draws, confusions(guess, truth, group, 6, 4))
    for i, times in enumerate(draws):
        repeated = np.repeat(np.arange(90), times[group].astype(int))
        assert np.array_equal(drawn[i], confusion(guess[repeated], truth[repeated], 4))
        assert uars(drawn)[i] == pytest.approx(uar(guess[repeated], truth[repeated]))
        assert wars(drawn)[i] == pytest.approx(war(guess[repeated], truth[repeated]))


def test_a_draw_without_a_class_averages_over_the_others_and_never_counts_it_as_0() -> None:
    """Only B says anything sad, and all is right: whoever is drawn, UAR is 1."""
    one = score(make_group("m", make_outcome([0, 1, 0, 1, 2], [0, 1, 0, 1, 2], ["A", "A", "B", "B", "B"])), 0)
    assert (one.uar.low, one.uar.high) == (1, 1)
    assert one.recall[2] is not None and (one.recall[2].low, one.recall[2].high) == (1, 1)
    empty = np.zeros((1, 3, 3))
    assert np.isnan(uars(empty)).all() and np.isnan(wars(empty)).all()
    assert estimate(float("nan"), np.full(4, np.nan), 3, 0).low is None


def test_unknown_speakers_draw_clips_and_say_so() -> None:
    known = score(make_group("m", make_outcome(TRUTH, TRUTH, SPEAKERS)), 0)
    assert [note.reason for note in known.notes] == ["Only 2 speakers to draw from: intervals are too narrow."]
    unknown = score(make_group("m", make_outcome(TRUTH, [0, 1, 0, 0, 1, 0, 0, 2])), 0)
    assert "speakers of these clips are unknown" in unknown.notes[0].reason
    assert unknown.spread is None
    low, high = unknown.uar.low, unknown.uar.high
    assert low is not None and high is not None and low < unknown.uar.value < high
    many = make_outcome([0, 1] * 20, [0, 1] * 20, [f"S{i // 2}" for i in range(40)])
    assert score(make_group("m", many), 0).notes == ()


def test_one_clip_has_no_interval() -> None:
    one = score(make_group("m", make_outcome([0], [0], ["A"])), 0)
    assert (one.uar.value, one.uar.low, one.uar.high) == (1, None, None)


# Folds and seeds


def test_spread_over_folds_is_over_each_folds_own_uar() -> None:
    parts = [([0, 1], [0, 1]), ([0, 1], [0, 0]), ([0, 0, 0, 1], [0, 0, 1, 0])]
    outcomes, first = [], 0
    for number, (truth, guess) in enumerate(parts):
        outcomes.append(make_outcome(truth, guess, [f"S{number}"] * len(truth), first))
        first += len(truth)
    one = score(make_group("m", *outcomes, folds=["fold1", "fold2", "fold3"], seeds=[1, 1, 1]), 0)
    assert one.spread is not None
    each = [1, 1 / 2, 1 / 3]
    assert (one.spread.over, one.spread.count) == ("3 folds", 3)
    assert (one.spread.uar, one.spread.uar_sd) == (pytest.approx(np.mean(each)), pytest.approx(np.std(each, ddof=1)))
    assert one.uar.value == pytest.approx((4 / 5 + 1 / 3) / 2) and one.uar.n == 8  # of all clips together


def test_what_a_spread_is_over() -> None:
    same = make_outcome(TRUTH, TRUTH, SPEAKERS)
    assert spread_over(make_group("m", same, same, same, folds=["fold1"] * 3, seeds=[1, 2, 3])) == ("3 seeds", 3)
    both = {"folds": ["fold1", "fold1", "fold2", "fold2"], "seeds": [1, 2, 1, 2]}
    assert spread_over(make_group("m", same, same, same, same, **both)) == ("2 folds x 2 seeds", 4)
    gappy = {"folds": ["fold1", "fold1", "fold2"], "seeds": [1, 2, 1]}
    assert spread_over(make_group("m", same, same, same, **gappy)) == ("3 models of 2 folds and 2 seeds", 3)
    assert spread_over(make_group("m", same, folds=["fold1"], seeds=[1])) == ("2 speakers", 2)


def test_seeds_of_a_clip_are_drawn_together() -> None:
    """Ten seeds that say the same are no more certain than one."""
    alone = make_outcome(TRUTH, [0, 1, 0, 0, 1, 0, 0, 2])
    one = score(make_group("m", alone), 0)
    ten = score(make_group("m", *[alone] * 10, folds=["fold1"] * 10, seeds=list(range(10))), 0)
    assert ten.uar == one.uar and ten.recall == one.recall


# Differences


def test_a_difference_is_paired() -> None:
    """Two models that fail on the same speakers: each is uncertain, their difference is not."""
    truth = [0, 1] * 40
    speakers = [f"S{i // 4}" for i in range(80)]
    wrong = [1 - k if int(name[1:]) % 2 else k for k, name in zip(truth, speakers, strict=True)]
    better = list(wrong)
    for i in range(0, 80, 4):  # one clip more of each speaker is right, or is so already
        better[i] = truth[i]
    a, b = make_group("a", make_outcome(truth, better, speakers)), make_group("b", make_outcome(truth, wrong, speakers))
    found = compare(a, b, 0)
    assert isinstance(found, Comparison)
    assert found.uar.value == pytest.approx(score(a, 0).uar.value - score(b, 0).uar.value) == pytest.approx(0.125)
    assert (found.only_group, found.only_reference) == (10, 0)
    low, high, alone = found.uar.low, found.uar.high, score(b, 0).uar
    assert low is not None and high is not None and alone.low is not None and alone.high is not None
    assert 0 < low < 0.125 < high
    assert high - low < 0.4 * (alone.high - alone.low)


def test_a_model_and_itself_do_not_differ() -> None:
    group = make_group("a", make_outcome(TRUTH, [0, 1, 0, 0, 1, 0, 0, 2], SPEAKERS))
    found = compare(group, replace(group, name="b"), 0)
    assert isinstance(found, Comparison)
    for difference in (found.uar, found.war):
        assert (difference.value, difference.low, difference.high) == (0, 0, 0)
    assert (found.only_group, found.only_reference) == (0, 0)


def test_differences_are_over_the_clips_both_were_asked_about() -> None:
    a = make_group("a", make_outcome([0, 0, 1, 1], [0, 0, 1, 1], first=0))
    b = make_group("b", make_outcome([1, 1, 2, 2], [1, 0, 0, 0], first=2))  # clips 2 and 3 of a's, and two of its own
    found = compare(a, b, 0)
    assert isinstance(found, Comparison)
    assert (found.war.value, found.war.n, found.only_group, found.only_reference) == (0.5, 2, 1, 0)
    apart = compare(a, make_group("b", make_outcome([0], [0], first=9)), 0)
    assert isinstance(apart, Note) and "any clip in common" in apart.reason


def test_with_seeds_a_clip_is_right_where_most_members_are() -> None:
    outcomes = [make_outcome([0, 0, 0], guess) for guess in ([0, 0, 1], [0, 1, 1], [0, 1, 0])]
    seeds = {"folds": ["fold1"] * 3, "seeds": [1, 2, 3]}
    found = compare(make_group("a", *outcomes, **seeds), make_group("b", make_outcome([0, 0, 0], [1, 0, 1])), 0)
    assert isinstance(found, Comparison)
    assert (found.only_group, found.only_reference) == (1, 1)
    assert found.war.value == pytest.approx(5 / 9 - 1 / 3)


def test_other_classes_have_no_difference() -> None:
    one = make_group("a", make_outcome(TRUTH, TRUTH))
    other = replace(make_group("b", make_outcome(TRUTH, TRUTH)), classes=("anger", "neutral", "fear"))
    found = compare(one, other, 0)
    assert isinstance(found, Note) and "(fear, sadness not in both)" in found.reason


# Simulation


def test_intervals_over_speakers_cover_the_truth_and_those_over_clips_do_not() -> None:
    """Speakers differ in how well they are understood (mean recall 0.6 in both classes), which clips alone hide."""
    draw = np.random.default_rng(5)
    people, each = 30, 20
    truth = np.tile([0, 1], people * each // 2)
    covered: dict[str, list[bool]] = {"speakers": [], "clips": []}
    for trial in range(100):
        skill = np.repeat(draw.beta(3, 2, size=people), each)
        guess = np.where(draw.random(truth.size) < skill, truth, 1 - truth)
        groups = {"speakers": np.repeat(np.arange(people), each)}
        if trial < 15:  # drawing hundreds of clips takes longer, and is plainly worse
            groups["clips"] = np.arange(truth.size)
        for kind, group in groups.items():
            count = int(group.max()) + 1
            drawn = resample(draw_groups(count, trial), confusions(guess, truth, group, count, 2))
            found = estimate(0.0, uars(drawn), count, truth.size)
            assert found.low is not None and found.high is not None
            covered[kind].append(found.low <= 0.6 <= found.high)
    assert 0.88 <= np.mean(covered["speakers"]) <= 0.99
    assert np.mean(covered["clips"]) < 0.8
