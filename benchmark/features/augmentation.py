"""Training images changed anew each epoch, the way other harnesses do it: drawn for each image, then carried out.

What is drawn hangs on the protocol's seed, the epoch and the image alone: not on the batch an image is encoded in, on
who else learns from it, or on where a training was taken up again. Images are changed at native size, once their values
are scaled and before they are resized; masks move with them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmark.protocol_parts import Augment
from encoders.errors import UserError

Change = Callable[[Tensor], Tensor]
"""One image (C, H, W) -> its like; a mask is (1, H, W)."""
TRIES = 10
"""Rectangles drawn for a resized crop before the whole image is taken, as in torchvision."""


@dataclass(frozen=True)
class Drawn:
    """What was drawn for an image.

    Attributes:
        moves: to be made on image and mask alike; colours: on the image alone, in between as they were asked for.
    """

    steps: tuple[tuple[bool, Change], ...]

    def image(self, pixels: Tensor) -> Tensor:
        """(C, H, W) float32, scaled."""
        for _, change in self.steps:
            pixels = change(pixels)
        return pixels

    def mask(self, classes: np.ndarray) -> np.ndarray:
        """(H, W) of classes, moved as the image is."""
        moved = torch.from_numpy(np.ascontiguousarray(classes))[None]
        for moves, change in self.steps:
            moved = change(moved) if moves else moved
        return moved[0].numpy()


def draw(
    augments: Sequence[Augment], chance: float, size: tuple[int, int], crop: int | None, rng: np.random.Generator
) -> Drawn:
    """Draw what happens to an image of (height, width).

    Args:
        chance: that the image is changed by `augments` at all.
        crop: side of a square cut out of it first, anywhere with equal chance; None for none.
    """
    steps: list[tuple[bool, Change]] = []
    if crop is not None:
        steps.append((True, _crop(size, crop, rng)))
        size = (crop, crop)
    if not augments or rng.random() >= chance:
        return Drawn(tuple(steps))
    for one in augments:
        if rng.random() >= one.p:
            continue
        if one.op == "colour_jitter":
            steps.append((False, _jitter(one, rng)))
        elif one.op == "resized_crop":
            steps.append((True, _rectangle(one, size, rng)))
        else:
            steps.append((True, _move(one, rng)))
    return Drawn(tuple(steps))


def _move(one: Augment, rng: np.random.Generator) -> Change:
    if one.op == "rotation":
        from torchvision.transforms.functional import rotate

        assert one.degrees is not None
        angle = float(rng.uniform(-one.degrees, one.degrees))
        return lambda pixels: rotate(pixels, angle)  # nearest pixels, zeros from outside
    axis = -1 if one.op == "horizontal_flip" else -2
    return lambda pixels: pixels.flip(axis)


def _crop(size: tuple[int, int], side: int, rng: np.random.Generator) -> Change:
    top, left = (int(rng.integers(0, length - side + 1)) for length in size)
    return lambda pixels: pixels[..., top : top + side, left : left + side]


def _rectangle(one: Augment, size: tuple[int, int], rng: np.random.Generator) -> Change:
    """A part of the image by area and aspect, as torchvision's RandomResizedCrop draws it."""
    assert one.scale is not None
    assert one.ratio is not None
    height, width = size
    for _ in range(TRIES):
        area = height * width * rng.uniform(*one.scale)
        aspect = math.exp(rng.uniform(math.log(one.ratio[0]), math.log(one.ratio[1])))
        wide, high = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < high <= height:
            top, left = int(rng.integers(0, height - high + 1)), int(rng.integers(0, width - wide + 1))
            return lambda pixels: pixels[..., top : top + high, left : left + wide]
    return lambda pixels: pixels


def _jitter(one: Augment, rng: np.random.Generator) -> Change:
    """Brightness, contrast, saturation and hue of a picture in [0, 1], in an order drawn too (torchvision's
    ColorJitter)."""
    from torchvision.transforms import functional

    factors = {
        functional.adjust_brightness: rng.uniform(1 - one.brightness, 1 + one.brightness),
        functional.adjust_contrast: rng.uniform(1 - one.contrast, 1 + one.contrast),
        functional.adjust_saturation: rng.uniform(1 - one.saturation, 1 + one.saturation),
        functional.adjust_hue: rng.uniform(-one.hue, one.hue),
    }
    order = [list(factors)[number] for number in rng.permutation(len(factors))]

    def change(pixels: Tensor) -> Tensor:
        if len(pixels) != 3:
            raise UserError(f"augmentation colour_jitter is for red, green and blue, not for {len(pixels)} channels")
        for adjust in order:
            pixels = adjust(pixels, float(factors[adjust]))
        return pixels

    return change
