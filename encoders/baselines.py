"""Floors: encoders that need no weights. A model that doesn't beat them has shown nothing.

`imagestats` describes an image by statistics of its pixel values, `rcf` by random convolutional features.
Both give maps as well: the same description of every cell of grids of stride 4, 8, 16 and 32 pixels.
"""

import itertools
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from encoders.base import Encoder, EncoderCard, Features, InputSpec, Level, Setup
from encoders.bounds import Finite, Pixels, Seed, Width
from encoders.errors import UserError, strict, validate

STRIDES = (4, 8, 16, 32)
CHUNK = 16
"""Filters of `rcf` applied at once."""
PERCENTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def cells(images: Tensor, stride: int) -> Tensor:
    """Cut images into square cells.

    Args:
        images: (B, C, H, W); a rest at the right and bottom is completed by repeating the edge.

    Returns:
        (B, C, ceil(H/stride), ceil(W/stride), stride * stride).
    """
    height, width = images.shape[-2:]
    padded = F.pad(images, (0, -width % stride, 0, -height % stride), mode="replicate")
    return padded.unfold(2, stride, stride).unfold(3, stride, stride).flatten(4)


def describe(values: Tensor) -> Tensor:
    """Mean, population std, min, max and `PERCENTILES` (linear interpolation) over the last dimension.

    Args:
        values: (B, C, ..., n).

    Returns:
        (B, C * 9, ...), the nine numbers of a channel side by side.
    """
    ordered = values.sort(dim=-1).values
    position = torch.tensor(PERCENTILES, dtype=values.dtype, device=values.device) * (values.shape[-1] - 1)
    below = position.floor().long()
    above = position.ceil().long()
    quantiles = torch.lerp(ordered[..., below], ordered[..., above], position - position.floor())
    moments = [values.mean(-1), values.std(-1, correction=0), ordered[..., 0], ordered[..., -1]]
    described = torch.cat((torch.stack(moments, -1), quantiles), -1)
    return described.movedim(-1, 2).flatten(1, 2)


def _check_precision(card: EncoderCard, precision: str) -> None:
    if precision != "float32":
        raise UserError(f"{card.name} has no weights to hold in {precision}; leave precision at float32")


class ImageStats(Encoder):
    """Per-band mean, std, min, max and five percentiles."""

    PER_CHANNEL = 4 + len(PERCENTILES)
    by_band = True

    def __init__(self, card: EncoderCard, inputs: InputSpec, channels: int) -> None:
        super().__init__()
        self.card, self.inputs, self.channels = card, inputs, channels
        self.embedding_dim = channels * self.PER_CHANNEL
        self.levels = tuple(Level(stride, (("statistics", self.embedding_dim),)) for stride in STRIDES)

    @classmethod
    def from_card(cls, setup: Setup) -> Self:
        """Needs neither size nor weights."""
        card = setup.card
        _check_precision(card, setup.precision)
        if card.options:
            raise UserError(f"{card.name} has no options, got {', '.join(map(str, card.options))}; leave them out")
        return cls(card, setup.inputs, len(setup.bands))

    def _body(self, stem: Tensor) -> Features:
        maps = tuple(describe(cells(stem, stride)).unsqueeze(1) for stride in STRIDES)
        return Features(maps, self._embed(stem))

    def _embed(self, stem: Tensor) -> Tensor:
        return describe(stem.flatten(2))


@strict
@dataclass(frozen=True)
class RandomFeatureOptions:
    """Options of `rcf`: torchgeo's, whose defaults are 16 features, kernel 3 and bias -1."""

    features: Width = 512
    kernel_size: Pixels = 3
    bias: Finite = -1.0
    seed: Seed = 42

    def __post_init__(self) -> None:
        if self.features % 2:
            raise UserError(f"options.features is {self.features}; it must be even")


class RandomConvolutionalFeatures(Encoder):
    """Random convolutional features, as torchgeo's RCF in gaussian mode (Rolf et al. 2021, MOSAIKS).

    features/2 filters are drawn from N(0, 1); the positive and the negative part of each response are averaged.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, card: EncoderCard, inputs: InputSpec, channels: int, options: RandomFeatureOptions) -> None:
        super().__init__()
        self.card, self.inputs, self.channels = card, inputs, channels
        generator = torch.Generator().manual_seed(options.seed)
        shape = (options.features // 2, channels, options.kernel_size, options.kernel_size)
        self.register_buffer("weight", torch.randn(shape, generator=generator))
        self.register_buffer("bias", torch.full((options.features // 2,), options.bias))
        self.embedding_dim = options.features
        self.kernel_size = options.kernel_size
        self.levels = tuple(Level(stride, (("responses", options.features),)) for stride in STRIDES)

    @classmethod
    def from_card(cls, setup: Setup) -> Self:
        """Needs no weights."""
        _check_precision(setup.card, setup.precision)
        options = validate(RandomFeatureOptions, setup.card.options, f"{setup.card.name} options")
        return cls(setup.card, setup.inputs, len(setup.bands), options)

    def _body(self, stem: Tensor) -> Features:
        if min(stem.shape[-2:]) < self.kernel_size:
            size = "x".join(map(str, stem.shape[-2:]))
            raise UserError(
                f"{self.card.name}: images of {size} pixels are smaller than kernel_size {self.kernel_size}"
            )
        # One image at a time: the responses of a batch of 500 px images would fill gigabytes.
        single = [self._describe(image) for image in stem.split(1)]
        maps = tuple(torch.cat(level) for level in zip(*(one.maps for one in single), strict=True))
        return Features(maps, torch.cat([one.embedding for one in single]))

    def _describe(self, image: Tensor) -> Features:
        grids = [(-(-image.shape[2] // stride), -(-image.shape[3] // stride)) for stride in STRIDES]
        # A few filters at a time: responses that stay in the cache are pooled five times for the price of one.
        chunks = zip(self.weight.split(CHUNK), self.bias.split(CHUNK), strict=True)
        parts = [self._pooled(F.conv2d(image, weight, bias), grids) for weight, bias in chunks]
        # Every positive part before every negative one, as torchgeo orders them.
        *maps, embedding = (
            torch.cat([*one[0::2], *one[1::2]], dim=1) for one in zip(*itertools.chain(*parts), strict=True)
        )
        return Features(tuple(one.unsqueeze(1) for one in maps), embedding)

    def _pooled(self, response: Tensor, grids: list[tuple[int, int]]) -> list[tuple[Tensor, ...]]:
        """The positive and the negative part of responses, each pooled to every grid and to its mean."""
        return [
            (*(F.adaptive_avg_pool2d(part, grid) for grid in grids), part.mean((2, 3)))
            for part in (response.relu(), (-response).relu())
        ]
