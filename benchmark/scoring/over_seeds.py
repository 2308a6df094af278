"""What several seeds' records of one run say together of a metric: the number that stands beside a published one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.records import Interval, Record
from benchmark.scoring import statistics
from encoders.errors import UserError, nearest

SAMPLES = 2000
"""Bootstrap samples of an interval that a record does not hold, as `frozen` draws for those it does."""


@dataclass(frozen=True)
class OverSeeds:
    """A metric of one run over its seeds.

    Attributes:
        value, low, high: the metric and the ends of its 95 % interval, fractions in [0, 1]; means over the seeds.
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
    """A metric over the records of one run, one a seed.

    Raises:
        UserError: a record has no such metric.
    """
    for record in records:
        if metric not in record.score.metrics:
            raise UserError(f"record {record.key}: no metric '{metric}'; {nearest(metric, record.score.metrics)}")
    intervals = [_interval(record, metric) for record in records]
    return OverSeeds(
        value=float(np.mean([record.score.metrics[metric] for record in records])),
        low=float(np.mean([interval.low for interval in intervals])),
        high=float(np.mean([interval.high for interval in intervals])),
        seeds=len(records),
    )


def _interval(record: Record, metric: str) -> Interval:
    """The stored interval of the headline; of another mIoU one from the same counts, which are enough for each."""
    if metric == record.score.headline:
        return record.score.interval
    counts = np.asarray(record.score.group_counts, np.float64)
    return statistics.bootstrap_interval(counts, metric, np.random.default_rng(0), SAMPLES)
