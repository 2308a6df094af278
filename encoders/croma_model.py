"""CROMA's network (arXiv 2311.00566): a vision transformer for radar, one for optical images, one that joins them.

Names are those of the released files, which hold five state dictionaries: `s1_encoder`, `s1_GAP_FFN`,
`s2_encoder`, `s2_GAP_FFN`, `joint_encoder`. There is no positional embedding and no cls token: where a patch
lies is told by a bias on the attention that falls with distance (`alibi`), so any grid of patches can be fed.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.bounds import Few, Width
from encoders.errors import UserError, strict

Modality = Literal["optical", "sar", "joint"]

PATCH = 8
HEADS = 16
"""Of every size (antofuller/CROMA, use_croma.py), as the patch is."""
OPTICAL, SAR = 12, 2
"""Channels: Sentinel-2 without cirrus; VV and VH."""
PARTS = ("s1_encoder", "s1_GAP_FFN", "s2_encoder", "s2_GAP_FFN", "joint_encoder")


@strict
@dataclass(frozen=True)
class Sizes:
    """Width of the tokens and number of optical blocks; radar and joint encoder have half as many.

    Raises:
        UserError: a width that 16 heads cannot share, or an odd depth.
    """

    width: Width
    depth: Few

    def __post_init__(self) -> None:
        if self.width % HEADS:
            raise UserError(f"architecture.width is {self.width}; it must be a multiple of {HEADS}")
        if self.depth % 2:
            raise UserError(f"architecture.depth is {self.depth}; it must be even and at least 2")


SIZES = {"base": Sizes(768, 12), "large": Sizes(1024, 24), "tiny": Sizes(64, 4)}
"""base and large: use_croma.py of antofuller/CROMA at 59505a6; tiny is ours."""


def alibi(side: int, device: torch.device | None = None) -> Tensor:
    """Two-dimensional ALiBi: the bias on attention between any two cells of a square grid.

    Args:
        side: cells along a side of the grid.

    Returns:
        (1, 16, side², side²) float32: minus 2^(-(h+1)/2) for head h times the distance of the cells in patches.
    """
    cells = torch.arange(side, dtype=torch.float32, device=device)
    rows, columns = cells.repeat_interleave(side), cells.repeat(side)
    squared = (rows[:, None] - rows).square_().add_((columns[:, None] - columns).square_())
    slopes = torch.exp2(-torch.arange(1, HEADS + 1, dtype=torch.float64) / 2).to(squared)
    return -slopes.view(1, HEADS, 1, 1) * squared.sqrt_()


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Attention of 16 heads on tokens (B, N, D), `bias` (1, 16, N, N) added to the scaled scores: (B, N, D)."""
    q, k, v = (tokens.unflatten(2, (HEADS, -1)).transpose(1, 2) for tokens in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Normalises, then lets tokens look at each other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input_norm = nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_out = nn.Linear(width, width)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        query, key, value = self.to_qkv(self.input_norm(x)).chunk(3, dim=-1)
        projected: Tensor = self.to_out(attend(query, key, value, bias))
        return projected


class CrossAttention(nn.Module):
    """Lets tokens look at a context, both normalised by the same layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input_norm = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.to_out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor, bias: Tensor) -> Tensor:
        """(B, N, D) and (B, N, D) -> (B, N, D)."""
        x, context = self.input_norm(x), self.input_norm(context)
        projected: Tensor = self.to_out(attend(self.to_q(x), self.to_k(context), self.to_v(context), bias))
        return projected


class FeedForward(nn.Module):
    """Normalises, then a layer of four times the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input_norm = nn.LayerNorm(width)
        # The third place is dropout's in the released names.
        self.net = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        widened: Tensor = self.net(self.input_norm(x))
        return widened


class Block(nn.ModuleList):
    """One layer: self-attention, in the joint encoder cross-attention, feed-forward; each added to the tokens."""

    def __init__(self, width: int, joint: bool) -> None:
        super().__init__([SelfAttention(width), *([CrossAttention(width)] if joint else []), FeedForward(width)])

    def forward(self, x: Tensor, bias: Tensor, context: Tensor | None) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        x = x + self[0](x, bias)
        if context is not None:
            x = x + self[1](x, context, bias)
        return x + self[-1](x)


class Transformer(nn.Module):
    """Blocks, then `norm_out`."""

    def __init__(self, width: int, depth: int, joint: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(width, joint) for _ in range(depth))
        self.norm_out = nn.LayerNorm(width)

    def forward(self, x: Tensor, bias: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, N, D), in the joint encoder with a context of the same shape -> (B, N, D)."""
        for block in self.layers:
            x = block(x, bias, context)
        normed: Tensor = self.norm_out(x)
        return normed


class ImageEncoder(nn.Module):
    """An image of one sensor -> tokens."""

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        self.linear_input = nn.Linear(channels * PATCH**2, width)
        self.transformer = Transformer(width, depth)

    def forward(self, images: Tensor, bias: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, H/8 * W/8, D), patches row by row."""
        # A patch is read channel by channel, row by row: just what pixel_unshuffle puts into its channels.
        patches = F.pixel_unshuffle(images, PATCH).flatten(2).transpose(1, 2)
        encoded: Tensor = self.transformer(self.linear_input(patches), bias)
        return encoded


def _pooling_head(width: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


class Network(nn.Module):
    """The parts of CROMA that a modality needs, no more.

    Attributes:
        trunk: name of the transformer whose tokens are the result.
        depth: its number of blocks.
    """

    def __init__(self, sizes: Sizes, modality: Modality) -> None:
        super().__init__()
        width, half = sizes.width, sizes.depth // 2
        self.modality = modality
        if modality != "optical":
            self.s1_encoder = ImageEncoder(SAR, width, half)
        if modality != "sar":
            self.s2_encoder = ImageEncoder(OPTICAL, width, sizes.depth)
        if modality == "sar":
            self.s1_GAP_FFN = _pooling_head(width)
        elif modality == "optical":
            self.s2_GAP_FFN = _pooling_head(width)
        else:
            self.joint_encoder = Transformer(width, half, joint=True)
        self.depth = sizes.depth if modality == "optical" else half
        self.trunk = {
            "optical": "s2_encoder.transformer",
            "sar": "s1_encoder.transformer",
            "joint": "joint_encoder",
        }[modality]

    def forward(self, images: Tensor, bias: Tensor) -> Tensor:
        """(B, C, H, W), joint: optical channels before radar -> normalised tokens (B, H/8 * W/8, D)."""
        encoded: Tensor
        if self.modality == "optical":
            encoded = self.s2_encoder(images, bias)
        elif self.modality == "sar":
            encoded = self.s1_encoder(images, bias)
        else:
            optical, radar = images.split((OPTICAL, SAR), dim=1)
            encoded = self.joint_encoder(self.s1_encoder(radar, bias), bias, self.s2_encoder(optical, bias))
        return encoded

    def pool(self, tokens: Tensor) -> Tensor:
        """The authors' vector of an image (optical_GAP, SAR_GAP, joint_GAP): tokens (B, N, D) -> (B, D).

        A single sensor's mean token passes the layers that were trained contrastively; the joint mean does not.
        """
        pooled = tokens.mean(dim=1)
        if self.modality == "optical":
            pooled = self.s2_GAP_FFN(pooled)
        elif self.modality == "sar":
            pooled = self.s1_GAP_FFN(pooled)
        return pooled
