"""Families of encoders: one row of the leaderboard whose checkpoint depends on the dataset and the band track.

Which one is fixed in `configs/family.yaml`, with its reason, before any result. `croma` is a family;
`croma:tiny` is the same mapping onto models whose weights are drawn. An encoder is a family of its own, and where a
family has one encoder alone both may bear one name (`satdifuser`): then the row is the encoder's.
"""

from dataclasses import dataclass
from functools import cache

import configs
import encoders
from benchmark.data.dataset import Dataset
from benchmark.data.inputs import Track
from encoders.errors import UserError, nearest, strict, validate

TINY = ":tiny"


@strict
@dataclass(frozen=True)
class Choice:
    """A checkpoint and where it stands for its family.

    Attributes:
        where: datasets, or sensors of datasets.
        tiny: the encoder of drawn weights that stands in for it.
        bands: the one band track it is for; None for every track.
    """

    where: tuple[str, ...]
    encoder: str
    tiny: str
    reason: str
    bands: Track | None = None

    def fits(self, dataset: Dataset, track: Track) -> bool:
        """Whether this is a checkpoint for a dataset on a track."""
        return self.bands in (None, track) and bool({dataset.name, dataset.sensor} & set(self.where))


@strict
@dataclass(frozen=True)
class Family:
    """A row of several checkpoints: its title, and its choices in the order they are tried."""

    title: str
    choices: tuple[Choice, ...]


@cache
def families() -> dict[str, Family]:
    """The families there are, by name, each in full size and in `:tiny`."""
    read = configs.load(configs.ROOT / "family.yaml")
    found = {name: validate(Family, plain, f"configs/family.yaml: {name}") for name, plain in read.items()}
    return dict(sorted((found | {name + TINY: _tiny(family) for name, family in found.items()}).items()))


def full() -> dict[str, Family]:
    """The families of released models: those without `:tiny`."""
    return {name: family for name, family in families().items() if not name.endswith(TINY)}


def names() -> list[str]:
    """What can be named as an encoder on the command line: encoders and families."""
    return sorted({*encoders.names(), *families()})


def is_named(name: str) -> bool:
    """Whether a name is a family's or an encoder's, wherever the encoder comes from."""
    return name in families() or encoders.is_named(name)


def fixed(name: str) -> Family | None:
    """The family a row is, whose checkpoints are not the user's to change; None where the name is an encoder's."""
    return None if name in encoders.built_in() else families().get(name)


def choose(name: str, dataset: Dataset, track: Track) -> str:
    """The encoder that stands for a family on a dataset; an encoder stands for itself.

    Raises:
        UserError: no such name, or the family has no checkpoint for the dataset.
    """
    if name not in families():
        if not encoders.is_named(name):
            raise UserError(f"no encoder '{name}'; {nearest(name, names())}")
        return name
    for choice in families()[name].choices:
        if choice.fits(dataset, track):
            return choice.encoder
    raise UserError(f"configs/family.yaml: {name} has no checkpoint for {dataset.name}; add a choice")


def members(name: str) -> list[str]:
    """The encoders of a family; an encoder's name alone otherwise."""
    family = families().get(name)
    return list(dict.fromkeys(choice.encoder for choice in family.choices)) if family else [name]


def _tiny(family: Family) -> Family:
    choices = tuple(
        Choice(where=one.where, encoder=one.tiny, tiny=one.tiny, reason=one.reason, bands=one.bands)
        for one in family.choices
    )
    return Family(f"{family.title} family, tiny", choices)
