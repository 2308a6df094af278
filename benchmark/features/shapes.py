"""Shapes of every built-in encoder's features, known without building it: what a plan counts bytes by.

`python -m benchmark.features.shapes > configs/features.yaml` writes them, from the encoders' own words.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING
from unittest import mock

import configs
import encoders
from benchmark.features.tiers import Shapes
from encoders.errors import strict, validate
from encoders.spec import EncoderCard, Weights

if TYPE_CHECKING:
    from encoders.base import Encoder

HEADER = """\
# uv run evaluate.py --encoder satdifuser --dataset m-eurosat --dry-run
# What features of each encoder look like, so that a plan knows their bytes without building a model.
# Written by `python -m benchmark.features.shapes > configs/features.yaml` from what the built encoders declare:
# views, (stride in pixels, channels) a level, width of the embedding, (stride, channels) of a stem that is no image.
"""
FULL_SIZE = "unet_random"
"""Whose option `architecture` gives Stable Diffusion 2.1's sizes, which those that read its files have too."""


@strict
@dataclass(frozen=True)
class Declared:
    """What a built encoder says of its features.

    Attributes:
        levels: (stride, channels), finest first.
        stem: (stride, channels) a view; None where the stem is the image.
        a_band: True where channels and embedding are those of one input band.
    """

    views: int
    levels: tuple[tuple[int, int], ...]
    embedding: int
    stem: tuple[int, int] | None = None
    a_band: bool = False

    def shapes(self, side: int, bands: int) -> Shapes:
        """Of an image of `bands` x `side` x `side`."""
        times = bands if self.a_band else 1
        image, stem = (bands, side, side), self.stem
        return Shapes(
            image,
            (self.views, stem[1], side // stem[0], side // stem[0]) if stem else image,
            tuple((self.views, times * channels, -(-side // by), -(-side // by)) for by, channels in self.levels),
            times * self.embedding,
        )


@cache
def declared() -> dict[str, Declared]:
    """What `configs/features.yaml` says, by encoder."""
    plain = configs.load(configs.ROOT / "features.yaml")
    return {name: validate(Declared, one, f"configs/features.yaml: {name}") for name, one in plain.items()}


def shapes(card: EncoderCard, side: int, bands: int) -> Shapes | None:
    """The shapes of one image's way through an encoder; None of one that is not built in, or whose options differ."""
    if card.home or card.name not in declared() or _options(card.name) != card.options:
        return None
    return declared()[card.name].shapes(side, bands)


@cache
def _options(name: str) -> dict[str, object]:
    return encoders.card(name).options


def declare(name: str) -> Declared:
    """What an encoder says of itself once built, with weights nobody drew."""
    card = encoders.card(name)
    options = dict(card.options)
    if card.adapter == "satdifuser" and not card.weights.random:
        options["architecture"] = encoders.card(FULL_SIZE).options["architecture"]
    with _undrawn():
        built: Encoder = encoders.build(replace(card, weights=Weights(random=True), options=options))
    times = built.channels if card.adapter == "imagestats" else 1
    return Declared(
        views=len(built.views),
        levels=tuple((level.stride, level.channels // times) for level in built.levels),
        embedding=built.embedding_dim // times,
        # The VAE's four channels, an eighth of the image each way (`encoders.satdifuser`).
        stem=(8, 4) if card.adapter == "satdifuser" else None,
        a_band=card.adapter == "imagestats",
    )


@contextlib.contextmanager
def _undrawn() -> Iterator[None]:
    """Leave new weights as memory happens to be: drawing a billion numbers that nobody reads takes minutes."""
    from torch import nn

    with contextlib.ExitStack() as stack:
        for drawing in (one for one in dir(nn.init) if one.endswith("_") and not one.startswith("_")):
            stack.enter_context(mock.patch.object(nn.init, drawing, lambda tensor, *_, **__: tensor))
        yield


def page() -> str:
    """`configs/features.yaml`, a line an encoder."""
    lines = []
    for name in encoders.built_in():
        one = declare(name)
        said = f"views: {one.views}, levels: {[list(level) for level in one.levels]}, embedding: {one.embedding}"
        said += f", stem: {list(one.stem)}" if one.stem else ""
        lines.append(f"{name}: {{{said}{', a_band: true' if one.a_band else ''}}}\n")
    return HEADER + "".join(lines)


if __name__ == "__main__":
    print(page(), end="")
