"""Feature maps of a network that nobody wrote an adapter for: as timm hands them out, else by hooks on its blocks.

Hooks read `layer1`, `layer2`, ... or the members of `stages`, `blocks`, `layers` or `features`, whichever lies
nearest to the top. What such a module gives is a map, channels first or last, or tokens of a square grid behind
any class and register tokens.
"""

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from encoders.assembly import taps
from encoders.errors import UserError
from encoders.taps import Taps

BLOCK = re.compile(r"(.*\.)?(layer|(?:stages|blocks|layers|features)\.)\d+")
MOST_PREFIX_TOKENS = 16
"""Class and register tokens; the most in timm's models is ten (RADIO's)."""


class Stages:
    """The stages or blocks of a network.

    Attributes:
        names: of the modules whose outputs are the maps, in order.
        strides: input pixels a cell of each spans.
    """

    def __init__(self, network: nn.Module, where: str) -> None:
        """
        Args:
            where: whose network it is, for messages.

        Raises:
            UserError: the network has no blocks that could be told.
        """
        self._network: Any = network
        self._where = where
        about = getattr(network, "feature_info", None)
        self._is_told = bool(about) and hasattr(network, "forward_intermediates")
        self.names = [str(one["module"]) for one in about or ()] if self._is_told else _blocks(network)
        self.strides = [int(one["reduction"]) for one in about or ()] if self._is_told else []
        if not self.names:
            raise UserError(
                f"{where}: the library gives no feature maps of this model, and it has no blocks of a usual name; "
                "write an encoder of your own (docs/add-your-encoder.md)"
            )

    def choose(self, layers: Sequence[int] | None, image: Tensor) -> tuple[int, ...]:
        """The modules to read, counted from 0: those asked for, else the usual ones.

        By hooks the usual ones are the last on each grid, at most four grids; on one grid those of `taps`.

        Args:
            image: (1, C, side, side), to learn the grids from.

        Raises:
            UserError: a module that isn't there, or an output that is no map.
        """
        depth, options = len(self.names), f"{self._where}: options"
        if self._is_told:
            return taps(layers, depth, options)
        sides = [one.shape[-1] for one in self.read(image, range(depth))[0]]
        finest = round(image.shape[-1] / sides[0])
        self.strides = [finest * round(sides[0] / side) for side in sides]
        last = [list(group)[-1] for _, group in itertools.groupby(range(depth), key=lambda i: sides[i])]
        return taps(layers, depth, options) if layers is not None or len(last) == 1 else tuple(last[-4:])

    def read(self, images: Tensor, chosen: Sequence[int]) -> tuple[list[Tensor], Tensor]:
        """Maps (B, C, H, W) of chosen modules and the vector (B, D) that the network gives its classifier."""
        if self._is_told:
            last, maps = self._network.forward_intermediates(images, indices=list(chosen), output_fmt="NCHW")
            return maps, self._network.forward_head(last, pre_logits=True)
        names = [self.names[i] for i in chosen]
        with Taps(self._network, names) as seen:
            output = self._network(images)
        maps = [self._as_map(seen[name], images, name) for name in names]
        is_vector = isinstance(output, Tensor) and output.ndim == 2
        return maps, output if is_vector else maps[-1].mean((2, 3))

    def _as_map(self, output: Tensor, images: Tensor, name: str) -> Tensor:
        """(B, C, H, W) of an output (B, C, H, W), (B, H, W, C) or (B, tokens, C) for square images."""
        match tuple(output.shape):
            case (_, _, rows, columns) if rows == columns:
                return output
            case (_, rows, columns, _) if rows == columns:
                return output.permute(0, 3, 1, 2)
            case (_, tokens, _) if images.shape[-1] == images.shape[-2]:
                side = math.isqrt(tokens)
                if tokens - side**2 <= MOST_PREFIX_TOKENS:
                    return output[:, tokens - side**2 :].transpose(1, 2).unflatten(2, (side, side))
        raise UserError(
            f"{self._where}: {name} gives {tuple(output.shape)} for images of {tuple(images.shape)}, which is no "
            "square map; write an encoder of your own (docs/add-your-encoder.md)"
        )


def _blocks(network: nn.Module) -> list[str]:
    """Names of modules that are numbered alike, of the set nearest to the top; the largest of several."""
    alike: dict[str, list[str]] = defaultdict(list)
    for name, _ in network.named_modules():
        if BLOCK.fullmatch(name):
            alike[name.rstrip("0123456789")].append(name)
    return min(alike.values(), key=lambda names: (names[0].count("."), -len(names)), default=[])
