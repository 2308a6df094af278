"""How sure a number is: bootstrap intervals from the additive counts of `benchmark.scoring.counts`.

Groups are resampled, not images: several dates of one field are one observation. The generator is passed in,
so the same seed gives the same interval, and sample b draws the same groups for every record of one test split: what
was resampled is kept beside the interval (`Score.resamples`), and pairs records without their counts.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.records import Interval
from benchmark.scoring.counts import Array, from_counts, truth_classes


def bootstrap_interval(
    counts: Array, headline: str, rng: np.random.Generator, samples: int = 2000, level: float = 0.95
) -> Interval:
    """Percentile interval of a headline metric over test groups and, jointly, over training replicates.

    A logistic regression is convex, so seeds would show no spread; what varies is which samples it was
    trained on and which it was tested on (Bouthillier et al., "Accounting for Variance in Machine Learning
    Benchmarks", MLSys 2021). With c[r, g] the counts of group g under fit r, fit 0 the reported one and fits
    1..R-1 refits on bootstraps of the train rows, sample b draws a refit r_b and G groups with replacement
    (group g w_bg times), and scores

        s_b = m(sum_g w_bg c[r_b, g]) + m(sum_g c[0, g]) - mean over r >= 1 of m(sum_g c[r, g])

    The last two terms move the refits onto the reported fit: a bootstrap holds about 63 % of the distinct
    rows, so refits score lower on average, which is bias and not spread. They are left out where R is 1. The
    interval is the (1 - level)/2 and (1 + level)/2 quantiles of s_b (percentile method, Efron and Tibshirani
    1993, section 13.3), cut to [0, 1]. Five refits show 4/5 of the variance of training, on average.

    The classes a mean IoU runs over are those of the full test split in every sample. With one group nothing
    can be resampled: the interval is the range over the fits then, and its method says so.

    Args:
        counts: (R, G, M) float, from `benchmark.scoring.counts.group_counts`; the reported fit first.
        headline: a metric of `benchmark.scoring.counts.HEADLINES`.
        rng: draws the samples.
        samples: number of bootstrap samples.
        level: coverage, in (0, 1).

    Raises:
        UserError: the metric is not additive.
        ValueError: counts of another rank, or no fit, or no group.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 3 or 0 in counts.shape:
        raise ValueError(f"counts must be (replicates, groups, counts), none of them 0, got {counts.shape}")
    resampled = resample(counts, headline, draw(counts.shape[0], counts.shape[1], samples, rng))
    return interval_of(counts, headline, resampled, level)


@dataclass(frozen=True)
class Draws:
    """What bootstrap samples drew, in the order of their refits: it hangs on the counts' shape alone.

    Attributes:
        samples: (S, G) float64 for each refit, how often each of its samples drew each group.
    """

    samples: dict[int, Array]


def draw(fits: int, groups: int, samples: int, rng: np.random.Generator) -> Draws:
    """Draw the samples of an interval: for each a refit (the fit itself where it is alone) and groups."""
    refits = np.arange(min(1, fits - 1), fits)
    drawn_fit = rng.choice(refits, size=samples)
    weights = _group_weights(groups, samples, rng)
    return Draws({int(fit): weights[drawn_fit == fit] for fit in refits})


def resample(counts: Array, headline: str, draws: Draws) -> Array:
    """s_b of `bootstrap_interval`, (S,) float64, for counts (R, G, M) float64 of the draws' R and G.

    Empty where there is one group, so that nothing can be resampled.
    """
    if counts.shape[1] < 2:
        return np.empty(0)
    present = truth_classes(headline, counts)
    values = from_counts(headline, counts.sum(axis=1), present)
    summed = np.concatenate([weights @ counts[fit] for fit, weights in draws.samples.items()])
    scores: Array = from_counts(headline, summed, present) + values[0] - values[list(draws.samples)].mean()
    return scores


def interval_of(counts: Array, headline: str, resampled: Array, level: float) -> Interval:
    """The interval of `bootstrap_interval`, from what `resample` gave for these counts."""
    if not len(resampled):
        values = from_counts(headline, counts.sum(axis=1), truth_classes(headline, counts))
        return Interval(float(values.min()), float(values.max()), _range_method(len(counts)))
    low, high = np.clip(percentiles(resampled, level), 0, 1)
    return Interval(float(low), float(high), _bootstrap_method(len(counts), len(resampled), level))


def draw_seeds(seeds: int, samples: int, rng: np.random.Generator) -> Array:
    """(S, N) float32: the share of each seed in each sample, N seeds drawn with replacement."""
    drawn: Array = (rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=samples) / seeds).astype(np.float32)
    return drawn


def over_seeds(resampled: Array, drawn: Array) -> Array:
    """Samples of the mean over seeds, jointly over test groups and seeds.

    With m[n, b] the metric of seed n in sample b (the same groups for all seeds), sample b draws N seeds with
    replacement, seed n k_bn times, and gives sum_n k_bn m[n, b] / N: the two-level bootstrap of Davison and Hinkley
    (1997, section 3.8). Five seeds show 4/5 of the variance between seeds, on average.

    Args:
        resampled: (N, S) float32, a row a seed.
        drawn: (S, N), from `draw_seeds`.

    Returns:
        (S,) float32.
    """
    averaged: Array = np.einsum("bn,nb->b", drawn, resampled)
    return averaged


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds and their standard deviation, sqrt(sum (x - mean)^2 / (N - 1)); 0 for one seed."""
    given = np.asarray(values, np.float64)
    return float(given.mean()), float(given.std(ddof=1)) if len(given) > 1 else 0.0


def percentiles(samples: Array, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of samples (S,): their (1 - level)/2 and (1 + level)/2 quantiles.

    Interpolated linearly between the two nearest order statistics, as numpy's `quantile`, in a tenth of its time.
    """
    ascending = np.sort(samples).astype(np.float64)
    ends = []
    for share in ((1 - level) / 2, (1 + level) / 2):
        place = share * (len(ascending) - 1)
        below = int(place)
        above = min(below + 1, len(ascending) - 1)
        ends.append(float(ascending[below] + (place - below) * (ascending[above] - ascending[below])))
    return ends[0], ends[1]


def pack(resampled: Array) -> str:
    """What was resampled, as a record keeps it: base64 of little-endian float32, small and quick to read."""
    return base64.b64encode(resampled.astype("<f4").tobytes()).decode()


def unpack(text: str) -> Array:
    """(S,) float32 from `pack`'s text.

    Raises:
        ValueError: the text is not `pack`'s.
    """
    return np.frombuffer(binascii.a2b_base64(text, strict_mode=True), "<f4")


def _group_weights(groups: int, samples: int, rng: np.random.Generator) -> Array:
    """(samples, groups) float64: how often each group was drawn, with replacement, in each sample."""
    drawn = rng.integers(0, groups, size=(samples, groups))
    offsets = np.arange(samples)[:, None] * groups
    counted = np.bincount((drawn + offsets).ravel(), minlength=samples * groups)
    return counted.reshape(samples, groups).astype(np.float64)


def _range_method(fits: int) -> str:
    if fits == 1:
        return "no interval: one test group and one fit leave nothing to resample"
    return f"range over {fits} fits (the reported one and its refits on bootstraps of train): one test group"


def _bootstrap_method(fits: int, samples: int, level: float) -> str:
    method = f"{100 * level:g}% percentile bootstrap, {samples} samples of test groups"
    return method if fits == 1 else f"{method} x {fits - 1} bootstraps of train, centred on the reported fit"
