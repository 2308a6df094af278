"""Shapes of every built-in encoder's features, known without building it: what a plan counts bytes by.

`python -m benchmark.features.shapes > configs/features.yaml` writes them, from the encoders' own words; also of the
encoders with other options that experiments ask for.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING
from unittest import mock

import configs
import encoders
from benchmark.features.tiers import Shapes
from encoders import satdifuser_options
from encoders.bands import Band
from encoders.errors import UserError, strict, validate
from encoders.spec import EncoderCard, Weights

if TYPE_CHECKING:
    from encoders.base import Encoder

HEADER = """\
# uv run evaluate.py --encoder satdifuser --dataset m-eurosat --dry-run
# What features of each encoder look like, so that a plan knows their bytes without building a model.
# Written by `python -m benchmark.features.shapes > configs/features.yaml` from what the built encoders declare:
# views, a level's stride in pixels and the channels of its modules, width of the embedding, (stride, channels) of a
# stem that is no image. Behind a name: options that differ from its file's, as experiments ask for them; of SatDiFuser
# those that change a level, for its views are as many as the steps it saves.
"""
FULL_SIZE = "unet_random"
"""Whose option `architecture` gives Stable Diffusion 2.1's sizes, which those that read its files have too."""


@strict
@dataclass(frozen=True)
class Declared:
    """What a built encoder says of its features.

    Attributes:
        levels: stride and the channels of each module, finest first.
        stem: (stride, channels) a view; None where the stem is the image.
        a_band: True where channels and embedding are those of one input band.
    """

    views: int
    levels: tuple[tuple[int, ...], ...]
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
            tuple((self.views, times * sum(modules), -(-side // by), -(-side // by)) for by, *modules in self.levels),
            times * self.embedding,
        )

    def modules(self, bands: int) -> tuple[tuple[int, ...], ...]:
        """Channels of each module, a level each."""
        times = bands if self.a_band else 1
        return tuple(tuple(times * channels for channels in modules) for _, *modules in self.levels)


@cache
def declared() -> dict[str, Declared]:
    """What `configs/features.yaml` says, by encoder."""
    plain = configs.load(configs.ROOT / "features.yaml")
    return {name: validate(Declared, one, f"configs/features.yaml: {name}") for name, one in plain.items()}


def shapes(card: EncoderCard, side: int, bands: int) -> Shapes | None:
    """The shapes of one image's way through an encoder; None of one that is not built in, or whose options aren't
    among those written down."""
    known = of(card)
    return known.shapes(side, bands) if known else None


def of(card: EncoderCard) -> Declared | None:
    """What is written down of an encoder, or was asked by `known`; None where nothing is, or where options can't be."""
    name = named(shaped(card))
    found = declared().get(name) or _asked.get(name)
    if found is None or card.adapter != "satdifuser":
        return found
    try:
        return replace(found, views=satdifuser_options.parse(card.options, card.name).views)
    except UserError:
        return None


_asked: dict[str, Declared] = {}


def known(card: EncoderCard) -> bool:
    """Whether `of` knows an encoder. One that is built in is built to be asked, if need be, which takes seconds.

    Raises:
        UserError: it can't be built with these options.
    """
    name = named(shaped(card))
    if name and of(card) is None:
        _asked[name] = declare(card)
    return bool(name)


def shaped(card: EncoderCard) -> EncoderCard:
    """An encoder with its file's options where no shape hangs on them, but the number of views."""
    return with_files(card, (*satdifuser_options.WHAT, *satdifuser_options.STEPS))


def with_files(card: EncoderCard, options: Iterable[str]) -> EncoderCard:
    """A SatDiFuser with its file's values of some options; any other encoder as it is."""
    if card.adapter != "satdifuser" or card.home or card.name not in encoders.built_in():
        return card
    ours = encoders.card(card.name).options
    kept = {key: value for key, value in card.options.items() if key not in options}
    return replace(card, options=kept | {key: ours[key] for key in options if key in ours})


def named(card: EncoderCard) -> str:
    """An encoder by its name, and behind it options that differ from its file's; empty for one that is not built in."""
    if card.home or card.name not in encoders.built_in():
        return ""
    ours, own = _flat(encoders.card(card.name).options), _flat(card.options)
    differing = sorted(key for key in ours | own if ours.get(key, ...) != own.get(key, ...))
    told = (f"{key}={json.dumps(own[key]).replace(' ', '') if key in own else 'absent'}" for key in differing)
    return " ".join((card.name, *told))


def _flat(options: Mapping[str, object], before: str = "") -> dict[str, object]:
    """Options without nesting, lists for tuples."""
    found: dict[str, object] = {}
    for key, value in options.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{before}{key}.")
        else:
            found[before + key] = list(value) if isinstance(value, tuple) else value
    return found


def declare(card: EncoderCard) -> Declared:
    """What an encoder says of itself once built, with weights nobody drew."""
    built = undrawn(card)
    times = built.channels if built.by_band else 1
    return Declared(
        views=len(built.views),
        levels=tuple((level.stride, *(width // times for _, width in level.modules)) for level in built.levels),
        embedding=built.embedding_dim // times,
        # The VAE's four channels, an eighth of the image each way (`encoders.satdifuser`).
        stem=(8, 4) if card.adapter == "satdifuser" else None,
        a_band=built.by_band,
    )


def undrawn(card: EncoderCard, bands: Iterable[Band] | None = None, side: int | None = None) -> "Encoder":
    """An encoder of full size whose weights nobody drew or loaded, for what doesn't depend on them."""
    options = dict(card.options)
    if card.adapter == "satdifuser" and not card.weights.random:
        options["architecture"] = encoders.card(FULL_SIZE).options["architecture"]
    plain = replace(card, weights=Weights(random=True), options=options)
    with _undrawn():
        return encoders.build(plain, bands=None if bands is None else list(bands), image_size=side)


@contextlib.contextmanager
def _undrawn() -> Iterator[None]:
    """Leave new weights as memory happens to be: drawing a billion numbers that nobody reads takes minutes."""
    from torch import nn

    with contextlib.ExitStack() as stack:
        for drawing in (one for one in dir(nn.init) if one.endswith("_") and not one.startswith("_")):
            stack.enter_context(mock.patch.object(nn.init, drawing, lambda tensor, *_, **__: tensor))
        yield


def page(cards: Iterable[EncoderCard]) -> str:
    """`configs/features.yaml`, a line an encoder."""
    lines = []
    for card in cards:
        one = declare(card)
        said = f"views: {one.views}, levels: {[list(level) for level in one.levels]}, embedding: {one.embedding}"
        said += f", stem: {list(one.stem)}" if one.stem else ""
        lines.append(f"{named(card)}: {{{said}{', a_band: true' if one.a_band else ''}}}\n")
    return HEADER + "".join(lines)


def everyone() -> list[EncoderCard]:
    """The built-in encoders, and those with other options that experiments ask for, each once, by name."""
    from benchmark.request.asked import of_all_experiments

    cards = [encoders.card(name) for name in encoders.built_in()]
    cards += [shaped(card) for request in of_all_experiments() for row in request.rows for card in row.cards.values()]
    ordered = sorted(cards, key=named)
    return [next(same) for name, same in groupby(ordered, key=named) if name]


if __name__ == "__main__":
    print(page(everyone()), end="")
