"""PANGAEA's encoders behind the interface: `pangaea:NAME`, from the checkout that `$PANGAEA_DIR` names.

Maps are the list its class gives its own decoders, the embedding their spatial means side by side, which is what
PANGAEA's linear probe reads. Weights are a local file, read with `weights_only`; what the class cannot fill from
it is an error, where PANGAEA logs a warning and goes on with drawn numbers.
"""

import argparse
import io
import itertools
import logging
import pickle
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from encoders.base import Encoder, EncoderCard, Features, InputSpec, Level, Setup
from encoders.bounds import Seed
from encoders.checkpoints import find, look_ahead
from encoders.errors import UserError, strict, validate
from encoders.pangaea_cards import RADAR, checkout, pangaea_name, target
from encoders.pickles import RefusedError


@strict
@dataclass(frozen=True)
class Options:
    """Options of the adapter, `options` of a card.

    Attributes:
        arguments: of the class's constructor, as the checkout's config gives them.
        partial_weights: whether parameters that the file lacks may stay drawn.
        seed: of drawn weights.
    """

    arguments: dict[str, Any] = field(default_factory=dict)
    partial_weights: bool = False
    seed: Seed = 42


class PangaeaModel(Encoder):
    """An encoder of PANGAEA's."""

    def __init__(self, card: EncoderCard, inputs: InputSpec, network: nn.Module, bands: dict[str, int], side: int):
        """Put a network behind the interface; `from_card` makes it.

        Args:
            network: an instance of a class of PANGAEA's.
            bands: number of channels by modality, in the order they come in.
            side: of the images to come, in pixels; one empty image is looked at to learn the maps' shapes.

        Raises:
            UserError: the network gives no list of maps for such images.
        """
        super().__init__()
        self.card, self.inputs = card, inputs
        self.network, self._bands = network, bands
        self.channels = sum(bands.values())
        maps = self._maps(torch.zeros(1, self.channels, side, side))
        # Levels come finest first, whatever order the network has.
        self._order = sorted(range(len(maps)), key=lambda number: -maps[number].shape[-1])
        grids = itertools.groupby(self._order, key=lambda number: maps[number].shape[-1])
        self.levels = tuple(
            Level(round(side / cells), tuple((f"output {number}", maps[number].shape[1]) for number in group))
            for cells, group in grids
        )
        self.embedding_dim = sum(level.channels for level in self.levels)

    @classmethod
    def from_card(cls, setup: Setup) -> Self:
        """The encoder a card describes: weights from `weights_dir`, or drawn ones.

        Raises:
            UserError: code that cannot be imported or made, or weights that are missing, damaged or not its own.
        """
        card = setup.card
        options = validate(Options, card.options, f"{card.name}: options")
        if setup.precision != "float32":
            raise UserError(f"{card.name}: PANGAEA's encoders run in float32; leave precision={setup.precision} out")
        by_modality = {
            "optical": [pangaea_name(band.name) for band in setup.bands if band.name not in RADAR],
            "sar": [band.name for band in setup.bands if band.name in RADAR],
        }
        fed = {modality: names for modality, names in by_modality.items() if names}
        file = None if card.weights.random else next(iter(find(card, setup.weights_dir, setup.image_size).values()))
        network = _made(card, options, fed, setup.image_size, file)
        # A class whose config names no file draws its weights, or would fetch them by itself.
        if file is not None or not card.weights.files:
            _load(card, network, file, options)
        return cls(card, setup.inputs, network, {name: len(names) for name, names in fed.items()}, setup.image_size)

    def _body(self, stem: Tensor) -> Features:
        maps = [found.float() for found in self._maps(stem)]
        ordered = [maps[number] for number in self._order]
        grids = itertools.groupby(ordered, key=lambda one: one.shape[-1])
        levels = [torch.cat(list(group), dim=1) for _, group in grids]
        embedding = torch.cat([level.mean((2, 3)) for level in levels], dim=1)
        return Features(tuple(level[:, None] for level in levels), embedding)

    @torch.no_grad()
    def _maps(self, images: Tensor) -> list[Tensor]:
        """The network's maps (B, C, H, W), in its own order."""
        network: Any = self.network
        split = images.split(list(self._bands.values()), dim=1)
        fed = dict(zip(self._bands, split, strict=True))
        try:
            if network.multi_temporal:
                found = network({modality: image.unsqueeze(2) for modality, image in fed.items()})
            else:
                found = network(fed)
            if network.multi_temporal_output:
                found = [one.squeeze(-3) for one in found]
        except Exception as error:  # PANGAEA's classes can raise anything on bands or sizes they were not made for
            if isinstance(error, torch.OutOfMemoryError):
                raise
            size, why = " x ".join(map(str, images.shape[-2:])), " ".join(str(error).split())
            raise UserError(
                f"{self.card.name}: its class does not take images of {size} pixels and {self.channels} bands "
                f"({type(error).__name__}: {why}); set encoder.image_size, or bands=authors"
            ) from error
        if not found or any(one.ndim != 4 or one.shape[0] != images.shape[0] for one in found):
            shapes = [tuple(one.shape) for one in found]
            raise UserError(f"{self.card.name}: its class gives no list of maps but {shapes}; choose another encoder")
        return list(found)


def _made(card: EncoderCard, options: Options, bands: dict[str, list[str]], side: int, file: Path | None) -> nn.Module:
    """An instance of the card's class, with drawn weights."""
    cls = _class(card)
    given = options.arguments | {
        "input_bands": bands,
        "input_size": side,
        "encoder_weights": None if file is None else str(file),
        # Without an address its base class downloads nothing.
        "download_url": None,
    }
    taken = signature(cls.__init__).parameters
    if not any(one.kind is one.VAR_KEYWORD for one in taken.values()):
        given = {key: value for key, value in given.items() if key in options.arguments or key in taken}
    with _alone(card), torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        made: nn.Module = cls(**given)
    return made.float()


def _load(card: EncoderCard, network: Any, file: Path | None, options: Options) -> None:
    """Let the network read its file, by its own rules, without running anything in it."""
    told: list[str] = []
    logger = logging.Logger("pangaea")
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    plain = _swapped(torch, "load", _tensors_only(torch.load))
    # Command-line arguments, which many training scripts leave beside the weights.
    with (
        _alone(card, f", reading {file}" if file else ""),
        plain,
        torch.serialization.safe_globals([argparse.Namespace]),
    ):
        network.load_encoder_weights(logger)
    if told and not options.partial_weights:
        said = " ".join(" ".join(told).split())
        raise UserError(
            f"{card.name}: {file} does not fill its class ({said[:200]}); it is another release, or made for another "
            "image size: give the right one, or leave those drawn by encoder.options.partial_weights=true"
        )


def _tensors_only(load: Any) -> Any:
    def safely(file: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(file, str | Path):
            look_ahead(Path(file))
        return load(file, *arguments, **(named | {"weights_only": True}))

    return safely


def _class(card: EncoderCard) -> Any:
    """The class that the checkout's config names; imports its module."""
    root = checkout()
    module, name = target(card.name.partition(":")[2])
    with _alone(card), _swapped(sys, "path", [str(root), *sys.path]):
        base = import_module("pangaea.encoders.base")
        found = import_module(module)
    if not Path(str(base.__file__)).resolve().is_relative_to(root):
        raise UserError(
            f"{card.name}: this process has imported PANGAEA from {base.__file__}, not from {root}; start another"
        )
    cls = getattr(found, name, None)
    if not (isinstance(cls, type) and issubclass(cls, base.Encoder)):
        raise UserError(f"{card.name}: {found.__file__} has no encoder class '{name}'; restore the checkout")
    return cls


@contextmanager
def _swapped(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def _alone(card: EncoderCard, doing: str = "") -> Iterator[None]:
    """PANGAEA's code at work: it prints nothing, reaches no server, and what it raises becomes one sentence."""

    look_up, here = socket.getaddrinfo, threading.get_ident()

    def refused(host: Any, *arguments: Any, **named: Any) -> Any:
        if threading.get_ident() != here:
            return look_up(host, *arguments, **named)
        raise UserError(
            f"{card.name}: its class downloads from {host} by itself, and a run downloads nothing; choose an encoder "
            "whose config names a weights file, or one that is built in here"
        )

    try:
        with redirect_stdout(io.StringIO()), _swapped(socket, "getaddrinfo", refused):
            yield
    except UserError:
        raise
    except ImportError as error:
        raise UserError(
            f"{card.name}: PANGAEA's code cannot be imported ({error}); install what it needs beside this package: "
            "the extra satdifuser-bench[pangaea], then PANGAEA's requirements"
        ) from error
    except (pickle.UnpicklingError, RefusedError) as error:
        raise UserError(
            f"{card.name}: its weights file was refused{doing}, because it is damaged or holds more than tensors; "
            "download it again from its publisher"
        ) from error
    except Exception as error:  # PANGAEA's code can raise anything
        why = " ".join(str(error).split())
        raise UserError(
            f"{card.name}: PANGAEA's class fails{doing} ({type(error).__name__}: {why}); correct "
            "encoder.options.arguments or the checkout"
        ) from error
