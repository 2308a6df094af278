"""Encoding rows in any order on the CPU, to the same bits as in the extraction's own batches.

The last bits of a convolution or matrix product may depend on how many images are computed together, and a storage tier
must not change a number. With most networks they do not depend on which images these are: then rows can be gathered
from anywhere, as many as their extraction's batch had. Whether that holds for an encoder on this machine is tried out
once a split; where it doesn't, whole batches of the extraction are encoded to keep a few rows of each.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from benchmark.features.arrays import SHARD
from benchmark.features.frozen_part import FrozenPart

Maps = tuple[Tensor, ...]
Company = Literal["any", "as many", "own"]
"""What an image may be computed with: any images, any of its own batch's number, or its own batch alone."""


class Gathering:
    """Encodes rows in any order.

    Attributes:
        company: what was found out about the encoder; None before rows were asked for that are no batch of the
            extraction.

    Args:
        encode: rows that are encoded together to their maps.
    """

    def __init__(self, frozen: FrozenPart, encode: Callable[[np.ndarray], Maps]) -> None:
        self._frozen, self._encode = frozen, encode
        self.company: Company | None = None
        self._sizes: tuple[int, ...] = ()

    def __call__(self, rows: np.ndarray) -> Maps:
        """The maps of rows, in their order."""
        if np.array_equal(rows, self._frozen.batch_of(int(rows[0]))):
            return self._encode(rows)
        batches = list(self._batches(list(dict.fromkeys(rows.tolist()))))
        if len(batches) == 1 and batches[0][1] == rows.tolist():
            return tuple(level[: len(rows)] for level in self._encode(batches[0][0]))  # maps are large: no copy
        place: dict[int, int] = {}
        kept: list[Maps] = []
        for together, wanted in batches:
            place.update({row: len(place) + i for i, row in enumerate(wanted)})
            kept.append(_of(self._encode(together), together, wanted))
        order = torch.tensor([place[row] for row in rows.tolist()])
        return tuple(torch.cat(level)[order] for level in zip(*kept, strict=True))

    def _batches(self, rows: list[int]) -> Iterator[tuple[np.ndarray, list[int]]]:
        """Rows to encode together, and which of the given ones are among them; each of these once."""
        self.company = self.company or self._found_out()
        if self.company == "own":
            for batch in {int(batch[0]): batch for batch in map(self._frozen.batch_of, rows)}.values():
                yield batch, [row for row in rows if batch[0] <= row <= batch[-1]]
            return
        by_size: dict[int, list[int]] = defaultdict(list)
        for row in rows:
            by_size[max(self._sizes) if self.company == "any" else len(self._frozen.batch_of(row))].append(row)
        for size, alike in by_size.items():
            for start in range(0, len(alike), size):
                wanted = alike[start : start + size]
                enough = [one for one in self._sizes if len(wanted) <= one] if self.company == "any" else [size]
                yield _filled(wanted, min(enough)), wanted

    def _found_out(self) -> Company:
        """Encode a batch of each size on its own, then half of its images among others."""
        batches: dict[int, np.ndarray] = {}
        for row in (*range(min(SHARD, len(self._frozen))), len(self._frozen) - 1):
            batch = self._frozen.batch_of(row)
            batches.setdefault(len(batch), batch)
        self._sizes = tuple(batches)
        halves = {size: batch[::-2].tolist() for size, batch in batches.items()}
        own = {size: _of(self._encode(batch), batch, halves[size]) for size, batch in batches.items()}

        def stays(size: int, number: int) -> bool:
            """Whether half of the batch of a size, turned round and among others, `number` together, keeps its bits."""
            members = set(batches[size].tolist())
            strangers = (row for row in range(len(self._frozen)) if row not in members)
            together = _filled([*itertools.islice(strangers, number - len(halves[size])), *halves[size]], number)
            mixed = _of(self._encode(together), together, halves[size])
            return all(torch.equal(one, other) for one, other in zip(mixed, own[size], strict=True))

        if not all(stays(size, size) for size in batches):
            return "own"
        return "any" if all(stays(size, max(batches)) for size in batches if size < max(batches)) else "as many"


def _of(maps: Maps, rows: np.ndarray, wanted: Sequence[int]) -> Maps:
    """The maps of some of the rows."""
    at = {row: i for i, row in enumerate(rows.tolist())}
    index = torch.tensor([at[row] for row in wanted])
    return tuple(level[index] for level in maps)


def _filled(rows: Sequence[int], size: int) -> np.ndarray:
    """Rows, the last repeated until there are `size`."""
    return np.array([*rows, *[rows[-1]] * (size - len(rows))])
