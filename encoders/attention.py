"""Where a diffusion UNet's self-attention looks from chosen points of an image, as in Figure 1 of SatDiFuser's paper
(arXiv 2503.07890). Queries and keys are read while the network runs; only the rows of the points are multiplied out.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from encoders.base import Encoder
from encoders.errors import UserError
from encoders.satdifuser import SatDiFuser
from encoders.taps import Taps

Point = tuple[float, float]
"""(x, y) as fractions of the image, from its upper left corner."""


@torch.no_grad()
def attention_maps(encoder: Encoder, images: Tensor, points: Sequence[Point]) -> dict[int, Tensor]:
    """What each point attends to, averaged over heads and over the self-attentions of a level.

    Args:
        images: as for `Encoder.stem`.

    Returns:
        By number of the level, those without self-attention left out: (B, points, views, H_l, W_l) float32, the share
        of the point's attention that a cell gets; it sums to 1 over cells.

    Raises:
        UserError: the encoder is no diffusion model, or taps no self-attention.
    """
    if not isinstance(encoder, SatDiFuser):
        raise UserError(f"{encoder.card.name}: only diffusion encoders have attention maps; choose one")
    levels = {
        number: [name for name, _ in level.modules if name.endswith(".attn1")]
        for number, level in enumerate(encoder.levels)
    }
    names = [name for tapped in levels.values() for name in tapped]
    if not names:
        raise UserError(f"{encoder.card.name}: taps no self-attention; add attn1 to options.modules")
    stem = encoder.stem(images)
    with Taps(encoder.unet, [f"{name}.{part}" for name in names for part in ("to_q", "to_k")], stop=True) as seen:
        encoder.body(stem)
    modules, views = dict(encoder.unet.named_modules()), len(encoder.views)
    found = {}
    for number, tapped in levels.items():
        if not tapped:
            continue
        stride = encoder.levels[number].stride
        grid = (-(-images.shape[-2] // stride), -(-images.shape[-1] // stride))
        maps = [
            _rows(modules[name], seen[f"{name}.to_q"].float(), seen[f"{name}.to_k"].float(), grid, points)
            for name in tapped
        ]
        found[number] = torch.stack(maps).mean(0).unflatten(0, (len(images), views)).transpose(1, 2)
    return found


def _rows(module: Any, queries: Tensor, keys: Tensor, grid: tuple[int, int], points: Sequence[Point]) -> Tensor:
    """(B, points, H, W) from tokens (B, H*W, heads * width)."""
    height, width = grid
    cells = [min(int(y * height), height - 1) * width + min(int(x * width), width - 1) for x, y in points]
    asked = queries[:, cells].unflatten(2, (module.heads, -1)).transpose(1, 2)
    offered = keys.unflatten(2, (module.heads, -1)).transpose(1, 2)
    scores = asked @ offered.transpose(2, 3) * module.scale
    return scores.softmax(-1).mean(1).unflatten(2, grid)
