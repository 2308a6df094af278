"""Features on their way to the decoders: a thread reads the next batch while one is trained on; a GPU keeps what fits.

What a GPU has room for is measured: once a training step has shown what it needs, the rest may hold features. They are
kept as they come by, so the first epoch reads everything and the others read what was not kept.
"""

from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from benchmark.background import read_ahead
from benchmark.features.frozen_part import Batch
from benchmark.scoring.counts import Array
from benchmark.transfer import pinned, send
from encoders.finite import Doubts

Maps = tuple[Tensor, ...]
SHARE = 0.9
"""Of the memory that nothing else needs, what features may take: allocators split memory, and steps vary."""


class FeatureSource(Protocol):
    """Stored features of a split and its labels. Row r is image r // variants, flipped as r % variants says."""

    @property
    def variants(self) -> int:
        """Stored copies of an image."""

    def __len__(self) -> int:
        """Number of rows."""

    def labels(self, rows: np.ndarray) -> Array:
        """Labels of rows (B,) int64, in that order; see `Task.kind`."""

    def read(self, rows: np.ndarray) -> Maps:
        """Maps of the rows (B,) int64, in that order: a level each, (B, views, channels, H_l, W_l)."""


@runtime_checkable
class InTwoSteps(Protocol):
    """A source whose `read` is `maps` of what was fetched: the first step reads, the second computes."""

    @property
    def together(self) -> int | None:
        """Rows that are best asked for at once; None where any number is."""

    def fetch(self, rows: np.ndarray) -> Batch:
        """Reads; may be called in a thread beside."""

    def maps(self, batch: Batch) -> Maps:
        """Maps of a batch, whose values may have been sent to a device: there, or where the source computes them."""


class Room:
    """A GPU's memory that features may take."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._taken = 0
        self._needed: int | None = None

    def take(self, size: int) -> bool:
        """Whether so many bytes fit beside what training has needed until the first call; they count as taken then."""
        fits = self._taken + size <= SHARE * self.bytes()
        self._taken += size if fits else 0
        return fits

    def bytes(self) -> int:
        """Free, or taken; 0 on the CPU, where the system keeps files in memory as it can."""
        if self._device.type != "cuda":
            return 0
        free, _ = torch.cuda.mem_get_info(self._device)
        if self._needed is None:
            self._needed = torch.cuda.max_memory_allocated(self._device)
        return free + torch.cuda.memory_reserved(self._device) - self._needed


class Feed:
    """The batches of a split, on the device.

    Attributes:
        keeps: whether rows stay on the device; None before the first batch has been worked on.
    """

    def __init__(self, source: FeatureSource, device: str, room: Room | None = None) -> None:
        """
        Args:
            room: for rows that stay on the device; None for none, where a split is read once.
        """
        self.source = source
        self.keeps: bool | None = None if room else False
        self._steps = source if isinstance(source, InTwoSteps) else _AtOnce(source)
        self._device, self._room, self._kept = torch.device(device), room, _Kept(len(source))

    def batches(self, order: np.ndarray, size: int) -> Generator[tuple[Maps, Tensor], None, None]:
        """Maps, float32, and labels of the rows in `order`, `size` at a time, the rest as a last batch.

        Raises:
            UserError: a feature that was computed now is not finite; where a GPU computes, at the end.
        """
        step = self._steps.together or size
        chunks = [order[start : start + step] for start in range(0, len(order), step)]
        doubts = Doubts()

        def pieces(fetched: Iterable[tuple[Batch, Tensor | None]]) -> Generator[tuple[Tensor, ...], None, None]:
            for batch, labels in fetched:
                with doubts.kept():
                    yield self._on_device(batch, labels)

        with closing(read_ahead(self._fetch, chunks)) as fetched:
            for *maps, labels in _regrouped(pieces(fetched), size):
                yield tuple(maps), labels
        doubts.settle()

    def _fetch(self, rows: np.ndarray) -> tuple[Batch, Tensor | None]:
        """In a thread: what is not on the device."""
        if self._kept.has(rows):
            return Batch(rows, None), None
        labels = torch.from_numpy(np.ascontiguousarray(self.source.labels(rows)))
        return self._steps.fetch(rows), pinned(labels, self._device)

    def _on_device(self, batch: Batch, labels: Tensor | None) -> tuple[Tensor, ...]:
        """The maps, float32, and the labels of a batch."""
        if labels is None:
            *values, there = self._kept.get(batch.rows, self._device)
            batch = Batch(batch.rows, tuple(values))
        else:
            there = send(labels, self._device)
            if batch.values is not None:
                batch = Batch(batch.rows, tuple(send(one, self._device) for one in batch.values))
                self._keep(batch, there)
        return (*(level.float() for level in self._steps.maps(batch)), there)

    def _keep(self, batch: Batch, labels: Tensor) -> None:
        assert batch.values is not None
        together = (*batch.values, labels)
        if self.keeps is None and self._kept.seen:
            assert self._room is not None
            self.keeps = self._room.take(len(self.source) * sum(one[0].nbytes for one in together))
        self._kept.seen = True
        if self.keeps:
            self._kept.put(batch.rows, together)


class _AtOnce:
    """A source that reads and computes in one step, in the thread that trains."""

    together = None

    def __init__(self, source: FeatureSource) -> None:
        self._source = source

    def fetch(self, rows: np.ndarray) -> Batch:
        return Batch(rows, None)

    def maps(self, batch: Batch) -> Maps:
        return self._source.read(batch.rows)


class _Kept:
    """Rows on a device.

    Attributes:
        seen: whether a batch has come by.
    """

    def __init__(self, rows: int) -> None:
        self.seen = False
        self._here = np.zeros(rows, bool)
        self._values: tuple[Tensor, ...] = ()

    def has(self, rows: np.ndarray) -> bool:
        """Whether all these rows are here."""
        return bool(self._here[rows].all())

    def put(self, rows: np.ndarray, values: tuple[Tensor, ...]) -> None:
        """Keep a copy of rows' values."""
        if not self._values:
            self._values = tuple(one.new_empty((len(self._here), *one.shape[1:])) for one in values)
        index = _sent(rows, values[0].device)
        for kept, one in zip(self._values, values, strict=True):
            kept.index_copy_(0, index, one)
        self._here[rows] = True

    def get(self, rows: np.ndarray, device: torch.device) -> tuple[Tensor, ...]:
        """Rows' values; all are here."""
        index = _sent(rows, device)
        return tuple(kept.index_select(0, index) for kept in self._values)


def _sent(rows: np.ndarray, device: torch.device) -> Tensor:
    return send(pinned(torch.from_numpy(rows), device), device)


def _regrouped(pieces: Iterable[tuple[Tensor, ...]], size: int) -> Generator[tuple[Tensor, ...], None, None]:
    """What comes in pieces, `size` rows at a time."""
    rest: tuple[Tensor, ...] | None = None
    for piece in pieces:
        have = piece if rest is None else tuple(map(torch.cat, zip(rest, piece, strict=True)))
        while len(have[0]) >= size:
            yield tuple(one[:size] for one in have)
            have = tuple(one[size:] for one in have)
        rest = have if len(have[0]) else None
    if rest is not None:
        yield rest
