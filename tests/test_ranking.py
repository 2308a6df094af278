"""Who is better: every statistic against scipy or a version one can read, and none of them fooled."""

import itertools

import numpy as np
import pytest
from scipy import stats

from benchmark.scoring import ranking
from benchmark.scoring.counts import from_counts
from benchmark.scoring.statistics import draw, draw_seeds, mean_and_std, over_seeds, percentiles, resample

RNG = np.random.default_rng(5)


def test_mean_and_deviation_over_seeds_are_numpys_sample_ones():
    assert mean_and_std([0.8, 0.9, 0.7]) == pytest.approx((0.8, 0.1))
    assert mean_and_std([0.8]) == (0.8, 0.0)


def test_seeds_and_groups_are_drawn_together():
    counts = [np.stack([RNG.binomial(9, share, 30), np.full(30, 9)], axis=1).astype(float) for share in (0.5, 0.8, 0.7)]
    drawn = draw(1, 30, 8000, np.random.default_rng(0))
    shares = draw_seeds(3, 8000, np.random.default_rng(1))
    found = over_seeds(np.stack([resample(one[None], "accuracy", drawn) for one in counts]), shares)
    rng, brute = np.random.default_rng(2), []
    for _ in range(8000):
        groups, seeds = rng.integers(0, 30, 30), rng.integers(0, 3, 3)
        brute.append(np.mean([from_counts("accuracy", counts[seed][groups].sum(axis=0)) for seed in seeds]))
    assert percentiles(found) == pytest.approx(percentiles(np.array(brute)), abs=6e-3)
    assert shares.sum(axis=1) == pytest.approx(np.ones(8000))


@pytest.mark.parametrize("length", [1, 2, 7, 2000])
def test_percentiles_are_numpys(length):
    samples = RNG.random(length)
    for level in (0.5, 0.95):
        assert percentiles(samples, level) == pytest.approx(np.quantile(samples, [(1 - level) / 2, (1 + level) / 2]))


def test_the_same_generator_draws_the_same_seeds():
    first, second, third = (draw_seeds(5, 100, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert (first == second).all()
    assert (first != third).any()


def test_p_value_is_the_level_at_which_the_interval_reaches_zero():
    differences = np.random.default_rng(0).normal(2, 1, 9999)
    (p,) = ranking.p_values(differences[None])
    assert p == pytest.approx(2 * stats.norm.sf(2), abs=5e-3)
    low, _ = percentiles(differences, 1 - p)
    assert low == pytest.approx(0, abs=0.01)
    assert ranking.p_values(np.zeros((1, 50))) == [1]
    assert ranking.p_values(np.ones((2, 999))) == pytest.approx([2 / 1000] * 2)


def test_of_many_rivals_those_far_behind_are_significantly_worse():
    gaps = np.array([0, 0.01, *np.linspace(5, 80, 78)]) / 100
    samples = 0.9 - gaps[:, None] + np.random.default_rng(0).normal(0, 0.01, (80, 200))
    found = ranking.compare(0.9 - gaps, samples, [(0, row) for row in range(1, 80)], groups=200)
    assert [one.adjusted < ranking.ALPHA for one in found] == [False] + [True] * 78
    few = ranking.compare(0.9 - gaps[[0, 1, 40]], samples[[0, 1, 40]], [(0, 1), (0, 2)], groups=200)
    assert few[1].p == pytest.approx(2 / 201)  # two are told apart by the samples alone
    assert not any(one.by_tail for one in few)


@pytest.mark.parametrize("rivals", [5, 6])
def test_a_tail_stands_in_where_the_samples_could_not_be_significant(rivals):
    samples = np.repeat([[0.9], [0.5]], [1, rivals], axis=0) + np.random.default_rng(0).normal(
        0, 0.01, (1 + rivals, 200)
    )
    found = ranking.compare(samples.mean(axis=1), samples, [(0, row + 1) for row in range(rivals)], groups=200)
    assert all(one.adjusted < ranking.ALPHA for one in found)
    assert [one.by_tail for one in found] == [rivals > 5] * rivals  # 6 x 2 / 201 is more than 0.05


def test_a_tail_is_students_t_test_of_the_samples_deviation():
    rng = np.random.default_rng(0)
    observed = rng.normal(2, 1, 30)
    resampled = observed[rng.integers(0, 30, (4000, 30))].mean(axis=1)
    expected = stats.ttest_1samp(observed, 0).pvalue
    assert np.log(ranking.tails(resampled[None], 30)[0]) == pytest.approx(np.log(expected), rel=0.1)
    assert ranking.tails(np.ones((1, 50)), 30) == [0]


def test_without_a_difference_few_tests_reject():
    rng, rejected = np.random.default_rng(0), 0
    for _ in range(200):
        both = rng.random((2, 300)) < 0.8
        counts = [np.stack([one, np.ones(300)], axis=1)[None].astype(float) for one in both]
        drawn = draw(1, 300, 400, rng)
        samples = [resample(one, "accuracy", drawn) for one in counts]
        rejected += ranking.p_values((samples[0] - samples[1])[None])[0] < 0.05
    assert rejected <= 22  # 10 are expected; 23 or more happen once in ten thousand times


def test_pairing_sees_what_separate_intervals_hide():
    hard = RNG.random(500) < 0.5
    better = hard | (np.arange(500) < 10)  # right on what the other is right on, and on a few more
    drawn = draw(1, 500, 2000, np.random.default_rng(0))
    samples = np.stack(
        [
            resample(np.stack([one, np.ones(500)], axis=1)[None].astype(float), "accuracy", drawn)
            for one in (better, hard)
        ]
    )
    values = np.array([better.mean(), hard.mean()])
    (found,) = ranking.compare(values, samples, [(0, 1)], groups=500)
    assert percentiles(samples[0])[0] < percentiles(samples[1])[1]
    assert found.adjusted < 0.05
    assert 0 < found.low < found.difference < found.high


def test_holm_is_the_step_down_by_hand_and_never_below_the_plain_p():
    assert ranking.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert ranking.holm([0.9, 0.8]) == [1.0, 1.0]
    assert ranking.holm([]) == []
    plain = RNG.random(20)
    adjusted = np.array(ranking.holm(plain))
    by_level = [min(level for level in np.linspace(0, 1, 2001) if _rejected(plain, row, level)) for row in range(3)]
    assert adjusted[:3] == pytest.approx(by_level, abs=1e-3)


def _rejected(p, row, level):
    for step, other in enumerate(np.argsort(p)):
        if p[other] * (len(p) - step) > level and level < 1:
            return False
        if other == row:
            return True
    return True


def test_neighbours_and_rivals_of_the_best():
    values = np.array([0.7, 0.9, 0.8])
    assert ranking.neighbours(values) == [(1, 2), (2, 0)]
    assert ranking.against_best(values) == [(1, 0), (1, 2)]
    assert ranking.neighbours(values[:1]) == []


def test_ranks_are_scipys_with_the_highest_first_and_none_for_what_is_missing():
    scores = np.array([[0.9, 0.5], [0.7, np.nan], [0.9, 0.6]])
    assert ranking.ranks(scores) == pytest.approx(np.array([[1.5, 2], [3, np.nan], [1.5, 1]]), nan_ok=True)
    assert ranking.mean_ranks(scores) == pytest.approx([1.75, 3, 1.25])
    whole = RNG.random((6, 4))
    by_dataset = np.stack([stats.rankdata(-column) for column in whole.T], axis=1)
    assert ranking.mean_ranks(whole) == pytest.approx(by_dataset.mean(axis=1))


def test_rank_intervals_are_those_of_ranking_each_sample():
    samples = RNG.normal(np.array([[3.0], [2.9], [0.0]]), 0.1, (3, 1000))
    assert ranking.rank_intervals(samples).tolist() == [[1, 2], [1, 2], [3, 3]]
    brute = np.array([[1 + (one > row).sum() for row in one] for one in samples.T])
    assert (brute == ranking.ranks(samples).T).all()


def test_probability_of_improvement_counts_samples_won():
    ours, theirs = RNG.random((3, 40)), RNG.random((3, 40))
    theirs[0, :5] = ours[0, :5]
    pairs = zip(ours.ravel(), theirs.ravel(), strict=True)
    brute = np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs])
    assert ranking.probability_of_improvement(ours, theirs) == pytest.approx(brute)
    assert ranking.probability_of_improvement(theirs, ours) == pytest.approx(1 - brute)
    theirs[2] = np.nan
    left = ranking.probability_of_improvement(ours[:2], theirs[:2])
    assert ranking.probability_of_improvement(ours, theirs) == pytest.approx(left)
    # Averaged over every order of its samples it is the Mann-Whitney statistic of unpaired runs.
    rolled = [ranking.probability_of_improvement(ours[:1], np.roll(theirs[:1], shift, axis=1)) for shift in range(40)]
    u = stats.mannwhitneyu(ours[0], theirs[0]).statistic
    assert np.mean(rolled) == pytest.approx(u / 40**2)


def test_interquartile_mean_is_the_mean_of_the_middle_half():
    assert ranking.interquartile_mean(np.array([100, 1, 2, 3, 4, 5, 6, -50])) == pytest.approx(3.5)
    for length in (1, 2, 3, 5, 60):
        values = np.sort(RNG.random(length))
        assert ranking.interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25))


def test_geo_benchs_scale_puts_its_worst_at_0_and_its_best_at_1():
    assert ranking.normalised(np.array([0.6, 0.8, 0.7, 0.9]), 0.6, 0.8) == pytest.approx([0, 1, 0.5, 1.5])


def test_every_pair_is_corrected_for_the_number_of_pairs():
    samples = RNG.normal(np.arange(4)[:, None] / 20, 0.03, (4, 500))
    pairs = list(itertools.combinations(range(3, -1, -1), 2))
    found = ranking.compare(samples.mean(axis=1), samples, pairs, groups=50)
    assert [one.adjusted for one in found] == ranking.holm([one.p for one in found])
    assert all(one.adjusted >= one.p for one in found)
