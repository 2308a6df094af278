"""UPerNet (arXiv 1807.10221), in the layout of the official SatDiFuser and of PANGAEA.

Pyramid pooling on the coarsest map, lateral 1x1 convolutions and a top-down sum, then all levels side by
side. Convolutions keep a bias before the norm, and parameter names are the official code's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from decoders.layers import BatchNorm, ChannelDropout, resize
from encoders.errors import UserError


def _conv(channels: int, out: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, kernel, padding=kernel // 2), BatchNorm(out), nn.ReLU()]


class UPerNet(nn.Module):
    """The head: a pyramid of maps, finest first, -> logits at the size asked for.

    Initial weights are PyTorch's defaults, from its global generator.
    """

    def __init__(
        self,
        widths: Sequence[int],
        num_classes: int,
        *,
        channels: int = 512,
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        dropout: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        """Build.

        Args:
            widths: channels of each map, finest first.
            channels: width of every inner map.
            pool_scales: sides of the grids the coarsest map is pooled to.
            dropout: share of channels dropped before the last convolution, drawn from `generator`.

        Raises:
            UserError: an option that cannot be.
        """
        super().__init__()
        if channels < 1:
            raise UserError(f"upernet: 'channels' is {channels}; choose 1 or more (officially 512)")
        if not pool_scales or min(pool_scales) < 1:
            raise UserError(
                f"upernet: 'pool_scales' is {list(pool_scales)}; name grid sides of 1 or more, such as [1, 2, 3, 6]"
            )
        if not 0 <= dropout < 1:
            raise UserError(f"upernet: 'dropout' is {dropout}; choose from 0 up to below 1")
        *finer, coarsest = widths
        self.psp_modules = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(scale), *_conv(coarsest, channels, 1)) for scale in pool_scales
        )
        self.bottleneck = nn.Sequential(*_conv(coarsest + len(pool_scales) * channels, channels, 3))
        self.lateral_convs = nn.ModuleList(nn.Sequential(*_conv(width, channels, 1)) for width in finer)
        self.fpn_convs = nn.ModuleList(nn.Sequential(*_conv(channels, channels, 3)) for _ in finer)
        self.fpn_bottleneck = nn.Sequential(*_conv(len(widths) * channels, channels, 3))
        self.dropout = ChannelDropout(dropout, generator)
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Logits.

        Args:
            maps: (B, width_l, H_l, W_l) float32 each, finest first; any sizes.
            size: the labels' native (height, width).

        Returns:
            (B, classes, *size) float32.
        """
        return resize(self.conv_seg(self.dropout(self.features(maps))), size)

    def features(self, maps: Sequence[Tensor]) -> Tensor:
        """What the last convolution sees, before dropout: (B, channels, H_0, W_0)."""
        *finer, coarsest = maps
        top = self._pyramid_pooling(coarsest)
        levels = [top]
        for convolution, finer_map in zip(reversed(self.lateral_convs), reversed(finer), strict=True):
            lateral = convolution(finer_map)
            top = lateral + resize(top, lateral.shape[2:])
            levels.append(top)
        levels.reverse()
        smoothed = [conv(level) for conv, level in zip(self.fpn_convs, levels, strict=False)] + levels[-1:]
        grid = smoothed[0].shape[2:]
        fused: Tensor = self.fpn_bottleneck(torch.cat([resize(level, grid) for level in smoothed], dim=1))
        return fused

    def _pyramid_pooling(self, x: Tensor) -> Tensor:
        pooled = [resize(pool(x), x.shape[2:]) for pool in self.psp_modules]
        gathered: Tensor = self.bottleneck(torch.cat([x, *pooled], dim=1))
        return gathered
