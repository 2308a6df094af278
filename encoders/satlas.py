"""Satlas (SatlasPretrain, arXiv 2211.15660) behind the encoder interface: Swin-v2 and ResNet backbones.

The networks are torchvision's, which the authors wrap too. A multi-image model runs its backbone on every image
of a place and keeps the largest value: with one image it is its backbone. Any image size can be fed.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from torch import Tensor, nn
from torchvision.models import resnet, swin_transformer

from encoders.assembly import taps, weighted
from encoders.base import Encoder, EncoderCard, Features, InputSpec, Level, Setup
from encoders.bounds import Few, FewFrom0, Seed, Width
from encoders.errors import UserError, strict, validate
from encoders.swin_attention import WindowAttention
from encoders.taps import Taps

STRIDES = (4, 8, 16, 32)
"""Input pixels a cell of each stage spans, in both kinds of network."""
PATCH, WINDOW = 4, 8
"""Of Swin-v2; the window never shrinks, smaller maps are padded to it."""
MOST_IMAGES = 8
"""The authors' multi-image models look at no more (satlaspretrain_models at 7b5cd45)."""
WRAPPERS = re.compile(r"^(backbone\.)+(resnet\.)?")
"""What stands before torchvision's names in the authors' files; torchgeo's copies have torchvision's names alone."""
SURPLUS = ("intermediates.", "heads.", "head.", "fc.")
"""What released files hold beyond the backbone: feature pyramid, upsampling, task heads, classifiers nobody trained."""


@strict
@dataclass(frozen=True)
class Swin:
    """Sizes of a Swin-v2: channels of the first stage (the others double them), blocks and heads of each stage."""

    stages: ClassVar = ("features.1", "features.3", "features.5", "features.7")
    width: Width
    depths: tuple[Few, Few, Few, Few]
    heads: tuple[Few, Few, Few, Few]

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.width * 2**stage for stage in range(len(self.depths)))

    def build(self, channels: int) -> nn.Module:
        """torchvision's network for images of `channels` channels, without its classifier."""
        network = swin_transformer.SwinTransformer(
            patch_size=[PATCH, PATCH],
            embed_dim=self.width,
            depths=list(self.depths),
            num_heads=list(self.heads),
            window_size=[WINDOW, WINDOW],
            block=functools.partial(swin_transformer.SwinTransformerBlockV2, attn_layer=WindowAttention),
            downsample_layer=swin_transformer.PatchMergingV2,
        )
        network.features[0][0] = nn.Conv2d(channels, self.width, kernel_size=PATCH, stride=PATCH)
        network.head = nn.Identity()
        return network


@dataclass(frozen=True)
class ResNet:
    """Blocks of each stage of a ResNet, bottlenecks or basic ones."""

    stages: ClassVar = ("layer1", "layer2", "layer3", "layer4")
    blocks: tuple[int, int, int, int]
    kind: type[resnet.BasicBlock | resnet.Bottleneck] = resnet.Bottleneck

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(64 * 2**stage * self.kind.expansion for stage in range(len(self.blocks)))

    def build(self, channels: int) -> nn.Module:
        """torchvision's network for images of `channels` channels, without its classifier."""
        network = resnet.ResNet(self.kind, list(self.blocks))
        network.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        network.fc = nn.Identity()
        return network


ARCHITECTURES: dict[str, Swin | ResNet] = {
    "swin_b": Swin(128, (2, 2, 18, 2), (4, 8, 16, 32)),
    "swin_t": Swin(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "resnet50": ResNet((3, 4, 6, 3)),
    "resnet152": ResNet((3, 8, 36, 3)),
    "tiny": Swin(16, (1, 1, 1, 1), (1, 2, 4, 8)),
    "resnet_tiny": ResNet((1, 1, 1, 1), resnet.BasicBlock),
}
"""The first four: torchvision's swin_v2_b, swin_v2_t, resnet50 and resnet152; the tiny ones are ours."""


@strict
@dataclass(frozen=True)
class Options:
    """Options of the adapter, `options` of a card.

    Attributes:
        architecture: one of `ARCHITECTURES`, or the sizes of a Swin-v2 of one's own.
        images: how many images of a place are fed one after another, all bands of the first image first; more
            than one is for multi-image models, and for Python: samples of the benchmark have one.
        layers: stages read as maps, counted from 0; None for all four.
        pooling: `authors` (the vector torchvision's network gives its classifier: the last stage, in Swin
            normalised, averaged over its cells) or `mean` (the last stage averaged as its map is).
        seed: of drawn weights.
    """

    architecture: Literal["swin_b", "swin_t", "resnet50", "resnet152", "tiny", "resnet_tiny"] | Swin = "swin_b"
    images: Few = 1
    layers: tuple[FewFrom0, ...] | None = None
    pooling: Literal["authors", "mean", "cls"] = "authors"
    seed: Seed = 42

    def __post_init__(self) -> None:
        if not 1 <= self.images <= MOST_IMAGES:
            raise UserError(f"options.images is {self.images}; give 1 to {MOST_IMAGES}")
        if self.pooling == "cls":
            raise UserError("options.pooling is cls, but Satlas has no cls token; choose authors or mean")

    @property
    def sizes(self) -> Swin | ResNet:
        """The architecture spelled out."""
        return self.architecture if isinstance(self.architecture, Swin) else ARCHITECTURES[self.architecture]


class Satlas(Encoder):
    """Satlas' four stages.

    The authors' own heads pool a pyramid they train along; the vector for probes is torchvision's, as in the
    published linear probes of torchgeo-bench. Of several images it is taken after the largest value was kept.
    """

    def __init__(self, card: EncoderCard, inputs: InputSpec, network: nn.Module, options: Options, bands: int) -> None:
        """Put a network behind the interface; `from_card` makes it.

        Args:
            bands: channels of one image.

        Raises:
            UserError: a stage the network does not have.
        """
        super().__init__()
        self.card, self.inputs, self.options, self.channels = card, inputs, options, bands * options.images
        sizes = options.sizes
        self.convolutional = isinstance(sizes, ResNet)
        self._stages, self.embedding_dim = sizes.stages, sizes.widths[-1]
        self._read = taps(options.layers, len(sizes.stages), f"{card.name}: options")
        self.levels = tuple(Level(STRIDES[i], ((sizes.stages[i], sizes.widths[i]),)) for i in self._read)
        self.network = network

    @classmethod
    def from_card(cls, setup: Setup) -> Self:
        """The encoder a card describes: released weights from `weights_dir`, or drawn ones.

        Raises:
            UserError: an option or precision that cannot be, bands that are not those of `images` equal images,
                or weights that are missing, damaged or for other bands.
        """
        card, bands = setup.card, setup.bands
        options = validate(Options, card.options, f"{card.name}: options")
        single = len(bands) // options.images
        if not single or bands != bands[:single] * options.images:
            raise UserError(
                f"{card.name}: options.images is {options.images}, but the bands given are those of one image "
                f"({', '.join(band.name for band in bands)}); a sample of the benchmark has one, so leave images at 1, "
                f"or call encoders.build with the bands {options.images} times, image after image"
            )
        network = weighted(
            setup,
            lambda: options.sizes.build(single),
            read=lambda state, network: own_names(state, network, card.name),
            seed=options.seed,
        )
        return cls(card, setup.inputs, network, options, single)

    def _body(self, stem: Tensor) -> Features:
        if min(stem.shape[-2:]) < PATCH:
            size = " x ".join(map(str, stem.shape[-2:]))
            raise UserError(
                f"{self.card.name}: images of {size} pixels are smaller than a patch of {PATCH}; resize them"
            )
        names = [self._stages[i] for i in sorted({*self._read, len(self._stages) - 1})]
        images = stem.unflatten(1, (self.options.images, -1)).flatten(0, 1)
        with Taps(self.network, names, stop=True) as seen:
            self.network(images.to(next(self.network.parameters()).dtype))
        # The largest value over the images of a place.
        stages = {name: seen[name].unflatten(0, (len(stem), -1)).amax(dim=1) for name in names}
        swin = isinstance(self.options.sizes, Swin)
        maps = {name: stage.permute(0, 3, 1, 2) if swin else stage for name, stage in stages.items()}
        if swin and self.options.pooling == "authors":
            embedding = self.network.get_submodule("norm")(stages[names[-1]]).mean(dim=(1, 2))
        else:
            embedding = maps[names[-1]].mean(dim=(2, 3))
        return Features(tuple(maps[self._stages[i]][:, None].float() for i in self._read), embedding.float())


def own_names(state: Mapping[str, Tensor], network: nn.Module, name: str) -> dict[str, Tensor]:
    """A released file's tensors by torchvision's names, without what lies beyond the backbone.

    Raises:
        UserError: the file's network looks at another number of bands, or a name comes twice.
    """
    named: dict[str, Tensor] = {}
    for given, tensor in state.items():
        own = WRAPPERS.sub("", given)
        if own in named:
            raise UserError(f"{name}: the file holds {own} twice, once as {given}; download the released file again")
        if not own.startswith(SURPLUS):
            named[own] = tensor
    first, weight = next(iter(network.named_parameters()))
    if first in named and named[first].ndim == weight.ndim and named[first].shape[1] != weight.shape[1]:
        raise UserError(
            f"{name}: the released network looks at {named[first].shape[1]} bands, not at {weight.shape[1]}; "
            "choose the encoder released for these bands"
        )
    return named
