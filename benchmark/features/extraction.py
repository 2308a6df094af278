"""Filling feature arrays: while the encoder works on a batch, the next one is read and the last one written.

Shards are claimed as their first batch is read, and let go of when their rows are vouched for. Few batches are in
memory at once: one being encoded, and before and behind it one in work and one that waits.
"""

import functools
import itertools
import math
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmark import progress
from benchmark.background import Behind, read_ahead
from benchmark.features.arrays import FeatureArrays
from benchmark.features.claims import Claims
from benchmark.features.frozen_part import Batch, FrozenPart
from benchmark.features.tiers import Tier
from benchmark.transfer import Arriving, Homeward
from encoders.finite import Doubts

Numbered = Generator[tuple[int, Batch], None, None]
"""Batches that were read, each with the number of its shard."""


@dataclass(frozen=True)
class Kept:
    """What a tier keeps of rows, on its way to the host.

    Attributes:
        names: of the arrays, one each value.
        values: followed by the answers to `doubts`, if there are any.
    """

    names: tuple[str, ...]
    values: Arriving
    doubts: Doubts

    def arrived(self) -> dict[str, Tensor]:
        """By array name, in host memory.

        Raises:
            UserError: a value is not finite.
        """
        *values, last = self.values.wait()
        if self.doubts:
            self.doubts.settle(last.tolist())
        else:
            values.append(last)
        return dict(zip(self.names, values, strict=True))


class Extraction:
    """The frozen part of a split on its way to disk.

    Attributes:
        assists: do only what no other process is at, and don't wait for these.
    """

    def __init__(self, frozen: FrozenPart, tier: Tier, stored: FeatureArrays, claims: Claims, assists: bool) -> None:
        self._frozen, self._tier, self._stored, self._claims = frozen, tier, stored, claims
        self.assists = assists
        self._homeward = Homeward(frozen.encoder.device)

    def run(self) -> None:
        """Encode all that isn't there; as long as others are at the rest of it, wait for them.

        Raises:
            UserError: a feature that cannot be kept, or an image too large for the memory.
        """
        while todo := self._stored.todo():
            self._fill(self._claims.free(todo), todo)
            left = self._stored.todo()
            if not left or self.assists:
                return
            self._claims.wait(left[0])

    def _fill(self, shards: Iterable[int], todo: Sequence[int]) -> None:
        """Encode shards that are held, of those to do, and let go of them."""
        clock = _Clock()
        numbered = self._batches(shards)
        with (
            Behind() as behind,
            closing(read_ahead(lambda one: (one[0], self._frozen.read(one[1])), numbered)) as read,
            closing(self._shown(read, todo)) as shown,
        ):
            for shard, batch in shown:
                others = (following for _, following in itertools.islice(shown, self._number_of_batches(shard) - 1))
                self._encode(shard, itertools.chain([batch], others), behind)
                behind.do(functools.partial(self._finish, shard, clock))

    def _shown(self, read: Numbered, todo: Sequence[int]) -> Numbered:
        """The batches, showing how many have been encoded; the process that is assisted shows its own."""
        if self.assists:
            return read
        total = sum(map(self._number_of_batches, range(self._stored.about.shards)))
        done = total - sum(map(self._number_of_batches, todo))
        return progress.track(read, self._frozen.title, total, done=done, stage="encode")

    def _batches(self, shards: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        for shard in shards:
            if self._stored.seconds()[shard] > 0:
                self._claims.release(shard)  # another process did it
                continue
            for rows in self._frozen.batches(self._stored.rows(shard)):
                yield shard, rows

    def _number_of_batches(self, shard: int) -> int:
        rows = self._stored.rows(shard)
        return math.ceil((rows.stop - rows.start) / self._frozen.batch_size)

    def _encode(self, shard: int, batches: Iterable[Batch], behind: Behind) -> None:
        """Encode a shard's batches; they are being written when this ends."""
        for batch in batches:
            for portion, kept in self._frozen.encode(batch, self._kept):
                behind.do(functools.partial(self._write, int(portion.rows[0]), kept))

    def _kept(self, batch: Batch) -> Kept:
        frozen, tier, doubts = self._frozen, self._tier, Doubts()
        with doubts.kept():
            stem = frozen.stem(batch)
            found = {"stem": stem} if tier == "stem" else features_kept(frozen, tier, stem)
        answers = [doubts.answers()] if doubts else []
        return Kept(tuple(found), self._homeward.start([*found.values(), *answers]), doubts)

    def _write(self, row: int, kept: Kept) -> None:
        for name, values in kept.arrived().items():
            self._stored.write(name, row, values.numpy())

    def _finish(self, shard: int, clock: "_Clock") -> None:
        self._stored.finish(shard, clock.lap())
        self._claims.release(shard)


def features_kept(frozen: FrozenPart, tier: Tier, stem: Tensor) -> dict[str, Tensor]:
    """What a tier keeps of features, by array name, on the encoder's device."""
    if tier == "embedding":
        return {"embedding": frozen.rounded_embedding(frozen.encoder.embed(stem))}
    features = frozen.rounded(frozen.encoder.body(stem))
    kept = {"embedding": features.embedding}
    if tier == "pooled":
        kept["pooled"] = torch.cat([one.float().mean((3, 4)) for one in features.maps], dim=2)
    elif tier == "maps":
        kept |= {f"level{index}": one for index, one in enumerate(features.maps)}
    return kept


class _Clock:
    """The time from one shard's end to the next's, which add up to what an extraction took."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self) -> float:
        before, self._last = self._last, time.monotonic()
        return self._last - before
