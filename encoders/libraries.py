"""Models of timm and of torchgeo behind the encoder interface.

Feature maps are stages of a convolutional network or blocks of a transformer, without final norm
(`encoders.stages`); the embedding is the vector the model gives its own classifier.
"""

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Self

import torch
from torch import Tensor, nn

from encoders.assembly import weighted
from encoders.base import Encoder, EncoderCard, Features, InputSpec, Level, Setup
from encoders.bounds import FewFrom0, Seed
from encoders.errors import UserError, strict, validate
from encoders.library_cards import library
from encoders.stages import Stages

CLASSIFIERS = ("fc", "head")
"""Of torchgeo's ResNets and transformers, and of torchvision's that it takes."""
WEIGHTS_FROM_ELSEWHERE = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "weights")
"""Arguments by which timm and torchgeo would read or download weights themselves, past this project's checks."""
UNTRAINED = ("norm.weight", "norm.bias")
"""What torchgeo's files of transformers may lack (`KEYS` in its models/vit.py)."""


@strict
@dataclass(frozen=True)
class Options:
    """Options of both adapters, `options` of a card.

    Attributes:
        architecture: the library's name of the model.
        weights: torchgeo's name of the weights, which decides the number of bands; of timm's models empty.
        layers: stages or blocks read as maps, counted from 0; None for the usual ones (`encoders.stages`).
        seed: of drawn weights.
        arguments: handed on to the library's constructor, such as `res` of Scale-MAE.
    """

    architecture: str
    weights: str = ""
    layers: tuple[FewFrom0, ...] | None = None
    seed: Seed = 42
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in (key for key in self.arguments if key in WEIGHTS_FROM_ELSEWHERE):
            raise UserError(f"options.arguments hold '{key}'; weights come from the weights folder alone, leave it out")


class TimmModel(Encoder):
    """A model of timm's."""

    def __init__(self, card: EncoderCard, inputs: InputSpec, network: nn.Module, options: Options, side: int) -> None:
        """Put a network behind the interface; `from_card` makes it.

        Args:
            side: of the images to come, in pixels; one empty image is looked at to learn the maps' shapes.

        Raises:
            UserError: the network has no stages, not those asked for, or does not take images of that size.
        """
        super().__init__()
        self.card, self.inputs = card, inputs
        self.network = network
        self.channels = len(inputs.usual_bands())
        self._stages = Stages(network, card.name)
        maps, embedding = self._first_look(side, options.layers)
        found = [
            (self._stages.strides[i], (self._stages.names[i], one.shape[1]))
            for i, one in zip(self._read, maps, strict=True)
        ]
        self.levels = tuple(
            Level(stride, tuple(module for _, module in group))
            for stride, group in itertools.groupby(found, key=lambda one: one[0])
        )
        self.embedding_dim = embedding.shape[1]

    @classmethod
    def from_card(cls, setup: Setup) -> Self:
        """The encoder a card describes: released weights from `weights_dir`, or drawn ones.

        Raises:
            UserError: other bands than the model's, an option, size or precision that cannot be, or weights that
                are missing, damaged or not this model's.
        """
        card, inputs = setup.card, setup.inputs
        options = validate(Options, card.options, f"{card.name}: options")
        wanted, given = len(inputs.usual_bands()), len(setup.bands)
        if given != wanted:
            raise UserError(f"{card.name}: the model looks at {wanted} bands, not at {given}; use bands=authors")
        network = weighted(
            setup,
            lambda: cls._made(card, options),
            read=cls._own_names,
            seed=options.seed,
            # The libraries' constants are no part of their files.
            constants=True,
        )
        return cls(card, inputs, network, options, setup.image_size)

    @classmethod
    def _made(cls, card: EncoderCard, options: Options) -> nn.Module:
        try:
            return cls._make(options)
        except (TypeError, ValueError, AssertionError) as error:
            why = " ".join(str(error).split())
            raise UserError(
                f"{card.name}: the library cannot make it ({why}); correct options.arguments or choose another model"
            ) from None

    @staticmethod
    def _make(options: Options) -> nn.Module:
        """The library's network with drawn weights, without its classifier."""
        made: nn.Module = library("timm").create_model(
            options.architecture, **({"pretrained": False, "num_classes": 0} | options.arguments)
        )
        return made

    @staticmethod
    def _own_names(state: Mapping[str, Tensor], network: nn.Module) -> Mapping[str, Tensor]:
        """A file's tensors by timm's names, as its own filter gives them, without those of the classifier."""
        convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
        if convert:
            # timm asks its transformers' filter for it with DeiT-3 alone; no network of theirs has such names itself.
            asked = {"adapt_layer_scale": True} if "adapt_layer_scale" in signature(convert).parameters else {}
            # Another model's file can trip it anywhere; the strict load then names its tensors.
            with suppress(Exception):
                state = convert(dict(state), network, **asked)
        about: Any = getattr(network, "pretrained_cfg", None) or {}
        named = about.get("classifier") or ()
        surplus = tuple(f"{head}." for head in ((named,) if isinstance(named, str) else named))
        return {name: tensor for name, tensor in state.items() if not (surplus and name.startswith(surplus))}

    def _first_look(self, side: int, layers: Sequence[int] | None) -> tuple[list[Tensor], Tensor]:
        """Maps and embedding of one empty image, after the network was set to its size if it must be."""
        network: Any = self.network
        empty = torch.zeros(1, self.channels, side, side, dtype=next(network.parameters()).dtype)
        try:
            return self._choose_and_look(empty, layers)
        except UserError:
            if not hasattr(network, "set_input_size"):
                raise
        # timm's own way: position tables are resampled.
        network.set_input_size((side, side))
        maps, embedding = self._choose_and_look(empty, layers)
        patch = self._stages.strides[0]
        if side % patch:
            raise UserError(
                f"{self.card.name}: images of {side} pixels are not whole patches of {patch}; "
                f"set encoder.image_size to {side // patch * patch}"
            )
        return maps, embedding

    def _body(self, stem: Tensor) -> Features:
        images = stem.to(next(self.network.parameters()).dtype)
        with self._refusing_size(images):
            maps, embedding = self._stages.read(images, self._read)
        grids = itertools.groupby(maps, key=lambda one: one.shape[-2:])
        levels = [torch.cat(list(group), dim=1)[:, None].float() for _, group in grids]
        return Features(tuple(levels), embedding.float())

    @torch.no_grad()
    def _choose_and_look(self, images: Tensor, layers: Sequence[int] | None) -> tuple[list[Tensor], Tensor]:
        with self._refusing_size(images):
            self._read = self._stages.choose(layers, images)
            return self._stages.read(images, self._read)

    @contextmanager
    def _refusing_size(self, images: Tensor) -> Iterator[None]:
        """What the library says of images it does not take, as one sentence."""
        try:
            yield
        except (AssertionError, ValueError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            size, why = " x ".join(map(str, images.shape[-2:])), " ".join(str(error).split())
            raise UserError(
                f"{self.card.name}: does not take images of {size} pixels ({why}); "
                "set encoder.image_size to a size it takes"
            ) from None


class TorchGeoModel(TimmModel):
    """A model of torchgeo's: mostly one of timm's for other bands, else of torchvision's or its own."""

    @staticmethod
    def _make(options: Options) -> nn.Module:
        """The library's network with drawn weights for the bands of its published ones, without its classifier."""
        models = library("torchgeo.models")
        meta = models.get_model_weights(options.architecture)[options.weights].meta
        told = {key: meta[key] for key in ("in_chans", "img_size") if key in meta}
        made: nn.Module
        try:
            made = models.get_model(options.architecture, **(told | {"num_classes": 0} | options.arguments))
        except TypeError:
            # Not one of timm's, whose arguments these are.
            made = models.get_model(options.architecture, **options.arguments)
        if type(made).__module__.startswith("torchvision."):
            for name in (name for name in CLASSIFIERS if hasattr(made, name)):
                setattr(made, name, nn.Identity())
        return made

    @staticmethod
    def _own_names(state: Mapping[str, Tensor], network: nn.Module) -> Mapping[str, Tensor]:
        """A file's tensors without a classifier's; a last norm that it lacks stays the identity, as in torchgeo."""
        # torchgeo's SwinBackbone_Weights: the network, and norms of a segmentation decoder beside it.
        inner = {name.removeprefix("state_dict/"): one for name, one in state.items() if name.startswith("state_dict/")}
        fresh, surplus = network.state_dict(), tuple(f"{name}." for name in CLASSIFIERS)
        kept = {name: one for name, one in (inner or state).items() if name in fresh or not name.startswith(surplus)}
        return {name: fresh[name] for name in UNTRAINED if name in fresh} | kept
