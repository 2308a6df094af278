"""The frozen part of a run: rows of a split, by batches, through transform and encoder to rounded features."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from benchmark.data.ingest import Split
from benchmark.data.input_transform import InputTransform
from benchmark.features.arrays import SHARD
from benchmark.features.views import WHOLE, Reading
from benchmark.memory import Portions, ran_out
from benchmark.transfer import pinned, send
from encoders.base import Encoder, Features
from encoders.finite import refuse_infinite

Done = TypeVar("Done")


@dataclass(frozen=True)
class Batch:
    """Rows of a split, and what they are encoded from, in host memory; can be sliced.

    Attributes:
        rows: (B,) integers.
        values: (B, ...) each: native images, stems, or stored maps. None where they are still to be read: portion by
            portion, where memory did not hold them at once.
    """

    rows: np.ndarray
    values: tuple[Tensor, ...] | None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> "Batch":
        return Batch(self.rows[part], None if self.values is None else tuple(one[part] for one in self.values))


@dataclass(frozen=True)
class FrozenPart:
    """An encoder on a split: rows of the split (image r // variants, flipped by r % variants) to features.

    Variant 0 is the image, 1 its left-right mirror, 2 its top-bottom mirror, 3 both.

    Attributes:
        portions: how much of a batch memory holds at once.
        reading: how rows are made where they are no mirrors, and what of their features is read.
    """

    encoder: Encoder
    transform: InputTransform
    split: Split
    dtype: np.dtype
    batch_size: int
    variants: int
    portions: Portions
    reading: Reading = WHOLE

    def __len__(self) -> int:
        return len(self.split.samples) * self.variants

    @property
    def title(self) -> str:
        """The encoder and the split in a few words."""
        return f"{self.encoder.card.name} on {self.split.dataset.name}/{self.split.name}"

    @property
    def kept_as(self) -> torch.dtype:
        """What features are rounded to."""
        return torch.float16 if self.dtype == np.float16 else torch.float32

    def encode(self, batch: Batch, do: Callable[[Batch], Done]) -> Iterator[tuple[Batch, Done]]:
        """What `do` makes of a batch: at once, or portion by portion where memory does not hold it."""
        return self.portions.of(batch, do, f"images for {self.title}")

    def read(self, rows: np.ndarray) -> Batch:
        """Rows with their native images; may be called in a thread beside."""
        return self.prepared(rows, lambda: (self._native(rows),))

    def prepared(self, rows: np.ndarray, values: Callable[[], Iterable[np.ndarray]]) -> Batch:
        """Rows with values in memory that a GPU copies from without waiting; without any, where memory runs out."""
        try:
            return Batch(rows, tuple(pinned(torch.from_numpy(one), self.encoder.device) for one in values()))
        except Exception as error:
            if not ran_out(error):
                raise
            return Batch(rows, None)

    def stem(self, batch: Batch) -> Tensor:
        """The stems of a batch of native images, float32 on the encoder's device."""
        return self.encoder.stem(self.images(batch))

    def images(self, batch: Batch) -> Tensor:
        """What the encoder is fed of a batch of native images; values are scaled on its device."""
        native = torch.from_numpy(self._native(batch.rows)) if batch.values is None else batch.values[0]
        sent, view = send(native, self.encoder.device), self.reading.view
        return self.transform(sent) if view is None else view.images(self.transform, sent, batch.rows)

    def _native(self, rows: np.ndarray) -> np.ndarray:
        """Images as they are stored, flipped as their rows say."""
        native = np.asarray(self.split.images[rows // self.variants])
        if self.reading.view is not None:
            return native  # the view makes rows of them once their values are scaled
        for variant in range(1, self.variants):
            here = rows % self.variants == variant
            native[here] = flip(native[here], variant)
        return native

    def rounded(self, features: Features) -> Features:
        """Features in the dtype they are kept in.

        Raises:
            UserError: one is too large for it.
        """
        maps = tuple(one.to(self.kept_as) for one in features.maps)
        self._refuse_too_large(maps)
        return Features(maps, self.rounded_embedding(features.embedding))

    def rounded_embedding(self, embedding: Tensor) -> Tensor:
        """As `rounded`, of an embedding alone."""
        rounded = embedding.float().to(self.kept_as)
        self._refuse_too_large([rounded])
        return rounded

    def _refuse_too_large(self, rounded: Sequence[Tensor]) -> None:
        refuse_infinite(
            rounded,
            f"{self.encoder.card.name}: a feature of {self.split.dataset.name}/{self.split.name} is too large "
            f"for {self.dtype}; use protocol.feature_dtype=float32",
        )

    def given(self, features: Features) -> tuple[Tensor, ...]:
        """What of rounded features is read: maps, or (B, views, C_l, 1, 1) float32 means and (B, 1, D, 1, 1) after."""
        if not self.reading.means:
            return features.maps
        return self.means_of([one.float().mean((3, 4)) for one in features.maps], lambda: features.embedding)

    def means_of(self, means: Sequence[Tensor], embedding: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        """Means (B, views, C_l) a level and embeddings (B, D), where they are asked for, as `given` says."""
        found = (*means, embedding().float()[:, None]) if self.reading.embedding else tuple(means)
        return tuple(one[..., None, None] for one in found)

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
