"""Our encoders as PANGAEA's (f20f3d3): any that `--encoder` takes, as a class of `pangaea.encoders`.

Configs are in `configs/pangaea/encoder/`; what such an encoder is fed stands in `pangaea_inputs`, decoders with our
trained fusers in `pangaea_decoders`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from logging import Logger
from pathlib import Path
from typing import Any, Literal

import torch
from pangaea.encoders.base import Encoder as PangaeaEncoder
from torch import Tensor

import encoders
from benchmark.data import families
from benchmark.interop.pangaea_inputs import Choices, Inputs, Told, known_dataset
from benchmark.places import places
from decoders.fuser import Fuser
from decoders.fusion import build_fuser
from encoders import checkpoints
from encoders.base import Encoder, Features
from encoders.errors import UserError, validate
from encoders.spec import EncoderCard


class FrozenEncoder(PangaeaEncoder):
    """An encoder of ours, as PANGAEA's decoders call it.

    Attributes:
        frozen: the encoder itself, built with its weights.
        inputs: what turns PANGAEA's tensors into its own.
    """

    def __init__(
        self,
        name: str,
        input_bands: Mapping[str, Sequence[str]],
        input_size: int,
        dataset: Mapping[str, Any],
        encoder_weights: str | None = None,
        download_url: str | None = None,
        output_layers: Sequence[int] | None = None,
        options: Mapping[str, Any] | None = None,
        random_weights: bool = False,
        precision: Literal["float32", "bfloat16"] = "float32",
        fusion: Literal["none", "mean", "concat"] | None = None,
        finetune: bool = False,
        **choices: Any,
    ) -> None:
        """Build the encoder.

        Args:
            name: as `--encoder` takes it: built in, a family, `timm:NAME`, the path of a YAML file, ...
            input_bands: names of the channels that will come, by modality; the dataset's own are best.
            input_size: height and width the encoder is fed; images of another size are resized to it.
            dataset: `name`, `bands`, `mean` and `std` of PANGAEA's dataset config (`pangaea_inputs.Told`).
            encoder_weights: the weights folder; None for this project's usual one.
            download_url: must be empty: weights come by `evaluate.py fetch encoder NAME`.
            output_layers: blocks to read, for encoders with an option `layers`; None for their usual ones.
            options: changed options of the encoder's card.
            random_weights: draw them instead.
            fusion: how modules and views become PANGAEA's list of maps, without training: each module of the last
                view, or one map a level (views averaged, or side by side). None: `none` for encoders of one grid or
                one module a grid, `mean` for others.
            finetune: must be False: the encoder is frozen.
            choices: `pangaea_inputs.Choices`.

        Raises:
            UserError: what cannot be, with the remedy.
        """
        _refuse(name, finetune, download_url)
        told = validate(Told, dict(dataset), "encoder.dataset")
        chosen = validate(Choices, dict(choices), "encoder")
        weights_dir = Path(encoder_weights) if encoder_weights else places().weights_dir
        handed = {modality: tuple(names) for modality, names in input_bands.items()}
        standing = _standing(name, told, chosen)
        card = _changed(encoders.card(standing), dict(options or {}), output_layers, random_weights)
        inputs = Inputs(encoders.inputs_of(card), told, handed, input_size, chosen)
        frozen = encoders.build(
            card,
            bands=[channel.wanted for channel in inputs.plan.channels],
            image_size=input_size,
            weights_dir=weights_dir,
            precision=precision,
        )
        listed = _listing(name, frozen, fusion)
        super().__init__(
            model_name=f"satdifuser-bench {card.name}",
            input_bands={modality: list(names) for modality, names in handed.items()},
            input_size=input_size,
            embed_dim=frozen.embedding_dim,
            output_layers=list(range(len(listed.widths))),
            output_dim=list(listed.widths),
            multi_temporal=False,
            multi_temporal_output=False,
            pyramid_output=is_pyramid(listed),
            encoder_weights=str(weights_dir),
            download_url="",
        )
        self.frozen, self.inputs, self._listed = frozen, inputs, listed
        self._digests = checkpoints.weights_sha256(card, weights_dir, input_size)

    def load_encoder_weights(self, logger: Logger) -> None:
        """Say which weights the encoder was built with, and what it is fed; they are loaded already."""
        card, plan = self.frozen.card, self.inputs.plan
        logger.info(f"{card.name}: weights {self._digests or 'none'}; values as {self.inputs.choices.values}")
        for line in (*plan.describe(), *plan.notes):
            logger.info(f"{card.name}: {line}")
        if card.weights.random:
            logger.warning(f"{card.name}: random weights, a check of the machinery, not of a model")

    @torch.no_grad()
    def features(self, x: Mapping[str, Tensor]) -> Features:
        """Maps (B, views, channels, H, W) a level and the embedding, of images (B, C, H, W) or (B, C, 1, H, W)."""
        return self.frozen(self.inputs({modality: _single(images) for modality, images in x.items()}))

    def forward(self, x: Mapping[str, Tensor]) -> list[Tensor]:
        """PANGAEA's list of maps, (B, output_dim, H, W) each, of images (B, C, H, W) or (B, C, 1, H, W) by modality."""
        maps: list[Tensor] = self._listed(self.features(x).maps)
        return maps


def _refuse(name: str, finetune: bool, download_url: str | None) -> None:
    if finetune:
        raise UserError(f"{name}: this project's encoders are frozen; leave finetune=false")
    if download_url:
        raise UserError(f"{name}: downloads nothing; leave download_url out, `evaluate.py fetch encoder {name}` does")


def _listing(name: str, frozen: Encoder, fusion: str | None) -> Fuser:
    """What makes PANGAEA's list of an encoder's maps, without training."""
    modules = [len(level.modules) for level in frozen.levels]
    kind = fusion or ("none" if len(modules) == 1 or max(modules) == 1 else "mean")
    if kind not in ("none", "mean", "concat"):
        raise UserError(f"{name}: encoder.fusion is {kind}, which is trained; choose a decoder that holds it")
    return build_fuser(kind, frozen.levels, frozen.views)


def _standing(name: str, told: Told, choices: Choices) -> str:
    """The encoder that stands for a family on PANGAEA's dataset; an encoder stands for itself."""
    if not families.fixed(name):
        return name
    known = known_dataset(told.name)
    if known is None:
        raise UserError(f"{name} is a family, and dataset {told.name} none of GEO-Bench's; name one of its encoders")
    return families.choose(name, known, choices.bands)


def _changed(
    card: EncoderCard, options: dict[str, Any], layers: Sequence[int] | None, random_weights: bool
) -> EncoderCard:
    if layers is not None:
        if "layers" not in card.options:
            raise UserError(f"{card.name}: has no option 'layers'; leave encoder.output_layers out")
        options = options | {"layers": list(layers)}
    weights = replace(card.weights, random=True) if random_weights else card.weights
    return replace(card, options=card.options | options, weights=weights)


def is_pyramid(fuser: Fuser) -> bool:
    """Whether the maps lie on several grids, so that PANGAEA's UPerNet takes them as they are."""
    return len(set(fuser.strides)) > 1


def _single(images: Tensor) -> Tensor:
    """(B, C, H, W) of images that may have one time step between."""
    if images.ndim == 5:
        if images.shape[2] != 1:
            raise UserError(f"images of {images.shape[2]} dates; this project's encoders look at one")
        return images[:, :, 0]
    return images
