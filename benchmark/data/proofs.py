"""Proofs that a band holds what the catalogue says it holds, made from the pixels at ingest.

Range checks are hard: data outside them is not the data described, so every number from it would be wrong.
Correlation checks are evidence: kept in the manifest, a warning below their mark. Every unit has bounds of
its own (`UNIT_RANGES`); a dataset's YAML adds checks or, for the same band and statistic, replaces them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.data.dataset import CorrelationCheck, Dataset, RangeCheck, StoredBand
from benchmark.data.moments import BandStatistics
from encoders.errors import UserError, strict
from encoders.spec import Unit

UNIT_RANGES: dict[Unit, tuple[tuple[str, float | None, float | None, str], ...]] = {
    "dn": (
        ("min", -1000, None, "Sentinel-2 digital numbers"),
        ("max", 256, 65535, "Sentinel-2 digital numbers exceed 8 bit"),
    ),
    "reflectance": (
        ("min", -0.5, None, "reflectance"),
        ("max", 0.01, 10, "reflectance, not digital numbers"),
    ),
    "byte": (("min", 0, None, "8-bit values"), ("max", 2, 255, "8-bit values")),
    "dn8": (("min", 0, None, "8-bit values"), ("max", 2, 255, "8-bit values")),
    "unit": (("min", -0.001, None, "values scaled to 0..1"), ("max", 0.004, 1.001, "values scaled to 0..1")),
    "power": (("min", -0.01, None, "an intensity is not negative"),),
}
"""(statistic, low, high, because) by unit: wide enough for every extreme of the published release."""

CORRELATION_IMAGES = 64
"""Evenly spaced images a correlation is computed on."""


@strict
@dataclass(frozen=True)
class Evidence:
    """One check and what it found; value is None where it is not defined (a constant band)."""

    check: str
    value: float | None
    passed: bool


def range_checks(dataset: Dataset) -> list[RangeCheck]:
    """The checks of a dataset: its own, and its units' where it has none for the same band and statistic."""
    own = {(check.band, check.statistic) for check in dataset.ranges}
    by_unit = [
        RangeCheck(band.band, statistic, low, high, because)  # type: ignore[arg-type]
        for band in dataset.bands
        if band.ingest and band.unit is not None
        for statistic, low, high, because in UNIT_RANGES[band.unit]
        if (band.band, statistic) not in own
    ]
    return [*dataset.ranges, *by_unit]


def prove_ranges(dataset: Dataset, split: str, statistics: Mapping[str, BandStatistics]) -> list[Evidence]:
    """Check every band's range over a split.

    Args:
        statistics: of the split, by what a band really is.

    Raises:
        UserError: a band lies outside; names it, its stored name, value, bounds and the remedy.
    """
    stored = {band.band: band for band in dataset.bands}
    evidence = []
    for check in range_checks(dataset):
        value = float(getattr(statistics[check.band], check.statistic))
        bounds = _bounds(check)
        if (check.low is not None and value < check.low) or (check.high is not None and value > check.high):
            raise UserError(
                f"{dataset.name}, split {split}: band {check.band} (stored as '{stored[check.band].name}') "
                f"has {check.statistic} {value:.6g}, expected {bounds} ({check.because}), so it is not "
                f"what {dataset.described_in} describes; "
                f"{'correct that file' if dataset.file else 'download it again, or correct that file'}"
            )
        evidence.append(Evidence(f"{check.statistic} of {check.band} {bounds}", value, True))
    return evidence


def correlate(check: CorrelationCheck, bands: tuple[StoredBand, ...], images: np.ndarray) -> Evidence:
    """Pearson correlation of two bands over the pixels of evenly spaced images.

    Args:
        bands: channels of `images`, (N, C, H, W).
    """
    order = [band.band for band in bands]
    rows = np.unique(np.linspace(0, len(images) - 1, CORRELATION_IMAGES).astype(int))
    first, second = (np.asarray(images[rows, order.index(name)], np.float64).ravel() for name in check.bands)
    first, second = first - first.mean(), second - second.mean()
    scale = np.sqrt(np.square(first).sum() * np.square(second).sum())
    value = float((first * second).sum() / scale) if scale > 0 else None
    passed = value is not None and value >= check.at_least
    return Evidence(f"correlation of {check.bands[0]} and {check.bands[1]} at least {check.at_least}", value, passed)


def _bounds(check: RangeCheck) -> str:
    if check.low is None:
        return f"at most {check.high:g}"
    return f"at least {check.low:g}" if check.high is None else f"{check.low:g} to {check.high:g}"
