"""Features as the official codes make them: anew for an image whenever a decoder is trained on it or asked about it.

What is left out of SatDiFuser's code costs a GPU much and says nothing of the method: copies of latents to the host and
back after every step, and emptied caches. Images are read ahead as its loaders do.
"""

import numpy as np
import torch
from torch import Tensor

from benchmark.features.frozen_part import Batch, FrozenPart
from benchmark.scoring.counts import Array
from encoders.base import Encoder
from encoders.satdifuser import SatDiFuser

Maps = tuple[Tensor, ...]


def walks(encoder: Encoder) -> bool:
    """Whether the official code calls a network several times for an image."""
    return isinstance(encoder, SatDiFuser) and encoder.options.mode == "inversion"


def said(encoder: Encoder) -> str:
    """What the official way is, in a few words."""
    if not walks(encoder):
        return "the encoder for every image in every epoch"
    assert isinstance(encoder, SatDiFuser)
    return f"VAE and {len(encoder.steps)} UNet calls one after another for every image in every epoch"


@torch.no_grad()
def encoded(encoder: Encoder, images: Tensor) -> Maps:
    """The maps of images (B, C, H, W), the official way."""
    if not walks(encoder):
        return encoder(images).maps
    assert isinstance(encoder, SatDiFuser)
    return encoder.step_by_step(encoder.encode(images))


@torch.no_grad()
def latents(encoder: Encoder, images: Tensor) -> Tensor:
    """SatDiFuser's latents of images: what the official code's VAE does for every image in every epoch."""
    assert isinstance(encoder, SatDiFuser)
    return encoder.encode(images)


class Recomputed:
    """The features of a split, encoded whenever they are read."""

    together = None
    variants = 1

    def __init__(self, frozen: FrozenPart) -> None:
        self._frozen = frozen

    def __len__(self) -> int:
        return len(self._frozen)

    def labels(self, rows: np.ndarray) -> Array:
        """As `SplitFeatures.labels`."""
        return np.asarray(self._frozen.split.labels[rows])

    def read(self, rows: np.ndarray) -> Maps:
        """As `SplitFeatures.read`."""
        return tuple(one.float() for one in self.maps(self.fetch(rows)))

    def fetch(self, rows: np.ndarray) -> Batch:
        """Native images, as a loader reads them in the background."""
        return self._frozen.read(rows)

    def maps(self, batch: Batch) -> Maps:
        """Their features, in the encoder's own arithmetic: nothing is rounded, for nothing is stored."""
        frozen, images = self._frozen, self._frozen.images(batch)
        if frozen.reading.embedding and not walks(frozen.encoder):
            return frozen.given(frozen.encoder(images))
        return encoded(frozen.encoder, images)
