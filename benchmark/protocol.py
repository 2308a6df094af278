"""A protocol: everything about fitting, choosing and scoring that two comparable numbers share."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from encoders.errors import UserError, strict


@strict
@dataclass(frozen=True)
class LogGrid:
    """`values` numbers from `low` to `high`, evenly spaced in their logarithm."""

    low: float
    high: float
    values: int

    def numbers(self) -> list[float]:
        """The grid, ascending."""
        return [float(number) for number in np.geomspace(self.low, self.high, self.values)]


@strict
@dataclass(frozen=True)
class Protocol:
    """The fields of `configs/protocol/*.yaml`; the reason for each stands there.

    Attributes:
        ranked: False for protocols made for trying things out.
        feature_dtype: what features are rounded to, once, wherever they are kept.
        linear_c: inverse regularisation strengths of the logistic regression.
        knn_k: numbers of neighbours.
        train_bootstraps: refits of the linear probe on bootstraps of train, for its interval.
        test_bootstraps: resamples of test groups, for every interval.
    """

    name: str
    title: str
    version: int
    ranked: bool
    feature_dtype: Literal["float16", "float32"]
    linear_c: LogGrid
    knn_k: tuple[int, ...]
    train_bootstraps: int
    test_bootstraps: int
    interval_level: float
    bootstrap_seed: int

    def __post_init__(self) -> None:
        where = f"protocol {self.name}"
        if not 0 < self.linear_c.low <= self.linear_c.high or self.linear_c.values < 1:
            raise UserError(f"{where}: linear_c needs 0 < low <= high and at least one value")
        if not self.knn_k or min(self.knn_k) < 1:
            raise UserError(f"{where}: knn_k needs numbers of neighbours from 1 up")
        if not 0 < self.interval_level < 1:
            raise UserError(f"{where}: interval_level is {self.interval_level}, it must lie between 0 and 1")
        if self.train_bootstraps < 0 or self.test_bootstraps < 1:
            raise UserError(f"{where}: train_bootstraps must be at least 0 and test_bootstraps at least 1")

    @property
    def hash(self) -> str:
        """12 hexadecimal digits over every field that changes a number (not name and title)."""
        fields = {key: value for key, value in asdict(self).items() if key not in ("name", "title")}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]
