"""SatDiFuser's weighted fusers: every module is projected, then a level's modules and views are averaged.

`gw` weighs them by scalars shared by all images, `lw` by a gate that looks at each pixel (arXiv 2503.07890).
Parameter names and layout are the official code's, so that its weights load as they are.
"""

import functools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from decoders.blocks import bottlenecks
from decoders.fuser import Fuser
from decoders.fusion_options import GlobalWeights, LocalWeights, Projection
from encoders.base import Level
from encoders.errors import UserError


class _Projecting(Fuser):
    """One stack of bottleneck blocks a module, shared by all views; modules counted over all levels."""

    additive = True

    def __init__(self, levels: Sequence[Level], views: Sequence[str], options: Projection) -> None:
        super().__init__(levels, views)
        self.strides = tuple(level.stride for level in levels)
        self.widths = (options.projection_dim,) * len(levels)
        widths = [channels for level in levels for _, channels in level.modules]
        self.bottleneck_layers = nn.ModuleList(bottlenecks(channels, options) for channels in widths)

    def _projected(self, number: int, level_map: Tensor, from_start: bool = False) -> Iterator[Tensor]:
        """Each module of level `number`, projected: (B, views, width, H, W).

        `from_start` reads every module's channels from the level's beginning (see `LocalWeights.slicing`).
        """
        first = sum(len(level.modules) for level in self.levels[:number])
        offset = 0
        for position, (_, channels) in enumerate(self.levels[number].modules):
            start = 0 if from_start else offset
            seen = level_map[:, :, start : start + channels].flatten(0, 1)
            yield self.bottleneck_layers[first + position](seen).unflatten(0, level_map.shape[:2])
            offset += channels


class GlobalWeighted(_Projecting):
    """`gw`: one softmax over all modules and views, whatever their level, of scalars that start equal.

    A level's weights do not sum to one: a level of few modules stays small, as in the official code.
    """

    def __init__(self, levels: Sequence[Level], views: Sequence[str], options: GlobalWeights) -> None:
        super().__init__(levels, views, options)
        count = len(views) * len(self.bottleneck_layers)
        if count == 1:
            raise UserError(
                "fusion gw: this encoder has one module and one view, so there is nothing to weigh; choose fusion none"
            )
        self.mixing_weights = nn.Parameter(torch.ones(count))

    def gate(self) -> Tensor:
        """The weights (views x modules,), view by view, modules finest level first; they sum to 1."""
        return torch.softmax(self.mixing_weights, dim=0)

    def _fuse(self, maps: list[Tensor]) -> list[Tensor]:
        weights = iter(self.gate().view(len(self.views), -1).unbind(1))
        fused = []
        for number, level_map in enumerate(maps):
            modules = self._projected(number, level_map)
            weighted = ((next(weights).view(-1, 1, 1, 1) * module).sum(1) for module in modules)
            fused.append(functools.reduce(torch.add, weighted))
        return fused


class Gate(nn.Module):
    """A pixel's weights over the stacked modules and views, from their mean."""

    def __init__(self, width: int, count: int, temperature: float) -> None:
        super().__init__()
        self.gate_conv = nn.Conv2d(width, count, 1)
        self.temperature = temperature

    def forward(self, stack: Tensor) -> Tensor:
        """(B, K, width, H, W) -> (B, K, H, W), summing to 1 over K."""
        return torch.softmax(self.gate_conv(stack.mean(1)) / self.temperature, dim=1)


class LocalWeighted(_Projecting):
    """`lw`: in each level, a softmax over its modules and views at every pixel."""

    def __init__(self, levels: Sequence[Level], views: Sequence[str], options: LocalWeights) -> None:
        super().__init__(levels, views, options)
        counts = [len(views) * len(level.modules) for level in levels]
        if max(counts) == 1:
            raise UserError(
                "fusion lw: each level of this encoder has one module and one view, so there is nothing to "
                "weigh; choose fusion gw or none"
            )
        self.from_start = options.slicing == "official"
        self.gate_modules = nn.ModuleList(Gate(options.projection_dim, count, options.temperature) for count in counts)

    def gates(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The weights a level, (B, views x modules, H_l, W_l), view by view; `maps` as for `forward`."""
        return [gate for _, gate in self._weighed(self.checked(maps))]

    def _fuse(self, maps: list[Tensor]) -> list[Tensor]:
        return [(gate.unsqueeze(2) * stack).sum(1) for stack, gate in self._weighed(maps)]

    def _weighed(self, maps: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        for number, level_map in enumerate(maps):
            projected = list(self._projected(number, level_map, self.from_start))
            stack = torch.stack(projected, dim=2).flatten(1, 2)
            yield stack, self.gate_modules[number](stack)
