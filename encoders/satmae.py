"""SatMAE (arXiv 2207.08051): masked autoencoders of fMoW images, as vision transformers.

The RGB model cuts an image into patches of 16 pixels. The group-channel model looks at ten Sentinel-2 bands in
three groups: each group has its own patches of 8 pixels, and all groups' tokens attend to each other.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor, nn

from encoders import vit
from encoders.assembly import dtype_of, taps
from encoders.base import Encoder, EncoderCard, Features, InputSpec, Setup
from encoders.bounds import FewFrom0
from encoders.checkpoints import find, fit, load_tensors
from encoders.errors import UserError, strict, validate
from encoders.position import resize, sincos, sinusoid
from encoders.vit import EPS

GROUPS = ((0, 1, 2, 6), (3, 4, 5, 7), (8, 9))
"""Channels of each group, of B02 B03 B04 B05 B06 B07 B08 B8A B11 B12 (flags of the official README)."""

SURPLUS = ("decoder_", "mask_token", "head.")
"""Beginnings of names that released files hold and no feature needs: MAE's decoder, a classifier."""


@strict
@dataclass(frozen=True, kw_only=True)
class Sizes(vit.Sizes):
    """Sizes of SatMAE.

    Attributes:
        channel: of a token's position, how much tells its group; 0 for the RGB model, which has no groups.
    """

    channel: FewFrom0 = 0


SIZES = {
    # models_vit.py and models_vit_group_channels.py of sustainlab-group/SatMAE at e31c11f; `tiny` is ours.
    "rgb_large": Sizes(dim=1024, depth=24, heads=16, patch=16, image=224),
    "rgb_tiny": Sizes(dim=64, depth=4, heads=4, patch=16, image=224),
    "group_base": Sizes(dim=768, depth=12, heads=12, patch=8, image=96, channel=256),
    "group_large": Sizes(dim=1024, depth=24, heads=16, patch=8, image=96, channel=256),
    "group_tiny": Sizes(dim=64, depth=4, heads=4, patch=8, image=96, channel=16),
}


@strict
@dataclass(frozen=True, kw_only=True)
class Options(vit.Options):
    """Options of `satmae`.

    Attributes:
        architecture: a name in `SIZES`, or sizes spelled out.
        finetuned: whether the file is one of the authors' fine-tuned on fMoW's classes, which ends in fc_norm in
            place of norm and, with groups, tells the class token a channel too.
        position: the table at other image sizes than it was trained on: `sincos` makes it anew for the new grid
            (what the official main_finetune.py comes to), `bicubic` resizes it (its util/pos_embed.py).
    """

    architecture: Sizes | str
    finetuned: bool = False
    position: Literal["sincos", "bicubic"] = "sincos"

    def __post_init__(self) -> None:
        if self.finetuned and self.pooling == "cls":
            raise UserError(
                "options.pooling is cls, but the fine-tuned files have no norm for a class token (they were trained "
                "with global pooling); choose authors or mean"
            )

    @property
    def sizes(self) -> Sizes:
        """The architecture spelled out; raises a UserError if there is none of that name."""
        return vit.named(self.architecture, SIZES)


class PatchEmbed(nn.Module):
    """(B, C, H, W) -> (B, rows * columns, dim), row by row."""

    def __init__(self, channels: int, sizes: Sizes) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, sizes.dim, sizes.patch, stride=sizes.patch)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return out


class ViT(nn.Module):
    """SatMAE's encoder; names as in the released files."""

    norm: nn.LayerNorm
    fc_norm: nn.LayerNorm

    def __init__(self, sizes: Sizes, *, finetuned: bool) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, sizes.dim))
        self.pos_embed = nn.Parameter(sincos(sizes.dim - sizes.channel, sizes.grid, sizes.grid).clone())
        if sizes.channel:
            self.patch_embed: nn.Module = nn.ModuleList(PatchEmbed(len(group), sizes) for group in GROUPS)
            numbers = torch.arange(len(GROUPS), dtype=torch.float64, device="cpu")
            self.channel_embed = nn.Parameter(sinusoid(numbers, sizes.channel).float()[None])
            if finetuned:
                self.channel_cls_embed = nn.Parameter(torch.zeros(1, 1, sizes.channel))
        else:
            self.patch_embed = PatchEmbed(3, sizes)
        self.blocks = vit.stack(sizes)
        self.add_module("fc_norm" if finetuned else "norm", nn.LayerNorm(sizes.dim, EPS))


class SatMAE(Encoder):
    """SatMAE, RGB or group-channel.

    The embedding `authors` is fc_norm of the mean over all patch tokens (global pooling, their default for
    probing); pre-training files have no fc_norm, so there it has no weights. `cls` is the class token after norm.
    A map of the group model is the mean over the groups at each place.
    """

    def __init__(self, card: EncoderCard, inputs: InputSpec, model: ViT, options: Options) -> None:
        super().__init__()
        self.card, self.inputs, self.options, self.sizes = card, inputs, options, options.sizes
        self.model, self.embedding_dim = model, self.sizes.dim
        self.channels = channels(self.sizes)
        self.taps = taps(options.layers, self.sizes.depth, f"{card.name}: options")
        self.levels = (vit.level(self.sizes, self.taps),)

    @classmethod
    def from_card(cls, setup: Setup) -> Self:
        """The encoder a card describes: released weights from `weights_dir`, or drawn ones.

        Raises:
            UserError: an option, size or precision that cannot be, or weights that are missing or damaged.
        """
        card, given = setup.card, len(setup.bands)
        options = validate(Options, card.options, f"{card.name}: options")
        dtype, sizes = dtype_of(card, setup.precision), options.sizes
        if given != channels(sizes):
            wanted = (
                "ten Sentinel-2 bands; use satmae_group" if sizes.channel else "red, green and blue; use satmae_rgb"
            )
            raise UserError(f"{card.name}: is given {given} channels where it looks at {wanted} as its inputs")
        vit.grid_of(card, (setup.image_size, setup.image_size), sizes.patch)
        taps(options.layers, sizes.depth, f"{card.name}: options")
        model = _draw(options) if card.weights.random else _load(setup, options)
        model.blocks.to(dtype)
        return cls(card, setup.inputs, model, options)

    def position(self, rows: int, columns: int) -> Tensor:
        """The table of places for a grid: (1, 1 + rows * columns, dim - channel) float32."""
        table = self.model.pos_embed
        if self.options.position == "bicubic" or (rows, columns) == (self.sizes.grid, self.sizes.grid):
            return resize(table, rows, columns, "bicubic")
        return sincos(table.shape[2], rows, columns).to(table.device)

    def tokens(self, images: Tensor) -> Tensor:
        """What enters the first block: the class token, then each group's tokens; (B, 1 + groups * cells, dim).

        Raises:
            UserError: an image side that the patch does not divide.
        """
        model = self.model
        position = self.position(*vit.grid_of(self.card, images.shape[-2:], self.sizes.patch))
        if isinstance(model.patch_embed, nn.ModuleList):
            pairs = zip(model.patch_embed, GROUPS, strict=True)
            patches = torch.cat([embed(images[:, list(group)]) for embed, group in pairs], dim=1)
            position = self._with_channels(position)
        else:
            patches = model.patch_embed(images)
        return torch.cat((model.cls_token.expand(len(images), -1, -1), patches), dim=1) + position

    def _with_channels(self, position: Tensor) -> Tensor:
        """Places and groups, side by side, for every token: (1, 1 + groups * cells, dim)."""
        cells, numbers = position[:, 1:], self.model.channel_embed
        groups = torch.cat((cells.repeat(1, numbers.shape[1], 1), numbers.repeat_interleave(cells.shape[1], 1)), dim=2)
        channel = self.model.channel_cls_embed if self.options.finetuned else numbers.new_zeros(1, 1, numbers.shape[2])
        return torch.cat((torch.cat((position[:, :1], channel), dim=2), groups), dim=1)

    def _body(self, stem: Tensor) -> Features:
        grid = vit.grid_of(self.card, stem.shape[-2:], self.sizes.patch)
        read, last = vit.run(self.model.blocks, self.tokens(stem), self.taps)
        # (B, groups * cells, dim) -> mean over groups -> (B, dim, rows, columns)
        places = [tokens[:, 1:].unflatten(1, (-1, *grid)).mean(1) for tokens in read]
        maps = torch.cat(places, dim=3).permute(0, 3, 1, 2)
        return Features((maps.unsqueeze(1),), self._pool(last))

    def _pool(self, tokens: Tensor) -> Tensor:
        if self.options.pooling == "cls":
            normed: Tensor = self.model.norm(tokens[:, 0])
            return normed
        mean = tokens[:, 1:].mean(1)
        if self.options.pooling == "mean":
            return mean
        if self.options.finetuned:
            pooled: Tensor = self.model.fc_norm(mean)
            return pooled
        return nn.functional.layer_norm(mean, mean.shape[1:], eps=EPS)


def channels(sizes: Sizes) -> int:
    """How many bands the model looks at."""
    return sum(len(group) for group in GROUPS) if sizes.channel else 3


def _draw(options: Options) -> ViT:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return ViT(options.sizes, finetuned=options.finetuned)


def _load(setup: Setup, options: Options) -> ViT:
    [path] = find(setup.card, setup.weights_dir, setup.image_size).values()
    # The authors' files are whole training states; `args` in them is a Namespace of plain values.
    state = load_tensors(path, part="model", plain=[argparse.Namespace])
    with torch.device("meta"):
        model = ViT(options.sizes, finetuned=options.finetuned)
    fit(model, state, path, drop=surplus(state))
    return model.float()


def surplus(state: Mapping[str, Tensor]) -> list[str]:
    """Names in a released file that no feature needs."""
    return [name for name in state if name.startswith(SURPLUS)]
