"""DOFA (arXiv 2403.15356): one vision transformer for any bands, told their wavelengths.

v1 has patches of 16 pixels, fixed positions and takes any image size; v2 has patches of 14, layer scale, learned
positions, and takes images of 224 pixels only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders import vit
from encoders.assembly import dtype_of, taps
from encoders.bands import Band
from encoders.base import Encoder, EncoderCard, Features, InputSpec, Setup
from encoders.bounds import Positive
from encoders.checkpoints import find, fit, load_tensors, weights_sha256
from encoders.dofa_kernel import KernelGenerator, Layout
from encoders.errors import UserError, strict, validate
from encoders.position import Resizing, resize, sincos
from encoders.vit import EPS, Sizes

Generation = Literal["v1", "v2"]

SIZES: dict[Generation, dict[str, Sizes]] = {
    # dofa_v1.py and dofa_v2.py of zhu-xlab/DOFA at a414125; `tiny` is ours.
    "v1": {
        "base": Sizes(dim=768, depth=12, heads=12, patch=16, image=224),
        "large": Sizes(dim=1024, depth=24, heads=16, patch=16, image=224),
        "tiny": Sizes(dim=64, depth=4, heads=4, patch=16, image=224),
    },
    "v2": {
        "base": Sizes(dim=768, depth=12, heads=12, patch=14, image=224),
        "large": Sizes(dim=1024, depth=24, heads=16, patch=14, image=224),
        "tiny": Sizes(dim=64, depth=4, heads=4, patch=14, image=224),
    },
}

SURPLUS = {"v1": ("mask_token", "norm.", "projector."), "v2": ("norm.",)}
"""Beginnings of names that released files hold and no feature needs: MAE's decoder side and, in v2, a norm beside
the one of the transformer that the official code never calls. torchgeo's copies of v1 lack them."""

LAYOUTS: dict[str, Layout] = {
    # The authors' files of August and September 2024, base and large, and torchgeo's copies (torchgeo >= 0.6).
    "4720985e42b918ac0307009eb06121a3435d9bbce6fd95446f84824a538165b1": "new",
    "ea9910bc026268ca36c30b76fd1169aeaca9ea51af5eaff840a20f150ea03d49": "new",
    "a0275954": "new",
    "0ff904d3": "new",
    # Copies that torchgeo made of the files of March 2024, base and large.
    "7cc0f413": "old",
    "fbd47fa9": "old",
}
"""sha256 (or its published beginning) of v1's files -> how their kernels lie. Two vintages were published under one
name with equal keys and shapes; read the wrong way, every patch is wrong and nothing fails."""

RADAR_UM = {"v1": 3.75, "v2": 5.405}
"""What a radar channel is told in place of a wavelength, by what each was trained with (torchgeo pull request 3942)."""
RADAR = ("VV", "VH")


@strict
@dataclass(frozen=True, kw_only=True)
class Options(vit.Options):
    """Options of `dofa`.

    Attributes:
        generation: v1 or v2.
        architecture: `base`, `large`, `tiny`, or sizes spelled out.
        position: how v1's position table is resized to other images than it was trained on. `bicubic` is the
            authors', `bicubic_aligned` Copernicus-Bench's, `bilinear` terratorch's.
        kernel_layout: `new` or `old`, for a file of v1 whose sha256 is not in `LAYOUTS`; else None.
        radar_um: what radar channels are told; None for `RADAR_UM`.
    """

    generation: Generation
    architecture: Sizes | str
    position: Resizing = "bicubic"
    kernel_layout: Layout | None = None
    radar_um: Positive | None = None

    def __post_init__(self) -> None:
        if self.generation == "v2" and (self.position, self.kernel_layout) != ("bicubic", None):
            raise UserError("options.position and options.kernel_layout are v1's; remove them for v2")

    @property
    def sizes(self) -> Sizes:
        """The architecture spelled out; raises a UserError if there is none of that name."""
        return vit.named(self.architecture, SIZES[self.generation])


class Trunk(nn.Module):
    """All of DOFA but the kernel generator; names as in the released files.

    Attributes:
        patch_embed: (B, C, H, W) -> (B, dim, rows, columns), once the bands are known.
    """

    patch_embed: nn.Module

    def __init__(self, sizes: Sizes, generation: Generation) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, sizes.dim))
        self.pos_embed = nn.Parameter(sincos(sizes.dim, sizes.grid, sizes.grid).clone())
        self.blocks = vit.stack(sizes, layer_scale=generation == "v2")
        if generation == "v2":
            self.norm = nn.LayerNorm(sizes.dim, EPS)


@dataclass(frozen=True)
class Network:
    """A whole network, and its two parts where they stand in it."""

    whole: nn.Module
    generator: KernelGenerator
    trunk: Trunk


def skeleton(sizes: Sizes, generation: Generation) -> Network:
    """A network with drawn weights, laid out as the released files: v2's trunk stands under `model`."""
    generator, trunk = KernelGenerator(sizes.dim, sizes.patch), Trunk(sizes, generation)
    if generation == "v2":
        return Network(nn.ModuleDict({"patch_embed": generator, "model": trunk}), generator, trunk)
    trunk.patch_embed = generator
    return Network(trunk, generator, trunk)


class DOFA(Encoder):
    """DOFA v1 or v2 for fixed bands.

    The embedding `authors` is, for v1, their fc_norm of the mean patch token; it is in no file, so it has no
    weights. For v2 the authors publish no pooling: it is the mean patch token after the network's final norm,
    which their code runs on all tokens. `cls` is the class token, after v2's final norm; v1 has none.
    """

    def __init__(self, card: EncoderCard, inputs: InputSpec, trunk: Trunk, channels: int, options: Options) -> None:
        super().__init__()
        self.card, self.inputs, self.options, self.sizes = card, inputs, options, options.sizes
        self.taps = taps(options.layers, self.sizes.depth, f"{card.name}: options")
        self.trunk, self.channels, self.embedding_dim = trunk, channels, self.sizes.dim
        self.levels = (vit.level(self.sizes, self.taps),)

    @classmethod
    def from_card(cls, setup: Setup) -> Self:
        """The encoder a card describes: released weights from `weights_dir`, or drawn ones.

        Raises:
            UserError: an option, band, size or precision that cannot be, or weights that are missing or damaged.
        """
        card = setup.card
        options = validate(Options, card.options, f"{card.name}: options")
        dtype = dtype_of(card, setup.precision)
        wavelengths = [_wavelength(card, band, options) for band in setup.bands]
        _grid(card, options, (setup.image_size, setup.image_size))
        taps(options.layers, options.sizes.depth, f"{card.name}: options")
        network, layout = _draw(options) if card.weights.random else _load(setup, options)
        # Once it has written the kernel, the generator (a fifth of the base model) isn't held.
        network.trunk.patch_embed = network.generator.convolution(wavelengths, layout)
        network.trunk.blocks.to(dtype)
        return cls(card, setup.inputs, network.trunk, len(setup.bands), options)

    def position(self, rows: int, columns: int) -> Tensor:
        """The position table for a grid: (1, 1 + rows * columns, dim) float32."""
        return resize(self.trunk.pos_embed, rows, columns, self.options.position)

    def tokens(self, images: Tensor) -> Tensor:
        """What enters the first block, the class token first: (B, 1 + rows * columns, dim) float32.

        Raises:
            UserError: images of a size it doesn't take.
        """
        position = self.position(*_grid(self.card, self.options, images.shape[-2:]))
        patches = self.trunk.patch_embed(images).flatten(2).transpose(1, 2)
        classes = self.trunk.cls_token.expand(len(images), -1, -1)
        return torch.cat((classes, patches), dim=1) + position

    def _body(self, stem: Tensor) -> Features:
        grid = _grid(self.card, self.options, stem.shape[-2:])
        read, last = vit.run(self.trunk.blocks, self.tokens(stem), self.taps)
        maps = torch.cat([tokens[:, 1:].transpose(1, 2).unflatten(2, grid) for tokens in read], dim=1)
        return Features((maps.unsqueeze(1),), self._pool(last))

    def _pool(self, tokens: Tensor) -> Tensor:
        pooling, v2 = self.options.pooling, self.options.generation == "v2"
        if pooling == "mean":
            return tokens[:, 1:].mean(1)
        if v2:
            tokens = self.trunk.norm(tokens)
        if pooling == "cls":
            return tokens[:, 0]
        mean = tokens[:, 1:].mean(1)
        return mean if v2 else F.layer_norm(mean, mean.shape[1:], eps=EPS)


def _wavelength(card: EncoderCard, band: Band, options: Options) -> float:
    if band.wavelength_um is not None:
        return band.wavelength_um
    if band.name in RADAR:
        return RADAR_UM[options.generation] if options.radar_um is None else options.radar_um
    raise UserError(
        f"{card.name}: band {band.name} has no wavelength to tell; give one under wavelengths_um in its input "
        "profile, or leave the band out"
    )


def _grid(card: EncoderCard, options: Options, size: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of tokens of an image of `size` (height, width)."""
    height, width, side = *size, options.sizes.image
    if options.generation == "v2" and (height, width) != (side, side):
        raise UserError(f"{card.name}: v2 takes images of {side} x {side} pixels, not {height} x {width}; resize them")
    return vit.grid_of(card, size, options.sizes.patch)


def _draw(options: Options) -> tuple[Network, Layout]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return skeleton(options.sizes, options.generation), options.kernel_layout or "new"


def _load(setup: Setup, options: Options) -> tuple[Network, Layout]:
    where = setup.card, setup.weights_dir, setup.image_size
    [(name, path)] = find(*where).items()
    layout: Layout = "new"
    if options.generation == "v1":
        layout = kernel_layout(path, weights_sha256(*where)[name], options.kernel_layout)
    state = load_tensors(path)
    with torch.device("meta"):
        network = skeleton(options.sizes, options.generation)
    fit(network.whole, state, path, drop=surplus(state, options.generation))
    network.whole.float()
    return network, layout


def surplus(state: Mapping[str, Tensor], generation: Generation) -> list[str]:
    """Names in a released file that no feature needs."""
    return [name for name in state if name.startswith(SURPLUS[generation])]


def kernel_layout(path: Path, sha256: str, asked: Layout | None) -> Layout:
    """How the kernels of a file of v1 lie.

    Args:
        sha256: of the file, in full.
        asked: what the user says of it.

    Raises:
        UserError: the file is unknown and nobody says, or what is said contradicts what is known.
    """
    known = next((layout for digest, layout in LAYOUTS.items() if sha256.startswith(digest)), None)
    if known is None and asked is None:
        raise UserError(
            f"{path}: unknown release (sha256 {sha256[:12]}...), and DOFA's files of March and August 2024 need their "
            "kernels read differently; download a file that the encoder's card names, or set options.kernel_layout "
            "to new or old"
        )
    if known and asked and known != asked:
        raise UserError(f"{path}: its kernels are laid out the {known} way by its sha256; remove options.kernel_layout")
    layout = known or asked
    assert layout is not None
    return layout
