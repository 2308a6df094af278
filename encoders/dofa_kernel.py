"""DOFA's dynamic patch embedding: a small transformer writes the patch convolution from the bands' wavelengths.

The kernel depends on nothing but the bands, so it is written once when an encoder is built, in float32 on the CPU.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.position import sinusoid

Layout = Literal["new", "old"]

WIDTH = 128
"""Of a wavelength's encoding, and the number of learned weight tokens."""
SCALE = 0.01
"""Kernel and bias are what the generator says times this (the official code's `scaler`)."""
PADDING = 1
"""Pixels of zeros around the image: left over from a 3 x 3 kernel in the official code, and trained with."""


class WeightGenerator(nn.Module):
    """One transformer layer over weight tokens, the bands' wavelengths and a bias token."""

    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, nhead=4, dim_feedforward=2048, dropout=0.0, activation="gelu")
        self.transformer_encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)
        self.fc_weight = nn.Linear(WIDTH, patch * patch * dim)
        self.fc_bias = nn.Linear(WIDTH, dim)
        self.weight_tokens = nn.Parameter(0.02 * torch.randn(WIDTH, WIDTH))
        self.bias_token = nn.Parameter(0.02 * torch.randn(1, WIDTH))

    def forward(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """Kernels (C, patch * patch * dim) and bias (dim,) of bands encoded as (C, 128)."""
        out = self.transformer_encoder(torch.cat((self.weight_tokens, waves, self.bias_token)))
        return self.fc_weight(out[WIDTH:-1] + waves), self.fc_bias(out[-1])


class Residual(nn.Module):
    """x + relu(w2 relu(w1 x)), on (C, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.w1 = nn.Linear(WIDTH, WIDTH)
        self.w2 = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.w2(F.relu(self.w1(x))))


class KernelGenerator(nn.Module):
    """Wavelengths -> the patch convolution (`patch_embed` of the released files)."""

    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.dim, self.patch = dim, patch
        self.weight_generator = WeightGenerator(dim, patch)
        self.fclayer = Residual()

    @torch.no_grad()
    def convolution(self, wavelengths_um: Sequence[float], layout: Layout) -> nn.Conv2d:
        """The patch convolution for bands of these centre wavelengths.

        Args:
            wavelengths_um: in micrometres, one a channel.
            layout: how a band's kernel lies in the generator's output: rows, columns, channels out (`new`), or as
                the March 2024 files had it, channels out outermost of all (`old`).

        Returns:
            (B, C, H, W) -> (B, dim, H / patch, W / patch), float32, for H and W multiples of the patch.
        """
        bands, dim, patch = len(wavelengths_um), self.dim, self.patch
        waves = self.fclayer(sinusoid(torch.tensor(wavelengths_um, dtype=torch.float32) * 1000, WIDTH))
        kernel, bias = self.weight_generator(waves)
        if layout == "new":
            kernel = kernel.view(bands, patch, patch, dim).permute(3, 0, 1, 2)
        else:
            kernel = kernel.view(dim, bands, patch, patch)
        written = nn.utils.skip_init(nn.Conv2d, bands, dim, patch, stride=patch, padding=PADDING)
        written.weight.copy_(kernel * SCALE)
        written.bias.copy_(bias * SCALE)
        return written
