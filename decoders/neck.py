"""The neck: fused maps with their strides -> the pyramid UPerNet wants, finest first.

So a ViT's four maps on one grid become PANGAEA's decoder, and SatDiFuser's four levels stay as they are.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from decoders.layers import BatchNorm

RESCALES = (4.0, 2.0, 1.0, 0.5)
"""What maps on one grid are rescaled by, in order (the ViT pyramid of mmsegmentation and PANGAEA)."""


class Neck(nn.Module):
    """Rescales where there is no pyramid yet.

    One map: all four scales are made from it. Several maps on one grid: rescaled by 4, 2, 1, 0.5 in order.
    Otherwise the maps are a pyramid and pass unchanged. Over four maps: the last four, which are the coarsest
    (on one grid, the deepest).

    Attributes:
        strides: input pixels a cell of each output spans, finest first.
        widths: channels of each output.
    """

    def __init__(self, strides: Sequence[float], widths: Sequence[int]) -> None:
        super().__init__()
        if not strides or len(strides) != len(widths):
            raise ValueError(f"{len(strides)} strides for {len(widths)} maps")
        if list(strides) != sorted(strides):
            raise ValueError(f"maps must come finest first, got strides {list(strides)}")
        count = len(RESCALES)
        self.sources = tuple(range(len(strides)))[-count:] if len(strides) > 1 else (0,) * count
        on_one_grid = len({strides[source] for source in self.sources}) == 1
        rescales = RESCALES[: len(self.sources)] if on_one_grid else (1.0,) * len(self.sources)
        self.widths = tuple(widths[source] for source in self.sources)
        self.strides = tuple(strides[source] / factor for source, factor in zip(self.sources, rescales, strict=True))
        self.rescale = nn.ModuleList(
            _rescaling(width, factor) for width, factor in zip(self.widths, rescales, strict=True)
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """(B, width, H, W) each -> as many or four, sizes multiplied by the rescaling; halves round down."""
        return [operation(maps[source]) for source, operation in zip(self.sources, self.rescale, strict=True)]


def _rescaling(width: int, factor: float) -> nn.Module:
    if factor == 4:
        return nn.Sequential(_double(width), BatchNorm(width), nn.GELU(), _double(width))
    if factor == 2:
        return _double(width)
    return Halve() if factor == 0.5 else nn.Identity()


def _double(width: int) -> nn.Module:
    return nn.ConvTranspose2d(width, width, kernel_size=2, stride=2)


class Halve(nn.Module):
    """Maximum of each 2x2 window; a side of one cell stays."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H // 2, W // 2), at least one cell."""
        return F.max_pool2d(x, (min(2, x.shape[2]), min(2, x.shape[3])))
