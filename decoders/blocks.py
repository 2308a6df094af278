"""The bottleneck block through which SatDiFuser's fusers see a module (arXiv 2503.07890)."""

import torch.nn.functional as F
from torch import Tensor, nn

from decoders.fusion_options import Projection


class NormedConv(nn.Conv2d):
    """A convolution without bias, followed by a group norm; Kaiming normal (fan out, ReLU)."""

    def __init__(self, channels: int, out: int, groups: int, kernel: int = 1) -> None:
        super().__init__(channels, out, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(groups, out)
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, out, H, W)."""
        normed: Tensor = self.norm(super().forward(x))
        return normed


class Bottleneck(nn.Module):
    """1x1 to a quarter of the width, 3x3, 1x1 to the full width; plus a shortcut, projected where needed."""

    def __init__(self, channels: int, width: int, groups: int) -> None:
        super().__init__()
        inner = width // 4
        self.conv1 = NormedConv(channels, inner, groups)
        self.conv2 = NormedConv(inner, inner, groups, kernel=3)
        self.conv3 = NormedConv(inner, width, groups)
        self.shortcut = NormedConv(channels, width, groups) if channels != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, width, H, W), not negative."""
        inner = F.relu(self.conv2(F.relu(self.conv1(x))))
        return F.relu(self.conv3(inner) + self.shortcut(x))


def bottlenecks(channels: int, options: Projection) -> nn.Sequential:
    """`num_res_blocks` blocks in a row: (B, channels, H, W) -> (B, projection_dim, H, W)."""
    width = options.projection_dim
    return nn.Sequential(
        *(
            Bottleneck(channels if number == 0 else width, width, options.num_norm_groups)
            for number in range(options.num_res_blocks)
        )
    )
