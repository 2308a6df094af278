"""Operations of encoders and decoders, counted by PyTorch while they run on no data (the meta device).

No weights and no arithmetic are needed, so a model of any size is counted in seconds. What is counted stands in
`configs/flops.yaml` (`benchmark.flops.table`), so that a plan needs no framework.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmark.features.shapes import undrawn
from benchmark.flops.operations import Operations
from benchmark.flops.table import Decoding, Frozen, Trained
from decoders import moe
from decoders.decoder import Decoder, linear_decoder, pooled_decoder, upernet_decoder
from decoders.fuser import Fuser
from decoders.fusion import build_fuser
from decoders.moe import LevelExperts, MixtureOfExperts
from encoders.bands import Band
from encoders.base import Level
from encoders.satdifuser import SatDiFuser
from encoders.spec import EncoderCard

BATCH = 2
"""Images counted at once: batch norm needs two."""


def frozen(card: EncoderCard, bands: Sequence[Band], side: int) -> Frozen:
    """Operations of an encoder on an image of `side` pixels a side.

    Raises:
        UserError: the encoder can't be built so.
    """
    encoder = undrawn(card, bands, side).to("meta")
    image = torch.empty(1, encoder.channels, side, side, device="meta")
    # Past the public methods, which ask whether pixels are finite.
    with torch.no_grad():
        if isinstance(encoder, SatDiFuser):
            stem, at_stem = _walked(encoder, image)
        else:
            stem, at_stem = counted(lambda: encoder._stem(image))
        _, at_body = counted(lambda: encoder._body(stem))
    return Frozen(at_stem, at_body)


def _walked(encoder: SatDiFuser, image: Tensor) -> tuple[Tensor, Operations]:
    """A stem and its operations: of its moves, which are all alike, one is counted."""
    latents, at_latents = counted(lambda: encoder.encode(image))
    stem = latents[:, None].expand(-1, len(encoder.views), -1, -1, -1)
    moves = 0 if encoder.options.mode == "generation" else len(encoder.steps) - 1
    if not moves:
        return stem, at_latents
    _, at_move = counted(lambda: encoder.predict(latents, encoder.steps[0]))
    return stem, at_latents + moves * at_move


def trained(decoding: Decoding) -> tuple[Trained, Trained]:
    """Operations of a decoder on an image of features, without classes, and what each class adds.

    Raises:
        UserError: the fuser has nothing to fuse there.
    """
    one, two = _trained(decoding, 1), _trained(decoding, 2)
    each = two.and_classes(-1, one)
    return one.and_classes(-1, each), each


def counted(run: Callable[[], Any]) -> tuple[Any, Operations]:
    """What a call gives, and its operations."""
    with FlopCounterMode(display=False) as counter:
        found = run()
    by_kind = counter.get_flop_counts().get("Global", {})
    total = counter.get_total_flops()
    convolutions = sum(count for kind, count in by_kind.items() if "convolution" in str(kind))
    return found, Operations(convolutions / 1e9, (total - convolutions) / 1e9)


def _trained(decoding: Decoding, classes: int) -> Trained:
    decoder = _decoder(decoding, classes)
    maps = tuple(
        torch.empty(BATCH, decoding.views, sum(level.modules), level.side, level.side, device="meta")
        for level in decoding.levels
    )
    size = None if decoding.head == "pooled" else (decoding.levels[0].side,) * 2

    def step() -> None:
        decoder(maps, size).sum().backward()

    def both(experts: int) -> tuple[Operations, Operations]:
        with _asking(experts):
            with torch.no_grad():
                _, forward = counted(lambda: decoder(maps, size))
            _, learnt = counted(step)
        return forward * (1 / BATCH), learnt * (1 / BATCH)

    parameters = sum(parameter.numel() for parameter in decoder.parameters())
    if not isinstance(decoder.fuser, MixtureOfExperts):
        return Trained(*both(0), parameters)
    forward, learnt = both(decoder.fuser.options.top_k)
    _, dense = both(decoder.fuser.options.num_experts)
    return Trained(forward, learnt, parameters, dense + -1 * learnt)


def _decoder(decoding: Decoding, classes: int) -> Decoder:
    # Strides only have to be in the order of the grids.
    levels = [
        Level(number + 1, tuple((f"{number}.{at}", width) for at, width in enumerate(level.modules)))
        for number, level in enumerate(decoding.levels)
    ]
    views = tuple(str(view) for view in range(decoding.views))
    kept = {key: value for key, value in decoding.fuser.items() if key != "kind"}
    with torch.device("meta"):
        fuser: Fuser = build_fuser(str(decoding.fuser["kind"]), levels, views, kept)
        if decoding.head == "pooled":
            return pooled_decoder(fuser, classes)
        if decoding.head == "linear":
            return linear_decoder(fuser, classes)
        return upernet_decoder(fuser, classes, channels=decoding.channels, dropout=0.0, generator=torch.Generator())


@contextmanager
def _asking(experts: int) -> Iterator[None]:
    """Let a mixture send every input to its first experts: which ones a gate picks is data, and there are none."""

    def mix(self: LevelExperts, rows: Tensor, weights: Tensor, chosen: object) -> Tensor:
        mixed = rows.new_zeros(len(rows), self.width, *rows.shape[2:])
        for number, expert in enumerate(list(self.experts)[:experts]):
            # Weighed, for the gate has a backward pass too.
            mixed = mixed + weights[:, number].view(-1, 1, 1, 1) * expert(rows)
        return mixed

    nobody_asks = mock.patch.object(moe, "chosen_rows", lambda routings, dense: [None] * len(routings))
    with mock.patch.object(LevelExperts, "_mix", mix), nobody_asks:
        yield
