"""The closed set of value rules, as pure functions of one channel; `InputSpec` names them.

Every function takes a float32 tensor of any shape holding one channel's native pixels and returns the same
shape. `apply` runs a rule's steps; nothing else in the project touches pixel values before an encoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from encoders.bands import POWER_FLOOR
from encoders.errors import UserError
from encoders.spec import Step


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of one channel, in the unit of the step that uses them."""

    mean: float
    std: float

    def checked(self, what: str) -> "Moments":
        """Itself, if it can divide.

        Raises:
            UserError: the channel is constant, so a standardised value means nothing.
        """
        if not self.std > 0:
            raise UserError(
                f"{what} is constant over the train split (std {self.std}), so it cannot be standardised; "
                "take a larger partition, or an encoder that is fed other bands"
            )
        return self


def zscore(x: Tensor, moments: Moments) -> Tensor:
    """(x - mean) / std."""
    return (x - moments.mean) / moments.std


def two_sigma(x: Tensor, moments: Moments) -> Tensor:
    """Mean - 2 std to 0, mean + 2 std to 1, not clipped (CROMA's README; SatMAE's fMoW-Sentinel loader)."""
    return (x - (moments.mean - 2 * moments.std)) / (4 * moments.std)


def eight_bit(x: Tensor) -> Tensor:
    """[0, 1] quantised to the 256 values k/255, rounding down (SatMAE casts to uint8)."""
    return (x * 255).floor() / 255


def decibel(x: Tensor) -> Tensor:
    """10 log10 of a linear intensity, floored at `POWER_FLOOR`."""
    return 10 * torch.log10(x.clamp_min(POWER_FLOOR))


def true_colour(x: Tensor, white: float) -> Tensor:
    """Digital numbers to 0..255: 0 stays 0, `white` becomes 255, not clipped (an 8-bit picture's stretch)."""
    return x * (255 / white)


def apply(
    x: Tensor,
    steps: Sequence[Step],
    *,
    wanted: str,
    level: str | None,
    statistics: Moments | None,
    clip: bool = True,
) -> Tensor:
    """Run a rule's steps on one channel.

    Args:
        x: native pixels, float32, any shape.
        wanted: name of the band the encoder wants; picks the fixed statistics.
        level: product level of the dataset (L1C, L2A), for true_colour.
        statistics: the dataset's moments of this channel, in decibels for radar; None if the rule needs none.
        clip: False leaves out every clipping; what differs then is what a rule cuts off.

    Raises:
        UserError: a step needs what the dataset doesn't declare, or the channel is constant.
    """
    for step in steps:
        match step.op:
            case "multiply":
                x = x * _number(step.by, step)
            case "divide":
                x = x / _number(step.by, step)
            case "clip":
                x = x.clamp(step.low, step.high) if clip else x
            case "zscore":
                x = zscore(x, _moments(step, wanted, statistics))
            case "two_sigma":
                x = two_sigma(x, _moments(step, wanted, statistics))
                x = x.clamp(0, 1) if clip else x
            case "eight_bit":
                x = eight_bit(x)
            case "decibel":
                x = decibel(x)
            case "true_colour":
                if level not in step.white:
                    raise UserError(
                        f"band {wanted}: the true-colour stretch is known for {', '.join(step.white)}, "
                        f"the dataset's product level is {level}; set `product_level` in its YAML"
                    )
                x = true_colour(x, step.white[level])
                x = x.clamp(0, 255) if clip else x
    return x


def _number(value: float | None, step: Step) -> float:
    if value is None or value == 0:
        raise UserError(f"value rule '{step.op}' needs `by`, a number other than 0")
    return value


def _moments(step: Step, wanted: str, dataset: Moments | None) -> Moments:
    if step.statistics == "fixed":
        return Moments(step.mean[wanted], step.std[wanted]).checked(f"band {wanted}")
    if dataset is None:
        raise UserError(f"band {wanted}: the value rule '{step.op}' needs the dataset's train statistics")
    return dataset.checked(f"band {wanted}")
