"""Who is better: paired tests, ranks and aggregates over datasets, from the bootstrap samples that records keep.

Sample b drew the same test groups for every record of a dataset (`scoring.statistics`), so two rows are compared
sample by sample: what makes a test image hard is hard for both, and drops out.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.scoring.counts import Array

ALPHA = 0.05
"""Level of every significance mark, after Holm's correction."""
FEWEST_GROUPS = 10
"""Independent test groups below which nothing is called significant: a bootstrap of so few knows too few values."""


@dataclass(frozen=True)
class Comparison:
    """A paired test of two rows, by their positions.

    Attributes:
        difference, low, high: of their scores, with its percentile interval.
        p, adjusted: before and after Holm's correction.
        by_tail: whether p is that of `tails`.
    """

    better: int
    worse: int
    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    by_tail: bool = False


def p_values(differences: Array) -> list[float]:
    """Two-sided bootstrap p-values of no difference, from paired differences (P, S) of bootstrap samples.

    p = 2 min(1 + #{d <= 0}, 1 + #{d >= 0}) / (S + 1), at most 1: the smallest level at which the percentile interval
    leaves 0 out (Efron and Tibshirani 1993, section 15.4; the 1 added as in Davison and Hinkley 1997, section 4.2).
    """
    below, above = (1 + side.sum(axis=1) for side in (differences <= 0, differences >= 0))
    found = np.minimum(1, 2 * np.minimum(below, above) / (differences.shape[1] + 1))
    return [float(one) for one in found]


def tails(differences: Array, groups: int) -> list[float]:
    """Two-sided p-values of no difference by Student's t, of paired differences (P, S) that no sample contradicts.

    p = 2 P(T > |mean| / sd) with `groups` - 1 degrees of freedom, mean and sd those of the bootstrap samples
    (Davison and Hinkley 1997, section 4.4.1).
    """
    from scipy.special import stdtr

    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(differences.mean(axis=1)) / differences.std(axis=1, ddof=1)
    return [float(one) for one in 2 * stdtr(groups - 1, -t)]


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values (Scandinavian Journal of Statistics 6, 1979).

    With p_(1) <= ... <= p_(m), the adjusted p_(i) is the largest of (m - j + 1) p_(j) over j <= i, at most 1.
    """
    given = np.asarray(p, np.float64)
    order = np.argsort(given, kind="stable")
    stepped = np.maximum.accumulate((len(given) - np.arange(len(given))) * given[order])
    adjusted = np.empty(len(given))
    adjusted[order] = np.minimum(stepped, 1)
    return [float(one) for one in adjusted]


def compare(values: Array, samples: Array, pairs: Sequence[tuple[int, int]], groups: int) -> list[Comparison]:
    """Paired tests of pairs of rows (better, worse), corrected for their number.

    S samples know no p below 2 / (S + 1). Of so many pairs that this, corrected, could not be significant (more than
    fifty with 2,000 samples), those that no sample contradicts have the p of `tails`, if that is smaller.

    Args:
        values: (R,) scores; samples: (R, S) their bootstrap samples.
        groups: independent test groups behind the samples.
    """
    if not pairs:
        return []
    one, other = np.array(pairs).T
    differences = samples[one] - samples[other]
    p = p_values(differences)
    least = 2 / (samples.shape[1] + 1)
    by_tail = [False] * len(pairs)
    if len(pairs) * least >= ALPHA:
        beyond = tails(differences, groups)
        by_tail = [alone <= least and tail < alone for alone, tail in zip(p, beyond, strict=True)]
        p = [tail if is_less else alone for alone, tail, is_less in zip(p, beyond, by_tail, strict=True)]
    ends = np.quantile(differences, [0.025, 0.975], axis=1).T
    return [
        Comparison(better, worse, float(values[better] - values[worse]), float(low), float(high), alone, adjusted, tail)
        for (better, worse), (low, high), alone, adjusted, tail in zip(pairs, ends, p, holm(p), by_tail, strict=True)
    ]


def neighbours(values: Array) -> list[tuple[int, int]]:
    """Each row and the next below it, the best first, by their scores (R,)."""
    order = [int(row) for row in np.argsort(-values, kind="stable")]
    return list(itertools.pairwise(order))


def against_best(values: Array) -> list[tuple[int, int]]:
    """The best row and each other one."""
    best = int(np.argmax(values))
    return [(best, row) for row in range(len(values)) if row != best]


def ranks(scores: Array) -> Array:
    """Ranks along the first axis, 1 for the highest; equal scores share their mean rank; NaN has none.

    r_i = #{j: x_j > x_i} + (#{j: x_j = x_i} + 1) / 2, as `scipy.stats.rankdata` gives, whose import takes longer than a
    whole report.
    """
    ranked = np.empty(scores.shape)
    for row, own in zip(ranked, scores, strict=True):
        row[...] = (scores > own).sum(axis=0) + ((scores == own).sum(axis=0) + 1) / 2
    ranked[np.isnan(scores)] = np.nan
    return ranked


def rank_intervals(samples: Array, level: float = 0.95) -> Array:
    """(R, 2) percentile intervals of each row's rank over bootstrap samples (R, S).

    The bootstrap of ranks (Goldstein and Spiegelhalter 1996; Hall and Miller 2009): in each sample all rows are ranked
    anew. Rounded outwards to whole ranks.
    """
    low, high = np.quantile(ranks(samples), [(1 - level) / 2, (1 + level) / 2], axis=1)
    return np.stack([np.floor(low), np.ceil(high)], axis=1)


def mean_ranks(scores: Array) -> Array:
    """Mean rank of each row over datasets, from scores (R, D) or samples (R, D, S); a missing (NaN) score has no rank.

    Each dataset ranks the rows it has (Demsar, JMLR 7, 2006).
    """
    ranked = ranks(scores)
    known = ~np.isnan(ranked)
    averaged: Array = np.where(known, ranked, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return averaged


def probability_of_improvement(samples: Array, others: Array) -> float:
    """How likely a row beats another on a dataset drawn at random (Agarwal et al., NeurIPS 2021).

    P = 1/D sum_d 1/S sum_b ([x_db > y_db] + [x_db = y_db] / 2), over bootstrap samples (D, S) paired by test groups
    where the paper pairs all runs; a dataset that either row lacks (NaN) is left out.
    """
    known = ~(np.isnan(samples).any(axis=1) | np.isnan(others).any(axis=1))
    wins = (samples > others) + (samples == others) / 2
    return float(wins[known].mean()) if known.any() else float("nan")


def interquartile_mean(values: Array) -> Array:
    """Mean of the middle half of values (N, ...): floor(N/4) are cut at either end (Agarwal et al. 2021)."""
    cut = len(values) // 4
    mean: Array = np.sort(values, axis=0)[cut : len(values) - cut].mean(axis=0)
    return mean


def normalised(values: Array, worst: Array | float, best: Array | float) -> Array:
    """GEO-Bench's scale, (x - worst) / (best - worst): 0 and 1 are the worst and best of its own baselines.

    Lacoste et al., "GEO-Bench: Toward Foundation Models for Earth Monitoring", NeurIPS 2023, section 4; worst and best
    of each dataset stand in its `normalizer.json` (`benchmark.data.dataset.Dataset.normalizer`).
    """
    scaled: Array = (np.asarray(values, np.float64) - worst) / (best - worst)
    return scaled
