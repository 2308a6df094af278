"""Intervals: against brute force and scipy, the same for the same generator, never NaN."""

import numpy as np
import pytest
from scipy import stats

from benchmark.scoring.counts import from_counts, group_counts, truth_classes
from benchmark.scoring.statistics import bootstrap_interval, draw, interval_of, pack, resample, unpack

RNG = np.random.default_rng(1)


def _accuracy_counts(fits, groups, share=0.8, rng=RNG):
    sizes = rng.integers(1, 6, groups)
    return np.stack([np.stack([rng.binomial(sizes, share), sizes], axis=1) for _ in range(fits)]).astype(float)


def _brute_force(counts, headline, rng, samples):
    present = truth_classes(headline, counts)
    values = [float(from_counts(headline, fit.sum(axis=0), present)) for fit in counts]
    refits = list(range(1, len(counts))) or [0]
    shift = values[0] - np.mean([values[fit] for fit in refits])
    scores = []
    for _ in range(samples):
        fit = counts[rng.choice(refits)]
        drawn = rng.integers(0, counts.shape[1], counts.shape[1])
        scores.append(float(from_counts(headline, fit[drawn].sum(axis=0), present)) + shift)
    return np.clip(np.quantile(scores, [0.025, 0.975]), 0, 1)


def test_plain_accuracy_over_single_images_has_scipys_percentile_interval():
    correct = (RNG.random(300) < 0.7).astype(float)
    counts = np.stack([correct, np.ones(300)], axis=1)[None]
    found = bootstrap_interval(counts, "accuracy", np.random.default_rng(0), samples=9000)
    expected = stats.bootstrap(
        (correct,), np.mean, n_resamples=9000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=4e-3)


@pytest.mark.parametrize("fits", [1, 6])
@pytest.mark.parametrize("headline", ["accuracy", "miou_truth"])
def test_interval_is_that_of_drawing_groups_and_refits_one_by_one(fits, headline):
    if headline == "accuracy":
        counts = _accuracy_counts(fits, 40)
    else:
        confusions = RNG.integers(0, 30, (fits, 40, 3, 3)) + 40 * np.eye(3, dtype=int)
        counts = np.stack([group_counts(headline, fit, None, np.arange(40)) for fit in confusions])
    found = bootstrap_interval(counts, headline, np.random.default_rng(0), samples=6000)
    low, high = _brute_force(counts, headline, np.random.default_rng(1), samples=6000)
    assert (found.low, found.high) == pytest.approx((low, high), abs=8e-3)


def test_same_generator_same_interval():
    counts = _accuracy_counts(6, 50)
    intervals = [bootstrap_interval(counts, "accuracy", np.random.default_rng(seed)) for seed in (7, 7, 8)]
    assert intervals[0] == intervals[1] != intervals[2]


def test_spread_of_training_widens_the_interval_and_its_bias_does_not_move_it():
    base = _accuracy_counts(1, 400)
    better, worse = base.copy(), base.copy()
    better[0, :, 0] = base[0, :, 1]
    worse[0, ::2, 0] = 0
    alone = bootstrap_interval(base, "accuracy", np.random.default_rng(0))
    biased = bootstrap_interval(np.concatenate([base, worse, worse]), "accuracy", np.random.default_rng(0))
    spread = bootstrap_interval(np.concatenate([base, better, worse]), "accuracy", np.random.default_rng(0))
    value = float(from_counts("accuracy", base[0].sum(axis=0)))
    assert biased.low < value < biased.high
    assert spread.high - spread.low > 3 * (alone.high - alone.low)


def test_images_of_one_group_are_one_observation():
    image = (RNG.random(60) < 0.7).astype(float)
    alone = np.stack([image, np.ones(60)], axis=1)[None]
    interval = bootstrap_interval(alone, "accuracy", np.random.default_rng(0))
    ten_dates = bootstrap_interval(10 * alone, "accuracy", np.random.default_rng(0))
    assert (ten_dates.low, ten_dates.high) == (interval.low, interval.high)


def test_one_group_gives_the_range_over_fits_and_says_so():
    counts = np.array([[[8.0, 10.0]], [[7.0, 10.0]], [[9.0, 10.0]]])
    found = bootstrap_interval(counts, "accuracy", np.random.default_rng(0))
    assert (found.low, found.high) == (0.7, 0.9)
    assert "range over 3 fits" in found.method
    alone = bootstrap_interval(counts[:1], "accuracy", np.random.default_rng(0))
    assert (alone.low, alone.high) == (0.8, 0.8)
    assert alone.method.startswith("no interval")


@pytest.mark.parametrize(("headline", "width"), [("accuracy", 2), ("f1_micro", 3), ("miou_truth", 6)])
def test_counts_of_nothing_give_zero_not_nan(headline, width):
    found = bootstrap_interval(np.zeros((2, 3, width)), headline, np.random.default_rng(0), samples=10)
    assert (found.low, found.high) == (0, 0)


def test_method_says_what_was_resampled():
    found = bootstrap_interval(_accuracy_counts(6, 37), "accuracy", np.random.default_rng(0))
    assert found.method == (
        "95% percentile bootstrap, 2000 samples of test groups x 5 bootstraps of train, centred on the reported fit"
    )


def test_what_is_kept_of_the_samples_gives_the_interval_again():
    counts = _accuracy_counts(6, 40)
    resampled = resample(counts, "accuracy", draw(6, 40, 2000, np.random.default_rng(3)))
    kept = unpack(pack(resampled))
    assert kept == pytest.approx(resampled, abs=1e-7)
    interval = bootstrap_interval(counts, "accuracy", np.random.default_rng(3))
    assert interval_of(counts, "accuracy", resampled, 0.95) == interval
    assert np.quantile(kept, [0.025, 0.975]) == pytest.approx([interval.low, interval.high], abs=1e-7)


def test_one_test_split_is_drawn_alike_for_every_record():
    counts = _accuracy_counts(1, 40)
    first, second = (resample(counts, "accuracy", draw(1, 40, 50, np.random.default_rng(0))) for _ in range(2))
    assert (first == second).all()
    assert len(resample(counts[:, :1], "accuracy", draw(1, 1, 50, np.random.default_rng(0)))) == 0


@pytest.mark.parametrize("shape", [(3, 2), (0, 3, 2), (1, 0, 2)])
def test_counts_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="counts must be"):
        bootstrap_interval(np.zeros(shape), "accuracy", np.random.default_rng(0))
