"""Devices by name, with the rates their maker states and the share of them that work is taken to run at.

One YAML each in `configs/devices/`, with the source of every number. What is counted on them is a prediction, and
says so. (A folder `device` would hide the setting of that name from Hydra.)
"""

from dataclasses import dataclass
from typing import Literal, get_args

import configs
from benchmark.flops.operations import Operations
from encoders.errors import UserError, nearest, strict, validate

FOLDER = configs.ROOT / "devices"
Precision = Literal["float32", "bfloat16"]
"""What convolutions and matrix products run in; float32 is that, never TF32 (`encoders.placing`)."""


@strict
@dataclass(frozen=True)
class Device:
    """A device.

    Attributes:
        flops: peak operations a second on dense operands, by precision.
        bandwidth: of its memory, peak bytes a second.
        utilisation: share of both that work is taken to run at; an assumption.
    """

    name: str
    title: str
    source: str
    flops: dict[Precision, float]
    bandwidth: float
    utilisation: float

    def __post_init__(self) -> None:
        if not 0 < self.utilisation <= 1:
            raise UserError(f"device {self.name}: utilisation is {self.utilisation}; give a share above 0, at most 1")
        lacking = set(get_args(Precision)) - self.flops.keys()
        if lacking or min([*self.flops.values(), self.bandwidth]) <= 0:
            raise UserError(
                f"device {self.name}: give flops of {', '.join(sorted(lacking) or self.flops)} and bandwidth"
            )

    def seconds(self, work: Operations, precision: Precision) -> float:
        """Of work, at the slower of arithmetic and memory."""
        return max(1e9 * work.gflops / self.flops[precision], 1e9 * work.gigabytes / self.bandwidth) / self.utilisation


def names() -> list[str]:
    """The devices there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Device:
    """A device.

    Raises:
        UserError: there is none of that name.
    """
    if name not in names():
        raise UserError(f"--on: no device '{name}'; {nearest(name, names())}")
    return validate(Device, configs.load(FOLDER / f"{name}.yaml"), f"configs/devices/{name}.yaml")
