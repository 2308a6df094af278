"""Segmentation heads on an encoder's own layers, as torchgeo-bench (0660813) probes with: linear, conv, FPN and DPT.

They take maps from the coarsest, or deepest, to the finest; all resize their logits bilinearly to the labels.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from decoders.layers import BatchNorm, resize
from encoders.errors import UserError

SMALLEST = 16
"""Cells a side that `LayersConv` works on where maps have no extent."""


class LayersLinear(nn.Module):
    """Batch norm and a 1x1 convolution a map; logits at the labels' size, summed with weights that start at 1."""

    def __init__(self, widths: Sequence[int], num_classes: int, channels: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Sequential(BatchNorm(one), nn.Conv2d(one, num_classes, 1)) for one in widths)
        self.weights = nn.Parameter(torch.ones(len(widths))) if len(widths) > 1 else None

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Logits (B, classes, *size)."""
        logits = torch.stack([resize(head(one), size) for head, one in zip(self.heads, maps, strict=True)])
        if self.weights is None:
            return logits[0]
        return (self.weights.view(-1, 1, 1, 1, 1) * logits).sum(0)


class LayersConv(nn.Module):
    """Each map projected, batch norm and SiLU; side by side on the finest grid, then a 1x1 convolution."""

    def __init__(self, widths: Sequence[int], num_classes: int, channels: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(one, channels, 1, bias=False), BatchNorm(channels), nn.SiLU()) for one in widths
        )
        self.conv_seg = nn.Conv2d(channels * len(widths), num_classes, 1)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Logits (B, classes, *size)."""
        projected = [project(one) for project, one in zip(self.projections, maps, strict=True)]
        return resize(self.conv_seg(_side_by_side(projected)), size)


class LayersFPN(nn.Module):
    """A feature pyramid: norms and lateral 1x1 convolutions, a top-down sum, 3x3 convolutions, all side by side."""

    def __init__(self, widths: Sequence[int], num_classes: int, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(BatchNorm(one) for one in widths)
        self.laterals = nn.ModuleList(nn.Conv2d(one, channels, 1, bias=False) for one in widths)
        self.smooth = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), BatchNorm(channels), nn.ReLU())
            for _ in widths
        )
        self.conv_seg = nn.Conv2d(channels * len(widths), num_classes, 1)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Logits (B, classes, *size)."""
        levels: list[Tensor] = []
        for norm, lateral, one in zip(self.norms, self.laterals, maps, strict=True):
            level = lateral(norm(one))
            levels.append(level + resize(levels[-1], level.shape[2:]) if levels else level)
        smoothed = [convolve(level) for convolve, level in zip(self.smooth, levels, strict=True)]
        return resize(self.conv_seg(_at_size(smoothed, smoothed[-1].shape[2:])), size)


class Residual(nn.Module):
    """Two 3x3 convolutions, each with a ReLU, added to what went in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.steps = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        changed: Tensor = self.steps(x)
        return changed + x


class LayersDPT(nn.Module):
    """Four maps, normed over their channels, projected and doubled, then fused from the coarsest by residual blocks."""

    def __init__(self, widths: Sequence[int], num_classes: int, channels: int) -> None:
        super().__init__()
        if len(widths) != 4:
            raise UserError(
                f"probe seg_dpt fuses four maps, this encoder with its fuser gives {len(widths)}; choose seg_fpn"
            )
        self.norms = nn.ModuleList(nn.LayerNorm(one) for one in widths)
        self.projections = nn.ModuleList(nn.Conv2d(one, channels, 1) for one in widths)
        self.before = nn.ModuleList(Residual(channels) for _ in widths[1:])
        self.after = nn.ModuleList(Residual(channels) for _ in widths)
        self.out = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, num_classes, 3, padding=1)
        )

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Logits (B, classes, *size)."""
        first, *others = [
            _larger(project(norm(one.movedim(1, -1)).movedim(-1, 1)), 2)
            for norm, project, one in zip(self.norms, self.projections, maps, strict=True)
        ]
        fused = self.after[0](first)
        for before, after, one in zip(self.before, self.after[1:], others, strict=True):
            fused = after(before(one) + resize(fused, one.shape[2:]))
        return resize(self.out(_larger(fused, 4)), size)


Head = Callable[[Sequence[int], int, int], nn.Module]
"""From the maps' widths, the number of classes and the head's own width."""
SEGMENTATION_HEADS: dict[str, Head] = {
    "seg_linear": LayersLinear,
    "seg_conv": LayersConv,
    "seg_fpn": LayersFPN,
    "seg_dpt": LayersDPT,
}
"""By probe."""


class CoarseToFine(nn.Module):
    """One of them on maps that come finest first."""

    def __init__(self, head: Head, widths: Sequence[int], num_classes: int, channels: int) -> None:
        super().__init__()
        self.head = head(widths[::-1], num_classes, channels)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Logits (B, classes, *size)."""
        logits: Tensor = self.head(maps[::-1], size)
        return logits


def _side_by_side(maps: Sequence[Tensor]) -> Tensor:
    finest = max((one.shape[2:] for one in maps), key=lambda size: size[0])
    return _at_size(maps, finest if finest[0] > 1 else (SMALLEST, SMALLEST))


def _at_size(maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    return torch.cat([resize(one, size) for one in maps], dim=1)


def _larger(x: Tensor, factor: int) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=True)
