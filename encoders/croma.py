"""CROMA (arXiv 2311.00566) behind the encoder interface: optical, radar, or both joined.

Trained on 120 px; any square image whose side is a multiple of 8 can be fed, nothing is interpolated. Maps are
blocks before the final norm; the embedding is what the authors hand out as the image's vector.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

from encoders.assembly import taps, weighted
from encoders.base import Encoder, EncoderCard, Features, InputSpec, Level, Setup
from encoders.bounds import FewFrom0, Seed
from encoders.croma_model import OPTICAL, PARTS, PATCH, SAR, SIZES, Modality, Network, Sizes, alibi
from encoders.errors import UserError, strict, validate
from encoders.taps import Taps

CHANNELS: dict[Modality, int] = {"optical": OPTICAL, "sar": SAR, "joint": OPTICAL + SAR}


@strict
@dataclass(frozen=True)
class Options:
    """Options of the adapter, `options` of a card.

    Attributes:
        architecture: `base`, `large`, `tiny` or sizes of one's own.
        modality: which sensors' images are fed; `joint` wants 12 optical channels, then VV and VH.
        layers: blocks read as maps (of the joint encoder where there is one); None for the default of its depth.
        pooling: `authors` (GAP_FFN of the mean token; joint: the mean token) or `mean` (the mean token).
        seed: of drawn weights.
    """

    architecture: Literal["base", "large", "tiny"] | Sizes = "base"
    modality: Modality = "optical"
    layers: tuple[FewFrom0, ...] | None = None
    pooling: Literal["authors", "mean", "cls"] = "authors"
    seed: Seed = 42

    def __post_init__(self) -> None:
        if self.pooling == "cls":
            raise UserError("options.pooling is cls, but CROMA has no cls token; choose authors or mean")


class CROMA(Encoder):
    """CROMA's maps of one modality.

    Attributes:
        bias: the attention bias of the grid seen last, (1, 16, N, N), in the precision of the weights.
    """

    bias: Tensor

    def __init__(
        self, card: EncoderCard, inputs: InputSpec, network: Network, sizes: Sizes, options: Options, image_size: int
    ) -> None:
        """Put a network behind the interface; `from_card` makes it.

        Raises:
            UserError: a layer the network does not have, or an image size that cannot be.
        """
        super().__init__()
        self.card, self.inputs, self.options = card, inputs, options
        self.channels, self.embedding_dim = CHANNELS[network.modality], sizes.width
        chosen = taps(options.layers, network.depth, f"{card.name}: options")
        self.levels = (Level(PATCH, tuple((f"{network.trunk}.layers.{i}", sizes.width) for i in chosen)),)
        self.network = network
        bias = alibi(self._grid(image_size, image_size)).to(next(network.parameters()).dtype)
        self.register_buffer("bias", bias, persistent=False)

    @classmethod
    def from_card(cls, setup: Setup) -> Self:
        """The encoder a card describes: released weights from `weights_dir`, or drawn ones.

        Raises:
            UserError: an option, size or precision that cannot be, or weights that are missing or damaged.
        """
        card = setup.card
        options = validate(Options, card.options, f"{card.name}: options")
        modality, channels = options.modality, CHANNELS[options.modality]
        if len(setup.bands) != channels:
            raise UserError(
                f"{card.name}: CROMA {modality} looks at {channels} channels, not at {len(setup.bands)}; "
                f"set inputs to croma_{modality}"
            )
        sizes = options.architecture if isinstance(options.architecture, Sizes) else SIZES[options.architecture]
        network = weighted(setup, lambda: Network(sizes, modality), read=own_names, seed=options.seed)
        return cls(card, setup.inputs, network, sizes, options, setup.image_size)

    def _grid(self, height: int, width: int) -> int:
        """Patches along a side."""
        if height != width or height % PATCH or height < PATCH:
            raise UserError(
                f"{self.card.name}: images must be square with sides a multiple of {PATCH} pixels, "
                f"not {height} x {width}; resize them"
            )
        return height // PATCH

    def _body(self, stem: Tensor) -> Features:
        side = self._grid(*stem.shape[-2:])
        if self.bias.shape[-1] != side**2:
            self.bias = alibi(side, self.bias.device).to(self.bias.dtype)
        names = [name for name, _ in self.levels[0].modules]
        with Taps(self.network, names) as seen:
            tokens = self.network(stem.to(self.bias.dtype), self.bias)
        joined = torch.cat([seen[name] for name in names], dim=2)
        maps = joined.transpose(1, 2).unflatten(2, (side, side))[:, None]
        embedding = self.network.pool(tokens) if self.options.pooling == "authors" else tokens.mean(dim=1)
        return Features((maps.float(),), embedding.float())


def own_names(state: Mapping[str, Tensor], network: Network) -> dict[str, Tensor]:
    """A released file's tensors (`s2_encoder/linear_input.weight`) by the network's names, without unused parts."""
    surplus = tuple(f"{part}/" for part in PARTS if not hasattr(network, part))
    return {name.replace("/", ".", 1): tensor for name, tensor in state.items() if not name.startswith(surplus)}
