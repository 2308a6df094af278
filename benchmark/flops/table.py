"""Operations of encoders and decoders by what they are: looked up in `configs/flops.yaml`, else counted now.

`python -m benchmark.flops.needed` writes the file: whatever the experiments need. Looking up imports no deep-learning
framework; counting what the file lacks does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import configs
from benchmark.features import shapes
from benchmark.flops.operations import Operations
from benchmark.flops.parts import Decoding, Frozen, Trained
from encoders import satdifuser_options
from encoders.bands import Band
from encoders.errors import strict, validate
from encoders.spec import EncoderCard

FILE = configs.ROOT / "flops.yaml"
Numbers = tuple[float, float]


@strict
@dataclass(frozen=True)
class _Encoder:
    """What the file says of an encoder; each pair convolutions and products, 10^9 operations."""

    body: Numbers
    stem: Numbers = (0, 0)

    def frozen(self) -> Frozen:
        return Frozen(Operations(*self.stem), Operations(*self.body))


@strict
@dataclass(frozen=True)
class _Decoder:
    """What the file says of a decoder for no class, or of what a class adds."""

    forward: Numbers
    step: Numbers
    parameters: int
    dense: Numbers = (0, 0)

    def trained(self) -> Trained:
        return Trained(Operations(*self.forward), Operations(*self.step), self.parameters, Operations(*self.dense))


@strict
@dataclass(frozen=True)
class _File:
    frozen: dict[str, dict[str, _Encoder]] = field(default_factory=dict)
    trained: dict[str, tuple[_Decoder, _Decoder]] = field(default_factory=dict)


@dataclass(frozen=True)
class Counts:
    """What is counted.

    Attributes:
        encoders: by name, with options that differ from its file's, and size (`at`).
        decoders: by key, without classes, and what each class adds.
    """

    encoders: dict[str, dict[str, Frozen]]
    decoders: dict[str, tuple[Trained, Trained]]


@cache
def written() -> Counts:
    """What the file says."""
    read = validate(_File, configs.load(FILE), "configs/flops.yaml")
    return Counts(
        {name: {size: one.frozen() for size, one in sizes.items()} for name, sizes in read.frozen.items()},
        {key: (base.trained(), each.trained()) for key, (base, each) in read.trained.items()},
    )


def frozen(card: EncoderCard, bands: Sequence[Band], side: int) -> Frozen:
    """An encoder's operations on an image of `side` pixels a side.

    Raises:
        UserError: the encoder can't be built so.
    """
    known = written().encoders.get(named(card), {}).get(at(side, bands))
    if known is not None:
        return known
    from benchmark.flops import counting

    return counting.frozen(card, bands, side)


def trained(decoding: Decoding, classes: int) -> Trained:
    """A decoder's operations on an image of features.

    Raises:
        UserError: the fuser has nothing to fuse there.
    """
    known = written().decoders.get(decoding.key)
    if known is None:
        from benchmark.flops import counting

        known = counting.trained(decoding)
    return known[0].and_classes(classes, known[1])


def named(card: EncoderCard) -> str:
    """An encoder as the file names it: by options that change how much it computes."""
    return shapes.named(shapes.with_files(card, satdifuser_options.WHAT))


def at(side: int, bands: Sequence[Band]) -> str:
    """An image's sides and bands, as the file names them."""
    return f"{side}x{len(bands)}"


HEADER = """\
# uv run evaluate.py --experiment fusion_ablation --dry-run --on h200
# 10^9 operations an image, convolutions and matrix products apart, a multiplication and an addition counted as two, so
# that a plan needs no framework. Written by `python -m benchmark.flops.needed` for whatever the experiments ask for,
# counted by PyTorch on no data; what is missing is counted when it is asked for.
# frozen: by encoder (behind its name, options that differ from its file's and change how much is computed), side in
# pixels and bands; a stem is kept for every image. trained: a decoder by cells a side and modules of each level, views,
# fuser and head, without classes, and what each class adds; a step is a training step, dense what it takes more while a
# mixture of experts warms up.
"""


def page(counts: Counts) -> str:
    """`configs/flops.yaml`."""
    lines = [HEADER, "frozen:\n" if counts.encoders else "frozen: {}\n"]
    for name, by_size in counts.encoders.items():
        lines.append(f"  {name}:\n")
        for size, one in by_size.items():
            stem = f"stem: {_pair(one.stem)}, " if one.stem.gflops else ""
            lines.append(f"    {size}: {{{stem}body: {_pair(one.body)}}}\n")
    lines.append("trained:\n" if counts.decoders else "trained: {}\n")
    for key, both in counts.decoders.items():
        lines.append(f'  "{key}":\n')
        lines += [f"    - {_decoder(one)}\n" for one in both]
    return "".join(lines)


def _decoder(one: Trained) -> str:
    dense = f", dense: {_pair(one.dense)}" if one.dense.gflops else ""
    return f"{{forward: {_pair(one.forward)}, step: {_pair(one.step)}, parameters: {one.parameters}{dense}}}"


def _pair(one: Operations) -> str:
    return f"[{_rounded(one.convolutions)}, {_rounded(one.products)}]"


def _rounded(number: float) -> str:
    """Five digits, in a notation that YAML takes for a number."""
    return repr(float(f"{number:.5g}"))
