"""What operations are counted of, the encoder and a decoder, and what a decoder's hang on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from benchmark.flops.operations import Operations

Head = Literal["pooled", "linear", "upernet"]
NONE = Operations()


@dataclass(frozen=True)
class Frozen:
    """Operations of an encoder on one image: of what is kept for every image, and of what makes maps of it."""

    stem: Operations
    body: Operations


@dataclass(frozen=True)
class Trained:
    """Operations of a decoder on one image.

    Attributes:
        forward: of a prediction; step: of a training step, backward pass included.
        dense: what a step of a mixture's warm-up takes more, when all experts are asked.
    """

    forward: Operations
    step: Operations
    parameters: int
    dense: Operations = NONE

    def and_classes(self, number: int, each: "Trained") -> "Trained":
        """A decoder of more classes, given what each adds: they are outputs of its last layer alone."""
        return Trained(
            self.forward + number * each.forward,
            self.step + number * each.step,
            self.parameters + number * each.parameters,
            self.dense + number * each.dense,
        )


@dataclass(frozen=True)
class Grid:
    """A level of maps: cells along a side, and channels of each module."""

    side: int
    modules: tuple[int, ...]


@dataclass(frozen=True)
class Decoding:
    """What a decoder's operations depend on.

    Attributes:
        levels: finest first; of means over the image, with a side of one cell.
        fuser: kind and options, as `Run.fuser`.
        channels: of UPerNet.
    """

    levels: tuple[Grid, ...]
    views: int
    fuser: Mapping[str, object]
    head: Head
    channels: int = 0

    @property
    def values(self) -> int:
        """Numbers it reads of an image."""
        return self.views * sum(sum(level.modules) * level.side**2 for level in self.levels)

    @property
    def key(self) -> str:
        """It in one line: equal lines mean equal operations."""
        levels = (f"{level.side}: {_run_lengths(level.modules)}" for level in self.levels)
        told = ("projection_dim", "num_res_blocks", "num_experts", "top_k")
        options = (f"{name} {self.fuser[name]}" for name in told if name in self.fuser)
        fuser = " ".join((str(self.fuser["kind"]), *options))
        head = f"upernet {self.channels}" if self.head == "upernet" else self.head
        return f"{', '.join(levels)} | {self.views} views | {fuser} | {head}"


def _run_lengths(widths: Sequence[int]) -> str:
    return " ".join(f"{len(list(same))}x{width}" for width, same in groupby(widths))
