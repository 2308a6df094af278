"""Which value rule a stored band has: the encoder's own, or one that the protocol puts in its place.

Harnesses that feed all models alike standardise every band, with the dataset's statistics or with constants they
publish; those of `configs/scaling/` are such constants.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import configs
from benchmark.data.dataset import Dataset, StoredBand
from encoders.bands import Band
from encoders.errors import UserError, validate
from encoders.spec import Authority, InputSpec, Step, Unit, ValueRule

InputScaling = Literal["authors", "dataset_zscore", "pangaea"]
"""Whose value rule: `authors` is the encoder's own (`configs/inputs/`); `dataset_zscore` (x - mean) / std of the stored
value with exact train statistics, radar too; `pangaea` the same with that project's constants."""
ZSCORE = Step("zscore")


@dataclass(frozen=True)
class Rules:
    """The value rules of an encoder on a dataset.

    Attributes:
        profile: where one is added to `spec`, for the sentence that says there is none.
    """

    spec: InputSpec
    dataset: Dataset
    scaling: InputScaling
    profile: str = "its file in configs/inputs/"

    @property
    def authority(self) -> Authority:
        """Whose choice they are."""
        if self.scaling != "authors":
            return "protocol"
        known = self.spec.authors == "all" or self.dataset.name in self.spec.authors
        return "authors" if known else "ours"

    def reads(self, stored: StoredBand) -> bool:
        """Whether the protocol's source reads a band at all.

        Raises:
            UserError: it doesn't know the dataset.
        """
        return self.scaling != "pangaea" or stored.name in self._constants()

    def of(self, stored: StoredBand, wanted: Band) -> ValueRule:
        """The rule of a stored band that answers, or stands in for, a wanted one.

        Raises:
            UserError: there is none; names the fix.
        """
        if self.scaling == "dataset_zscore":
            return ValueRule(_unit(stored), (ZSCORE,))
        if self.scaling == "pangaea":
            mean, std = self._constants()[stored.name]
            step = Step("zscore", statistics="fixed", mean={wanted.name: mean}, std={wanted.name: std})
            return ValueRule(_unit(stored), (step,))
        for rule in self.spec.rules:
            if rule.unit == stored.unit and (not rule.only or wanted.name in rule.only):
                return rule
        raise UserError(
            f"{self.spec.title} has no value rule for unit '{stored.unit}' (band '{stored.name}' of "
            f"{self.dataset.name}); add one to {self.profile}"
        )

    def of_missing(self, stored: list[StoredBand], wanted: Band) -> ValueRule:
        """The rule a band would have if it were there: that of the first stored band the encoder can take."""
        units = {rule.unit for rule in self.spec.rules if not rule.only or wanted.name in rule.only}
        alike = next((band for band in stored if band.unit in units), stored[0])
        # Nobody has statistics of a band that isn't there; 0 is its mean after standardising, whatever they are.
        return self.of(alike, wanted) if self.scaling == "authors" else ValueRule(_unit(alike), (ZSCORE,))

    def _constants(self) -> dict[str, tuple[float, float]]:
        known = _published(self.scaling)
        if self.dataset.name not in known:
            raise UserError(
                f"input_scaling={self.scaling} has no constants for {self.dataset.name}; take dataset_zscore"
            )
        return known[self.dataset.name]


def _unit(stored: StoredBand) -> Unit:
    assert stored.unit is not None  # what no encoder takes is never offered
    return stored.unit


@cache
def _published(scaling: str) -> dict[str, dict[str, tuple[float, float]]]:
    """(mean, std) by dataset and stored band."""
    path = configs.ROOT / "scaling" / f"{scaling}.yaml"
    return validate(dict[str, dict[str, tuple[float, float]]], configs.load(path), f"configs/scaling/{path.name}")
