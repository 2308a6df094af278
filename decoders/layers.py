"""Layers the segmentation heads share: resizing, batch norm for any batch, dropout with its own randomness."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, H, W) -> (B, C, *size), bilinear, corners not aligned."""
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that takes the running statistics, and leaves them, where training has one value a channel.

    So a training batch of one image passes the branch pooled to one cell: a lone value has no variance, and
    PyTorch (and the official code with it) would raise.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(x)


class ChannelDropout(nn.Module):
    """Dropout of whole channels whose random numbers come from a generator of its own.

    Attributes:
        generator: where masks are drawn, on the generator's device; None is torch's global one.
    """

    def __init__(self, p: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.p = p
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape; the identity in evaluation."""
        if not self.training or self.p == 0:
            return x
        device = self.generator.device if self.generator is not None else x.device
        kept = torch.rand(x.shape[:2], generator=self.generator, device=device) >= self.p
        scale = kept.to(x.device, x.dtype) / (1 - self.p)
        return x * scale[:, :, None, None]
