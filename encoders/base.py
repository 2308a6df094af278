"""The encoder interface: a frozen model is a pure function from an image to feature maps.

Public methods are sealed: they check shape, dtype and finiteness for every adapter alike. An adapter writes
`_stem` and `_body` and says its levels, views and embedding width.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor, nn

from encoders.errors import UserError
from encoders.finite import refuse_infinite
from encoders.spec import EncoderCard, InputSpec, Level, Setup

__all__ = ["Encoder", "EncoderCard", "Features", "InputSpec", "Level", "Setup"]


@dataclass(frozen=True)
class Features:
    """What a frozen encoder says of a batch of images.

    Attributes:
        maps: one tensor a level, finest first, each (B, views, channels, H_l, W_l), floating point.
        embedding: (B, D), what linear probes and kNN are given.
    """

    maps: tuple[Tensor, ...]
    embedding: Tensor


class Encoder(nn.Module, ABC):
    """A frozen encoder. Never trains: modules assigned to it stop requiring gradients and stay in eval mode.

    Attributes:
        card: its passport.
        inputs: what it wants to be fed.
        channels: number of input channels C.
        levels: the grids of its maps, finest first.
        views: how often it looks at the image (saved timesteps of a diffusion model), shared by all levels.
        embedding_dim: width D of the embedding.
        convolutional: whether convolutions are most of it, which a GPU does faster with channels last in memory.
        by_band: whether it describes each input band by itself, so that its widths are so many a band.
    """

    card: EncoderCard
    inputs: InputSpec
    channels: int
    levels: tuple[Level, ...]
    views: tuple[str, ...] = ("image",)
    embedding_dim: int
    convolutional: bool = False
    by_band: bool = False

    if TYPE_CHECKING:

        def __call__(self, images: Tensor) -> Features:
            """`forward`, as torch calls it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, nn.Module):
            value.requires_grad_(False).eval()
        super().__setattr__(name, value)

    def train(self, mode: bool = True) -> "Encoder":
        """Stay in eval mode, whatever is asked: dropout or batch statistics would make features random."""
        return super().train(False)

    @property
    def device(self) -> torch.device:
        """Where the weights are; the CPU for an encoder without any."""
        tensors = (*self.parameters(), *self.buffers())
        return tensors[0].device if tensors else torch.device("cpu")

    @final
    @torch.no_grad()
    def stem(self, images: Tensor) -> Tensor:
        """The part whose output is small enough to keep for every image.

        Args:
            images: (B, C, H, W) float32, in the value range that `inputs` declares.

        Returns:
            (B, ...) float32: identity by default.

        Raises:
            UserError: other dtype, rank or channel count, or a pixel that is not finite.
        """
        name = self.card.name
        if images.ndim != 4 or images.shape[1] != self.channels:
            raise UserError(
                f"{name}: images must be (batch, {self.channels}, height, width), got {tuple(images.shape)}"
            )
        if images.dtype != torch.float32:
            raise UserError(f"{name}: images must be float32, got {str(images.dtype).removeprefix('torch.')}")
        refuse_infinite([images], f"{name}: an input pixel is NaN or infinite after scaling; look at `preview`")
        return self._stem(images)

    @final
    @torch.no_grad()
    def body(self, stem: Tensor) -> Features:
        """Features of a batch from its stem.

        Returns:
            maps (B, views, channels, H_l, W_l) a level and the embedding (B, D).

        Raises:
            UserError: a feature is not finite, or the adapter's shapes differ from what it declares.
        """
        features = self._body(stem)
        self._check(features, batch=stem.shape[0])
        return features

    @final
    @torch.no_grad()
    def embed(self, stem: Tensor) -> Tensor:
        """The embedding alone, (B, D): that of `body`, sooner where maps are work of their own.

        Raises:
            UserError: as `body`.
        """
        embedding = self._embed(stem)
        self._check_embedding(embedding, batch=stem.shape[0])
        return embedding

    def forward(self, images: Tensor) -> Features:
        """`body(stem(images))`."""
        return self.body(self.stem(images))

    def _stem(self, images: Tensor) -> Tensor:
        return images

    @abstractmethod
    def _body(self, stem: Tensor) -> Features:
        """Features from the stem; shapes as `body` says."""

    def _embed(self, stem: Tensor) -> Tensor:
        return self.body(stem).embedding

    def _check(self, features: Features, batch: int) -> None:
        name = self.card.name
        declared = [(batch, len(self.views), level.channels) for level in self.levels]
        given = [tuple(feature_map.shape[:3]) for feature_map in features.maps]
        if given != declared or any(feature_map.ndim != 5 for feature_map in features.maps):
            raise UserError(f"{name}: its adapter declares maps {declared} (+ height, width) but gives {given}")
        refuse_infinite(features.maps, _infinite(name))
        self._check_embedding(features.embedding, batch)

    def _check_embedding(self, embedding: Tensor, batch: int) -> None:
        name = self.card.name
        if tuple(embedding.shape) != (batch, self.embedding_dim):
            raise UserError(
                f"{name}: its adapter declares embeddings of width {self.embedding_dim} but gives "
                f"{tuple(embedding.shape)}"
            )
        refuse_infinite([embedding], _infinite(name))


def _infinite(name: str) -> str:
    return f"{name}: a feature is NaN or infinite; try precision=float32"
