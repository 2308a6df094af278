"""Position tables of vision transformers: fixed sines and cosines, and their resizing to another grid.

A table is (1, 1 + rows * columns, width): the class token's row first, then the grid's cells row by row.
"""

import functools
import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Resizing = Literal["bicubic", "bicubic_aligned", "bilinear"]


def sinusoid(positions: Tensor, width: int) -> Tensor:
    """Sines, then cosines, of positions times 10000^(-i / (width/2)), i = 0 .. width/2 - 1.

    The order of operations is that of the authors' codes: at positions in the thousands (wavelengths in
    nanometres) the last bit of a frequency moves the phase by 1e-4.

    Args:
        positions: (n,) floating point; the result has its dtype.

    Returns:
        (n, width).
    """
    exponents = torch.arange(width // 2, dtype=positions.dtype, device=positions.device) / (width / 2)
    phases = positions[:, None] * (1.0 / 10000**exponents)
    return torch.cat((phases.sin(), phases.cos()), dim=1)


@functools.lru_cache(maxsize=8)
def sincos(width: int, rows: int, columns: int) -> Tensor:
    """The fixed table of MAE: half the width tells the column, the other half the row; zero for the class token.

    Returns:
        (1, 1 + rows * columns, width) float32 on the CPU, computed in float64; not to be changed.
    """
    row, column = (
        sinusoid(torch.arange(count, dtype=torch.float64, device="cpu"), width // 2) for count in (rows, columns)
    )
    cells = torch.cat((column.repeat(rows, 1), row.repeat_interleave(columns, dim=0)), dim=1)
    return torch.cat((cells.new_zeros(1, width), cells)).float()[None]


def resize(table: Tensor, rows: int, columns: int, how: Resizing) -> Tensor:
    """A square grid's table for another grid; the class token's row stays.

    Args:
        table: (1, 1 + side * side, width) float32.
        how: `bicubic` and `bilinear` keep the grid's edges in place, `bicubic_aligned` the corner cells' centres
            (torch's align_corners); none smooths before shrinking.

    Returns:
        (1, 1 + rows * columns, width); the table itself where its grid is the asked one.
    """
    side = math.isqrt(table.shape[1] - 1)
    if (side, side) == (rows, columns):
        return table
    grid = table[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
    mode = "bilinear" if how == "bilinear" else "bicubic"
    grid = F.interpolate(grid, (rows, columns), mode=mode, align_corners=how == "bicubic_aligned")
    return torch.cat((table[:, :1], grid.flatten(2).transpose(1, 2)), dim=1)
