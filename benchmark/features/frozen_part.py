"""The frozen part of a run: rows of a split, by batches, through transform and encoder to rounded features."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from benchmark.data.ingest import Split
from benchmark.data.inputs import InputTransform
from benchmark.features.arrays import SHARD
from benchmark.memory import Portions
from encoders.base import Encoder, Features
from encoders.errors import UserError

Done = TypeVar("Done")


@dataclass(frozen=True)
class FrozenPart:
    """An encoder on a split: rows of the split (image r // variants, flipped by r % variants) to features.

    Variant 0 is the image, 1 its left-right mirror, 2 its top-bottom mirror, 3 both.

    Attributes:
        portions: how much of a batch memory holds at once.
    """

    encoder: Encoder
    transform: InputTransform
    split: Split
    dtype: np.dtype
    batch_size: int
    variants: int
    portions: Portions

    def __len__(self) -> int:
        return len(self.split.samples) * self.variants

    @property
    def title(self) -> str:
        """The encoder and the split in a few words."""
        return f"{self.encoder.card.name} on {self.split.dataset.name}/{self.split.name}"

    def encode(self, batch: np.ndarray, do: Callable[[np.ndarray], Done]) -> Iterator[tuple[np.ndarray, Done]]:
        """What `do` makes of a batch of rows: at once, or portion by portion where memory does not hold it."""
        return self.portions.of(batch, do, f"images for {self.title}")

    def stem(self, rows: np.ndarray) -> Tensor:
        """The stems of rows, float32 on the encoder's device."""
        native = np.asarray(self.split.images[rows // self.variants])
        for variant in range(1, self.variants):
            here = rows % self.variants == variant
            native[here] = flip(native[here], variant)
        return self.encoder.stem(self.transform(native).to(self.encoder.device))

    def rounded(self, features: Features) -> Features:
        """Features in the dtype they are kept in.

        Raises:
            UserError: one is too large for it.
        """
        kind = torch.float16 if self.dtype == np.float16 else torch.float32
        maps = tuple(one.to(kind) for one in features.maps)
        embedding = features.embedding.float().to(kind)
        if not all(torch.isfinite(one).all() for one in (*maps, embedding)):
            raise UserError(
                f"{self.encoder.card.name}: a feature of {self.split.dataset.name}/{self.split.name} is too large "
                f"for {self.dtype}; use protocol.feature_dtype=float32"
            )
        return Features(maps, embedding)

    def batches(self, rows: slice) -> Iterator[np.ndarray]:
        """The batches in which the rows of a shard are encoded."""
        for start in range(rows.start, rows.stop, self.batch_size):
            yield np.arange(start, min(start + self.batch_size, rows.stop))

    def batch_of(self, row: int) -> np.ndarray:
        """The batch a row is encoded in."""
        shard = row // SHARD * SHARD
        start = shard + (row - shard) // self.batch_size * self.batch_size
        return np.arange(start, min(start + self.batch_size, shard + SHARD, len(self)))


def flip(images: np.ndarray, variant: int) -> np.ndarray:
    """Images or masks (..., H, W) as a variant shows them: 1 left-right, 2 top-bottom, 3 both."""
    axes = ((), (-1,), (-2,), (-2, -1))[variant]
    return np.flip(images, axes)
