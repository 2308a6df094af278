"""How a dataset's files become samples: the one place where datasets of different origin differ.

What a `Reader` gives passes through the same checks, arrays, statistics, proofs and fingerprint whatever it was read
from. `benchmark.data.geobench` reads GEO-Bench's files, `benchmark.data.own` a user's own.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

SPLITS = ("train", "valid", "test")
Names = dict[str, tuple[str, ...]]
"""Sample names by split, in order."""


@dataclass(frozen=True)
class Sample:
    """One image and its label.

    Attributes:
        bands: (H, W) arrays by stored name without date, dtype as stored; (H, W, D) for hyperspectral cubes.
        label: an integer, a multi-hot uint8 (K,), an integer mask (H, W), or None if it wasn't asked for.
        group: what it shares with samples it is not independent of, where the files say so; part of its content.
    """

    bands: dict[str, np.ndarray]
    label: int | np.ndarray | None
    group: str | None = None


class Reader(Protocol):
    """Reads the samples of one dataset. Whatever is wrong with a file ends in a `UserError` that names it.

    Attributes:
        remedy: how a sentence about damaged data ends.
    """

    remedy: str

    def partitions(self) -> list[str]:
        """The partitions that the files list; `default` is one of them."""

    def names(self, partition: str = "default") -> Names:
        """Samples of a partition: no doubles, no overlap, every file there."""

    def is_indexed(self) -> bool:
        """Whether `names` is quick: no code of others is run and no pixel read for it."""

    def where(self, name: str) -> str:
        """What to call a sample in a sentence: its file."""

    def stamps(self, names: Iterable[str]) -> Iterator[str]:
        """Texts that change when the files of these samples do, told without reading them."""

    def read(self, name: str, bands: Sequence[str]) -> Sample:
        """One sample, with the bands asked for."""

    def group(self, name: str) -> str | None:
        """What a sample shares with those it is not independent of, where the files say so (`Sample.group`)."""

    def class_names(self) -> tuple[str, ...] | None:
        """Class names in label order; None where the files have none."""

    def warnings(self) -> tuple[str, ...]:
        """What a reader of a number must know of how the files were taken, a sentence each."""
