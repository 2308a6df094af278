"""What several seeds' records of one run say together of a metric: the number in a leaderboard's cell, and the one that
stands beside a published number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmark.records import Interval, Record
from benchmark.scoring import statistics
from benchmark.scoring.counts import OF_PIXELS, Array
from encoders.errors import UserError, nearest

SAMPLES = 2000
"""Bootstrap samples of a metric that a record holds none of, where it has none of its headline either."""
_FROM_COUNTS = tuple(name for name in OF_PIXELS if name not in ("miou_per_image", "miou_labelled"))
"""Metrics that all follow from the counts of any of them."""


@dataclass(frozen=True)
class OverSeeds:
    """A metric of one run over its seeds.

    Attributes:
        value: its mean over the seeds, a fraction in [0, 1].
        low, high: the ends of its 95 % interval, over test groups and seeds at once; both the value where nothing could
            be resampled.
        seeds: number of records.
    """

    value: float
    low: float
    high: float
    seeds: int

    @property
    def half_width(self) -> float:
        """Half the width of the interval; 0 where nothing could be resampled."""
        return (self.high - self.low) / 2


def over_seeds(records: Sequence[Record], metric: str) -> OverSeeds:
    """A metric over the records of one run, one a seed; of another metric than the headline, with their counts.

    Raises:
        UserError: a record has no such metric.
    """
    by_seed = sorted(records, key=lambda record: record.run.seed)
    for record in by_seed:
        if metric not in record.score.metrics:
            raise UserError(f"record {record.key}: no metric '{metric}'; {nearest(metric, record.score.metrics)}")
    values = [record.score.metrics[metric] for record in by_seed]
    drawn = together([_resampled(record, metric) for record in by_seed], by_seed[0].key)
    low, high = interval([_own_interval(record, metric) for record in by_seed], drawn)
    return OverSeeds(float(np.mean(values)), low, high, len(by_seed))


def together(resampled: Sequence[Array], key: str) -> Array:
    """Bootstrap samples (S,) of the mean over seeds; drawn by the records themselves, whatever else is in a table.

    Args:
        resampled: (S,) of each seed, in their order; sample b drew the same groups for all.
        key: of the first seed's record: rows draw their seeds apart from one another.

    Returns:
        Empty where a seed has none, or another number of them.
    """
    if len({len(one) for one in resampled}) > 1 or not len(resampled[0]):
        return np.empty(0)
    if len(resampled) == 1:
        return resampled[0]
    seeds = _seeds(len(resampled), len(resampled[0]))
    return statistics.over_seeds(np.stack(resampled), np.roll(seeds, int(key, 16) % len(seeds), axis=0))


def interval(own: Sequence[Interval], drawn: Array) -> tuple[float, float]:
    """The 95 % interval of the mean over seeds, cut to [0, 1].

    Args:
        own: of each seed: one alone keeps its interval; without samples the ends are averaged.
        drawn: of `together`.
    """
    if len(own) > 1 and len(drawn):
        low, high = np.clip(statistics.percentiles(drawn), 0, 1)
        return float(low), float(high)
    return float(np.mean([one.low for one in own])), float(np.mean([one.high for one in own]))


@cache
def _seeds(seeds: int, samples: int) -> Array:
    return statistics.draw_seeds(seeds, samples, np.random.default_rng(0))


def _resampled(record: Record, metric: str) -> Array:
    """The stored samples of the headline; of another metric of pixels those of the same counts, drawn alike."""
    if metric == record.score.headline:
        return statistics.unpack(record.score.resamples)
    if not _follows(record, metric):
        return np.empty(0)
    counts = np.asarray(record.score.group_counts, np.float64)
    draws = statistics.draw(counts.shape[0], counts.shape[1], _samples(record), _generator(record))
    return statistics.resample(counts, metric, draws).astype(np.float32)


def _own_interval(record: Record, metric: str) -> Interval:
    if metric == record.score.headline:
        return record.score.interval
    if not _follows(record, metric):
        value = record.score.metrics[metric]
        return Interval(value, value, "no interval: what it is computed from is not kept")
    counts = np.asarray(record.score.group_counts, np.float64)
    return statistics.bootstrap_interval(counts, metric, _generator(record), _samples(record))


def _follows(record: Record, metric: str) -> bool:
    """Whether a metric follows from the counts that a record keeps for its headline."""
    return metric in _FROM_COUNTS and record.score.headline in _FROM_COUNTS


def _samples(record: Record) -> int:
    return len(statistics.unpack(record.score.resamples)) or SAMPLES


def _generator(record: Record) -> np.random.Generator:
    """Seeded as the protocol says: what it drew for the headline of a trained decoder is drawn again."""
    protocol = record.provenance.config.get("protocol")
    seed = protocol.get("bootstrap_seed") if isinstance(protocol, dict) else None
    return np.random.default_rng(seed if isinstance(seed, int) and seed >= 0 else 0)
