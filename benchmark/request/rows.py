"""Rows of a leaderboard: an encoder, and the fuser trained on its maps, named `ENCODER` or `ENCODER-FUSION`.

`satdifuser-lw-fixed` is encoder `satdifuser` with the fuser of `configs/fusion/lw-fixed.yaml`. A fuser is named
there with all its options; which of them the protocol fixes (width, norm groups) is added by `fuser_options`.
A family (`benchmark.data.families`) is named like an encoder and is another one on each dataset.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import configs
from benchmark.data import families
from benchmark.protocol import Protocol
from decoders.fusion_options import KINDS, Projection, parse
from encoders.bounds import Free
from encoders.errors import UserError, nearest, strict, validate
from encoders.spec import EncoderCard

Kind = Literal["none", "pca", "mean", "concat", "gw", "lw", "moe"]


@strict
@dataclass(frozen=True)
class Fusion:
    """A fuser as a row names it: one YAML each in `configs/fusion/`.

    Attributes:
        kind: which fuser of `decoders.fusion`.
        source: the paper or code it is from; `ours` where we changed it.
        options: of the fuser; one that depends on the task is given by task.
    """

    name: str
    title: str
    kind: Kind
    source: str
    options: Free


@dataclass(frozen=True)
class Row:
    """A row as it was asked for.

    Attributes:
        given: what --encoder takes for it: a name or the path of an encoder's file, with its fuser.
        name: the encoder's or family's.
        cards: the encoder by dataset: the same everywhere, except a family's.
    """

    given: str
    name: str
    title: str
    fusion: Fusion
    cards: Mapping[str, EncoderCard]


def fusion_names() -> list[str]:
    """The fusers there are."""
    return sorted(path.stem for path in (configs.ROOT / "fusion").glob("*.yaml"))


def load_fusion(name: str) -> Fusion:
    """A fuser's description, without Hydra; one of `fusion_names`."""
    return validate(Fusion, configs.load(configs.ROOT / "fusion" / f"{name}.yaml"), f"fusion {name}")


def split(rows: Sequence[str], fusions: Sequence[str]) -> list[tuple[str, str]]:
    """(encoder, fusion) of each row.

    Args:
        rows: `ENCODER`, which takes each of `fusions`, or `ENCODER-FUSION`, which has its own; a family is
            named as an encoder.

    Raises:
        UserError: an unknown encoder or fusion, or a row named twice.
    """
    found = []
    known = fusion_names()
    for row in rows:
        encoder, fusion = _parts(row, known)
        if not families.is_named(encoder):
            raise UserError(f"no encoder '{encoder}'; {nearest(encoder, families.names())}")
        found += [(encoder, name) for name in ([fusion] if fusion else fusions)]
    for encoder, fusion in found:
        if fusion not in known:
            raise UserError(f"{encoder}: no fusion '{fusion}'; {nearest(fusion, known)}")
        if found.count((encoder, fusion)) > 1:
            raise UserError(f"row {encoder}-{fusion} is named twice; name it once")
    return found


def _parts(row: str, known: Sequence[str]) -> tuple[str, str]:
    """Encoder and fusion of a row; of libraries and paths the name may hold hyphens, so only a fuser's name ends it."""
    for name in sorted(known, key=len, reverse=True):
        if row.endswith(f"-{name}") and row not in families.names():
            return row.removesuffix(f"-{name}"), name
    if families.is_named(row):
        return row, ""
    encoder, _, fusion = row.partition("-")
    return (encoder, fusion) if families.is_named(encoder) else (row, "")


def check_own_name(card: EncoderCard) -> None:
    """Check the name of an encoder of one's own.

    Raises:
        UserError: it is a family's, or reads as a row's.
    """
    if card.home and (
        card.name in families.families() or card.name.endswith(tuple(f"-{fusion}" for fusion in fusion_names()))
    ):
        raise UserError(f"encoder {card.name}: the name is a family's or a row's; give yours a name of its own")


def check_distinct(rows: Sequence[Row]) -> None:
    """Check that no two rows are one: a family and its encoder, or two names of one encoder, where no dataset tells
    them apart. A leaderboard with the same numbers twice would shift the ranks of all others.

    Raises:
        UserError: names both; also two encoders of one name, whose records couldn't be told apart.
    """
    for one, other in itertools.combinations(rows, 2):
        if one.fusion.name != other.fusion.name:
            continue
        if one.cards == other.cards:
            raise UserError(f"{one.given} and {other.given} are one encoder on every dataset asked for; name one")
        if one.name == other.name:
            raise UserError(f"{one.given} and {other.given} are both called {one.name}; give one another name")


def options_for(fusion: Fusion, task: str) -> dict[str, object]:
    """A fuser's options for a task, where they depend on it."""
    return {key: value.get(task) if isinstance(value, dict) else value for key, value in fusion.options.items()}


def fuser_options(fusion: Fusion, task: str, protocol: Protocol) -> dict[str, object]:
    """Every option of a fuser under a protocol, with its kind: what a run's key holds.

    Raises:
        UserError: an unknown option or a value that cannot be; names it.
    """
    given = options_for(fusion, task)
    if issubclass(KINDS[fusion.kind], Projection):
        fixed = {"projection_dim": protocol.fuser_width, "num_norm_groups": protocol.fuser_norm_groups}
        for key in given.keys() & fixed.keys():
            raise UserError(f"fusion {fusion.name}: '{key}' is the protocol's; set protocol.fuser_width or its groups")
        given |= fixed
    return {"kind": fusion.kind} | asdict(parse(fusion.kind, given))
