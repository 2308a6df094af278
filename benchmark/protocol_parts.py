"""Parts of a protocol that are more than one value: a grid of numbers, a change made to a training image."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from encoders.bounds import Few, Positive, Share
from encoders.errors import UserError, strict

Chance = Annotated[float, Field(gt=0, le=1)]
"""Above 0 and up to 1."""
Hue = Annotated[float, Field(ge=0, le=0.5)]


@strict
@dataclass(frozen=True)
class LogGrid:
    """`values` numbers from `low` to `high`, evenly spaced in their logarithm."""

    low: Positive
    high: Positive
    values: Few

    def numbers(self) -> list[float]:
        """The grid, ascending."""
        return [float(number) for number in np.geomspace(self.low, self.high, self.values)]


Operation = Literal["horizontal_flip", "vertical_flip", "rotation", "colour_jitter", "resized_crop"]
NEEDED: dict[Operation, tuple[str, ...]] = {
    "horizontal_flip": (),
    "vertical_flip": (),
    "rotation": ("degrees",),
    "colour_jitter": (),
    "resized_crop": ("scale", "ratio"),
}


@strict
@dataclass(frozen=True)
class Augment:
    """One change of a training image, drawn anew each time (`benchmark.features.augmentation`).

    Attributes:
        p: probability that it is made.
        degrees: rotation by an angle uniform in [-degrees, degrees]; nearest pixels, zeros from outside.
        scale, ratio: of a resized crop, the range of its share of the area, and of width / height; it is resized
            to the side that is fed.
        brightness, contrast, saturation: factors uniform in [1 - x, 1 + x]; hue: a shift uniform in [-x, x].
    """

    op: Operation
    p: Chance = 1.0
    degrees: Positive | None = None
    scale: tuple[Chance, Chance] | None = None
    ratio: tuple[Positive, Positive] | None = None
    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    hue: Hue = 0.0

    def __post_init__(self) -> None:
        for name in NEEDED[self.op]:
            if getattr(self, name) is None:
                raise UserError(f"augmentation {self.op} needs {name}; give it")
        for name in ("scale", "ratio"):
            given = getattr(self, name)
            if given and given[0] > given[1]:
                raise UserError(f"augmentation {self.op}: {name} is {list(given)}; give the lower bound first")
