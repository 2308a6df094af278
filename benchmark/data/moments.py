"""Exact band statistics from moments of single images.

Each image leaves six numbers a band at ingest; those of any set of images merge without touching a pixel
again (Chan, Golub and LeVeque 1983), so the train statistics of every partition are exact and immediate.
"""

import math
from dataclasses import dataclass

import numpy as np

from encoders.bands import POWER_FLOOR
from encoders.errors import strict

WIDTH = 6
"""Numbers an image and band: mean, sum of squared deviations, min, max, then the first two in decibels."""


@strict
@dataclass(frozen=True)
class BandStatistics:
    """Population statistics of a band over all pixels of a set of images, in its stored unit.

    Attributes:
        decibel_mean, decibel_std: of 10 log10 of the intensity, floored at `encoders.bands.POWER_FLOOR`;
            None for what is no radar intensity.
    """

    mean: float
    std: float
    min: float
    max: float
    decibel_mean: float | None = None
    decibel_std: float | None = None


def of_image(pixels: np.ndarray, power: bool) -> np.ndarray:
    """The moments of one band of one image.

    Args:
        pixels: (H, W), any numeric dtype; accumulated in float64.
        power: whether it is a radar intensity, which also gets moments in decibels (NaN otherwise).

    Returns:
        (6,) float64.
    """
    values = pixels.astype(np.float64)
    moments = np.full(WIDTH, np.nan)
    moments[:2] = _mean_and_deviations(values)
    moments[2:4] = np.min(values), np.max(values)
    if power:
        moments[4:] = _mean_and_deviations(10 * np.log10(np.maximum(values, POWER_FLOOR)))
    return moments


def merge(moments: np.ndarray, pixels: int) -> BandStatistics:
    """Statistics of a band over all images whose moments are given.

    Args:
        moments: (N, 6) float64, N > 0.
        pixels: pixels an image.
    """
    mean, std = _merge(moments[:, 0], moments[:, 1], pixels)
    low, high = float(moments[:, 2].min()), float(moments[:, 3].max())
    if np.isnan(moments[:, 4]).any():
        return BandStatistics(mean, std, low, high)
    return BandStatistics(mean, std, low, high, *_merge(moments[:, 4], moments[:, 5], pixels))


def _mean_and_deviations(values: np.ndarray) -> tuple[float, float]:
    mean = values.mean()
    return float(mean), float(np.square(values - mean).sum())


def _merge(means: np.ndarray, deviations: np.ndarray, pixels: int) -> tuple[float, float]:
    mean = float(means.mean())
    total = float(deviations.sum()) + pixels * float(np.square(means - mean).sum())
    return mean, math.sqrt(total / (pixels * len(means)))
