"""Operations of encoders and decoders, counted by PyTorch while they run on no data (the meta device).

No weights and no arithmetic are needed, so a model of any size is counted in seconds. What is counted stands in
`configs/flops.yaml` (`benchmark.flops.table`), so that a plan needs no framework.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmark.features.shapes import undrawn
from benchmark.flops.operations import Operations
from benchmark.flops.parts import Decoding, Frozen, Trained
from decoders import moe
from decoders.decoder import Decoder, linear_decoder, pooled_decoder, upernet_decoder
from decoders.fuser import Fuser
from decoders.fusion import build_fuser
from decoders.moe import LevelExperts, MixtureOfExperts
from encoders.bands import Band
from encoders.base import Level
from encoders.satdifuser import VAE_FACTOR, SatDiFuser
from encoders.spec import EncoderCard

BATCH = 2
"""Images counted at once: batch norm needs two."""


def frozen(card: EncoderCard, bands: Sequence[Band], side: int) -> Frozen:
    """Operations of an encoder on an image of `side` pixels a side.

    Raises:
        UserError: the encoder can't be built so.
    """
    encoder = undrawn(card, bands, side).to("meta")
    if isinstance(encoder, SatDiFuser):
        return _walked(encoder, side)
    image = torch.empty(1, encoder.channels, side, side, device="meta")
    # Past the public methods, which ask whether pixels are finite.
    with torch.no_grad():
        stem, at_stem = counted(lambda: encoder._stem(image))
        _, at_body = counted(lambda: encoder._body(stem))
    return Frozen(at_stem, at_body)


def _walked(encoder: SatDiFuser, side: int) -> Frozen:
    """Of a walk, whose moves are all alike, as its views are: one of each is counted."""
    parts = _Parts(encoder, side)
    moves = 0 if encoder.options.mode == "generation" else len(encoder.steps) - 1
    stem = parts.once("latents") + (moves * parts.once("move") if moves else Operations())
    return Frozen(stem, len(encoder.views) * parts.once("view"))


@dataclass(frozen=True)
class _Parts:
    """The parts of a SatDiFuser at a side, each counted once for all whose network is the same."""

    encoder: SatDiFuser
    side: int

    @torch.no_grad()
    def once(self, part: Literal["latents", "move", "view"]) -> Operations:
        """Operations of a part, on one image."""
        encoder, options = self.encoder, self.encoder.options
        hangs_on = {"latents": None, "move": options.guidance is None, "view": tuple(encoder._names)}[part]
        key = (part, options.sizes, self.side, hangs_on)
        if key not in _counted:
            latent = self.side // VAE_FACTOR
            image = torch.empty(1, encoder.channels, self.side, self.side, device="meta")
            latents = torch.empty(1, encoder.unet.config.in_channels, latent, latent, device="meta")
            runs = {
                "latents": lambda: encoder.encode(image),
                "move": lambda: encoder.predict(latents, encoder.steps[0]),
                "view": lambda: encoder._body(latents[:, None].expand(-1, len(encoder.views), -1, -1, -1)),
            }
            _, work = counted(runs[part])
            _counted[key] = work * (1 / len(encoder.views)) if part == "view" else work
        return _counted[key]


_counted: dict[tuple[object, ...], Operations] = {}


def trained(decoding: Decoding) -> tuple[Trained, Trained]:
    """Operations of a decoder on an image of features, without classes, and what each class adds.

    Raises:
        UserError: the fuser has nothing to fuse there.
    """
    decoders = [_decoder(decoding, classes) for classes in (1, 2)]
    # Before norms are taken out.
    one, two = (sum(parameter.numel() for parameter in decoder.parameters()) for decoder in decoders)
    fused, fusing = _fusing(decoding, decoders[0].fuser)
    first, second = (_heading(decoding, decoder, fused) for decoder in decoders)
    each = replace(second.and_classes(-1, first), parameters=two - one)
    head = first.and_classes(-1, each)
    whole = Trained(fusing.forward + head.forward, fusing.step + head.step, one - each.parameters, fusing.dense)
    return whole, each


def counted(run: Callable[[], Any]) -> tuple[Any, Operations]:
    """What a call gives, and its operations."""
    with FlopCounterMode(display=False) as counter:
        found = run()
    by_kind = counter.get_flop_counts().get("Global", {})
    total = counter.get_total_flops()
    convolutions = sum(count for kind, count in by_kind.items() if "convolution" in str(kind))
    return found, Operations(convolutions / 1e9, (total - convolutions) / 1e9)


def _fusing(decoding: Decoding, fuser: Fuser) -> tuple[list[Tensor], Trained]:
    """Fused maps and what a fuser takes for them, on an image."""
    maps = [
        torch.empty(BATCH, decoding.views, sum(level.modules), level.side, level.side, device="meta")
        for level in decoding.levels
    ]
    if not isinstance(fuser, MixtureOfExperts):
        return _both_ways(fuser, lambda: fuser(maps))
    with _asking(fuser.options.num_experts):
        _, dense = _both_ways(fuser, lambda: fuser(maps))
    with _asking(fuser.options.top_k):
        fused, sparse = _both_ways(fuser, lambda: fuser(maps))
    return fused, replace(sparse, dense=dense.step + -1 * sparse.step)


def _heading(decoding: Decoding, decoder: Decoder, fused: Sequence[Tensor]) -> Trained:
    """What neck and head take on fused maps of an image."""
    size = () if decoding.head == "pooled" else ((decoding.levels[0].side,) * 2,)
    seen = [one.detach().requires_grad_(one.requires_grad) for one in fused]
    rest = nn.ModuleList(one for one in (decoder.neck, decoder.head) if one is not None)

    def predict() -> list[Tensor]:
        return [decoder.head(seen if decoder.neck is None else decoder.neck(seen), *size)]

    return _both_ways(rest, predict)[1]


def _both_ways(part: nn.Module, forward: Callable[[], list[Tensor]]) -> tuple[list[Tensor], Trained]:
    """What a part puts out, and its operations on an image, there and back; its parameters are not counted."""
    _without_norms(part)
    out, there = counted(forward)
    learnt = [one for one in out if one.requires_grad]
    _, back = counted(lambda: torch.autograd.backward(learnt, [torch.empty_like(one) for one in learnt]))
    # For the next count, which might have to go back to less.
    part.zero_grad()
    return out, Trained(there * (1 / BATCH), (there + back) * (1 / BATCH), 0)


def _without_norms(part: nn.Module) -> None:
    """Take out what is no convolution and no product, and on no data takes most of the time."""
    for module in list(part.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GroupNorm | nn.BatchNorm2d | nn.ReLU):
                setattr(module, name, nn.Identity())


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
