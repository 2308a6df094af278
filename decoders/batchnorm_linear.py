"""Batch norm and a linear layer on one of several poolings of frozen features: geobreeze's and DINOv2's linear probe.

A bank of them, one a pooling and learning rate, is trained in one pass; validation chooses.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from decoders.decoder import Decoder, Size
from decoders.fusion import build_fuser
from encoders.base import Level

CANDIDATES = ("embedding", "last module", "last four modules")
"""What the layer reads: the embedding, or the spatial means of the deepest modules of the last view, side by side."""
MODULES = {"last module": 1, "last four modules": 4}
DEVIATION = 0.01
"""Of initial weights."""


class BatchNormLinear(Decoder):
    """The layer on one of `CANDIDATES`; initial weights from torch's global generator, biases 0."""

    def __init__(
        self, levels: Sequence[Level], views: Sequence[str], embedding_dim: int, candidate: str, num_classes: int
    ) -> None:
        fuser = build_fuser("none", levels, views)
        self.modules_read = MODULES.get(candidate, 0)
        width = sum(fuser.widths[-self.modules_read :]) if self.modules_read else embedding_dim
        linear = nn.Linear(width, num_classes)
        nn.init.normal_(linear.weight, std=DEVIATION)
        nn.init.zeros_(linear.bias)
        super().__init__(fuser, nn.Sequential(FeatureNorm(width), linear))

    def forward(self, maps: Sequence[Tensor], size: Size | None = None) -> Tensor:
        """Logits (B, classes).

        Args:
            maps: a tensor a level, (B, views, channels, H_l, W_l), then the embedding (B, 1, D, 1, 1).
        """
        logits: Tensor = self.head(self.read(maps))
        return logits

    def read(self, maps: Sequence[Tensor]) -> Tensor:
        """What the layer reads, (B, width) float32; no parameter is in it."""
        *levels, embedding = maps
        if not self.modules_read:
            return embedding.flatten(1).float()
        means = [one.mean((2, 3)) for one in self.fuser(levels)[-self.modules_read :]]
        return torch.cat(means, dim=1)


class FeatureNorm(nn.BatchNorm1d):
    """Batch norm that takes the running statistics, and leaves them, for a training batch of one image."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) -> the same shape."""
        if self.training and len(x) == 1:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(x)
