"""Rows of a split that are no whole images: what an epoch makes of each, or the windows that cover it.

A view says how row r, which is image r // variants in its form r % variants, is made of the image.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from benchmark.data.input_transform import InputTransform
from benchmark.features.augmentation import Drawn, draw
from benchmark.protocol_parts import Augment

STREAM = 1
"""Tells the draws of an image from those of an epoch's order, which start from the same seed."""


class View(ABC):
    """How rows are made.

    Attributes:
        variants: rows an image.
        kept: whether the features of a row can be kept.
    """

    variants: int
    kept: bool

    @abstractmethod
    def images(self, transform: InputTransform, native: Tensor | np.ndarray, rows: np.ndarray) -> Tensor:
        """What the encoder is fed, (B, channels, side, side) float32, from the native images of rows (B, C, H, W)."""

    @abstractmethod
    def masks(self, native: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The masks of rows (B, h, w), from the native masks of their images."""


@dataclass(frozen=True)
class Fresh(View):
    """Form n of an image is what epoch n makes of it.

    Attributes:
        epochs: how many there are.
        augments, chance, crop, seed: see `benchmark.features.augmentation.draw`.
        grid: (height, width) of the masks; None for the crop's, or the native one.
    """

    epochs: int
    augments: tuple[Augment, ...]
    chance: float
    crop: int | None
    seed: int
    grid: tuple[int, int] | None = None
    kept = False

    @property
    def variants(self) -> int:  # type: ignore[override]
        """An epoch's form each."""
        return self.epochs

    def images(self, transform: InputTransform, native: Tensor | np.ndarray, rows: np.ndarray) -> Tensor:
        """See `View`; each image is changed once its values are scaled, then resized."""
        scaled = transform.scaled(native)
        changed = [
            self._drawn(int(row), tuple(one.shape[-2:])).image(one) for row, one in zip(rows, scaled, strict=True)
        ]
        return torch.cat([transform.resized(one[None]) for one in changed])

    def masks(self, native: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """See `View`; of the grid, else of one size as images of one size are."""
        changed = [self._drawn(int(row), one.shape).mask(one) for row, one in zip(rows, native, strict=True)]
        size = self.grid or ((self.crop, self.crop) if self.crop else native.shape[1:])
        return np.stack([regrid(one, size) for one in changed])

    def _drawn(self, row: int, size: tuple[int, ...]) -> Drawn:
        image, epoch = divmod(row, self.epochs)
        rng = np.random.default_rng([self.seed, STREAM, epoch, image])
        return draw(self.augments, self.chance, (size[0], size[1]), self.crop, rng)


@dataclass(frozen=True)
class Windows(View):
    """Form n of an image is its n-th window, row by row: as few as cover it, spread evenly (PANGAEA's inference).

    Attributes:
        side: of a window, in native pixels; size: (height, width) of an image.
    """

    side: int
    size: tuple[int, int]
    kept = True

    @cached_property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """(top, left) of each window."""
        tops, lefts = (_spread(length, self.side) for length in self.size)
        return tuple((top, left) for top in tops for left in lefts)

    @property
    def variants(self) -> int:  # type: ignore[override]
        """The windows of an image."""
        return len(self.corners)

    def images(self, transform: InputTransform, native: Tensor | np.ndarray, rows: np.ndarray) -> Tensor:
        """See `View`."""
        scaled = transform.scaled(native)
        cut = [self._cut(one, int(row)) for row, one in zip(rows, scaled, strict=True)]
        return transform.resized(torch.stack(cut))

    def masks(self, native: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """See `View`."""
        return np.stack([self._cut(one, int(row)) for row, one in zip(rows, native, strict=True)])

    def rows(self, images: np.ndarray) -> np.ndarray:
        """The rows of images, window by window."""
        rows: np.ndarray = (images[:, None] * self.variants + np.arange(self.variants)).ravel()
        return rows

    def merged(self, logits: Tensor) -> Tensor:
        """Logits of windows (B x variants, K, side, side) -> of images (B, K, height, width): overlaps averaged."""
        windows = logits.unflatten(0, (-1, self.variants))
        whole = logits.new_zeros((len(windows), logits.shape[1], *self.size))
        times = logits.new_zeros(self.size)
        for number, (top, left) in enumerate(self.corners):
            where = (..., slice(top, top + self.side), slice(left, left + self.side))
            whole[where] += windows[:, number]
            times[where] += 1
        return whole / times

    def _cut(self, one: Any, row: int) -> Any:
        top, left = self.corners[row % self.variants]
        return one[..., top : top + self.side, left : left + self.side]


@dataclass(frozen=True)
class Reading:
    """What of a split's rows is read.

    Attributes:
        view: how rows are made where they are neither whole images nor mirrors of them.
        means: modules' spatial means in place of maps; embedding: and the embedding after them.
        grid: (height, width) of masks; None for the native one.
    """

    view: View | None = None
    means: bool = False
    embedding: bool = False
    grid: tuple[int, int] | None = None

    @property
    def fresh(self) -> bool:
        """Whether form n of an image is what epoch n makes of it."""
        return self.view is not None and not self.view.kept


WHOLE = Reading()


class WholeImages:
    """Features of windows as those of their images: what is asked of an image is given of all its windows."""

    variants = 1

    def __init__(self, windows: Windows, source: "Source", masks: np.ndarray) -> None:
        """
        Args:
            source: of the windows, row by row.
            masks: (N, H, W) of the images.
        """
        self._windows, self._source, self._masks = windows, source, masks

    def __len__(self) -> int:
        return len(self._masks)

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """Native masks of images (B,)."""
        found: np.ndarray = np.asarray(self._masks[rows])
        return found

    def read(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        """Maps of images (B,): (B, windows, views, C_l, H_l, W_l) a level."""
        maps = self._source.read(self._windows.rows(rows))
        return tuple(one.unflatten(0, (len(rows), self._windows.variants)) for one in maps)


class Source(Protocol):
    """Whatever gives maps of rows."""

    def read(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        """Maps of rows (B,), a level each."""


def regrid(masks: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Masks (..., H, W) at size (h, w): for each cell the pixel at its upper left corner (PyTorch's `nearest`)."""
    if masks.shape[-2:] == tuple(size):
        return masks
    rows, columns = (np.arange(to) * of // to for to, of in zip(size, masks.shape[-2:], strict=True))
    return masks[..., rows[:, None], columns]


def _spread(length: int, side: int) -> Sequence[int]:
    """Where windows begin along a side: as few as cover it, the first at its start, the last at its end."""
    count = -(-length // side)
    return [round(one) for one in np.linspace(0, length - side, count).tolist()]
