"""Heads on fused maps that need no pyramid: pooled classification, and linear segmentation."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from decoders.layers import BatchNorm, ChannelDropout, resize


class PooledClassifier(nn.Module):
    """Global mean of every fused map, joined, then one linear layer.

    Maps of one learned space (`Fuser.additive`) are added, others concatenated. The official SatDiFuser first
    upsamples to the finest grid and adds there; bilinear upsampling by a whole factor keeps the mean, so
    pooling first gives the same logits up to rounding.
    """

    def __init__(self, widths: Sequence[int], num_classes: int, add: bool) -> None:
        super().__init__()
        if add and len(set(widths)) != 1:
            raise ValueError(f"maps of widths {list(widths)} cannot be added")
        self.add = add
        # The official name: the linear layer is the third of a sequence whose first two have no parameters.
        self.decoder_head = nn.ModuleDict({"2": nn.Linear(widths[0] if add else sum(widths), num_classes)})

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """(B, width_l, H_l, W_l) float32 each -> logits (B, classes)."""
        pooled = [fused.mean((2, 3)) for fused in maps]
        joined = torch.stack(pooled).sum(0) if self.add else torch.cat(pooled, dim=1)
        logits: Tensor = self.decoder_head["2"](joined)
        return logits


class FCN(nn.Module):
    """One 3x3 convolution, batch norm and ReLU, dropout, a 1x1 convolution: mmsegmentation's FCNHead of one layer.

    It takes the third of the maps, or the last of fewer.
    """

    def __init__(
        self, widths: Sequence[int], num_classes: int, *, channels: int, dropout: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.map_index = min(2, len(widths) - 1)
        convolution = nn.Conv2d(widths[self.map_index], channels, 3, padding=1, bias=False)
        self.convs = nn.Sequential(convolution, BatchNorm(channels), nn.ReLU())
        self.dropout = ChannelDropout(dropout, generator)
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Logits (B, classes, *size)."""
        return resize(self.conv_seg(self.dropout(self.convs(maps[self.map_index]))), size)


class LinearSegmentation(nn.Module):
    """A 1x1 convolution on the finest fused map; of several on that grid, the last, which lies deepest."""

    def __init__(self, strides: Sequence[int], widths: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.map_index = max(number for number, stride in enumerate(strides) if stride == min(strides))
        self.conv_seg = nn.Conv2d(widths[self.map_index], num_classes, 1)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Logits (B, classes, *size): `size` is the labels' native (height, width)."""
        return resize(self.conv_seg(maps[self.map_index]), size)
