"""The vision transformer that DOFA and SatMAE share: its block, its taps, its options.

Both are built as timm builds them: norm before attention and before the MLP, queries, keys and values from one
matrix, exact GELU. Modules are named as in the released files.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.base import EncoderCard, Level
from encoders.bounds import Few, FewFrom0, Pixels, Seed, Width
from encoders.errors import UserError, nearest, strict

EPS = 1e-6
"""Of every layer norm, in both official codes."""


@strict
@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of a vision transformer; its MLPs are four times as wide as its tokens.

    Attributes:
        dim: width of a token; depth: number of blocks; heads: of each attention.
        patch: pixels a token spans, a side.
        image: side in pixels of the images it was trained on, whose grid its position table has.
    """

    dim: Width
    depth: Few
    heads: Few
    patch: Pixels
    image: Pixels

    def __post_init__(self) -> None:
        if self.dim % self.heads or self.dim % 4:
            raise UserError(f"architecture: dim {self.dim} must be a multiple of heads ({self.heads}) and of 4")

    @property
    def grid(self) -> int:
        """Tokens a side at the trained image size."""
        return self.image // self.patch


AnySizes = TypeVar("AnySizes", bound=Sizes)


@strict
@dataclass(frozen=True, kw_only=True)
class Options:
    """Options common to vision transformers.

    Attributes:
        layers: blocks whose tokens are the maps, counted from 0; None for the default of the depth (`assembly.TAPS`).
        pooling: what the embedding is: `authors`, `mean` of the patch tokens, or `cls`, the class token.
        seed: of drawn weights.
    """

    layers: tuple[FewFrom0, ...] | None = None
    pooling: Literal["authors", "mean", "cls"] = "authors"
    seed: Seed = 42


def named(architecture: Sizes | str, known: Mapping[str, AnySizes]) -> AnySizes:
    """An architecture spelled out.

    Raises:
        UserError: no architecture of that name.
    """
    if isinstance(architecture, Sizes):
        return cast(AnySizes, architecture)
    if architecture not in known:
        raise UserError(f"options.architecture is '{architecture}'; {nearest(architecture, known)}")
    return known[architecture]


class Attention(nn.Module):
    """Self-attention over all tokens: (B, n, dim) -> (B, n, dim)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(x.transpose(1, 2).flatten(2))
        return out


class MLP(nn.Module):
    """(B, n, dim) -> (B, n, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class LayerScale(nn.Module):
    """A factor for each channel of a residual."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Block(nn.Module):
    """One transformer block: (B, n, dim) -> (B, n, dim)."""

    def __init__(self, dim: int, heads: int, *, layer_scale: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, EPS)
        self.attn = Attention(dim, heads)
        self.ls1 = LayerScale(dim) if layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(dim, EPS)
        self.mlp = MLP(dim)
        self.ls2 = LayerScale(dim) if layer_scale else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        out: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return out


def stack(sizes: Sizes, *, layer_scale: bool = False) -> nn.ModuleList:
    """The network's blocks, named `0`, `1`, ... as in the released files."""
    return nn.ModuleList(Block(sizes.dim, sizes.heads, layer_scale=layer_scale) for _ in range(sizes.depth))


def run(blocks: Iterable[nn.Module], tokens: Tensor, taps: Sequence[int]) -> tuple[list[Tensor], Tensor]:
    """Send tokens through all blocks.

    Args:
        blocks: in float32 or bfloat16.
        tokens: (B, n, dim) float32.
        taps: numbers of the blocks to read.

    Returns:
        The tokens after each tapped block and those after the last block, (B, n, dim) float32.
    """
    read = []
    x = tokens
    for number, block in enumerate(blocks):
        x = block(x.to(next(block.parameters()).dtype))
        if number in taps:
            read.append(x.float())
    return read, x.float()


def level(sizes: Sizes, taps: Sequence[int]) -> Level:
    """The one grid of a vision transformer: all tapped blocks stand on it."""
    return Level(sizes.patch, tuple((f"blocks.{number}", sizes.dim) for number in taps))


def grid_of(card: EncoderCard, size: Sequence[int], patch: int) -> tuple[int, int]:
    """Rows and columns of tokens of an image of `size` (height, width).

    Raises:
        UserError: a side that the patch does not divide.
    """
    height, width = size
    if height % patch or width % patch:
        raise UserError(f"{card.name}: image sides must be multiples of {patch}, not {height} x {width}; resize them")
    return height // patch, width // patch
