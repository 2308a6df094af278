"""What can be chosen about a fuser, checked without a deep-learning framework (a run's key needs it).

Defaults are the official SatDiFuser's (yurujaja/SatDiFuser at 51148cb, arXiv 2503.07890).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from encoders.bounds import Count, Few, NotNegative, Positive, Whole, Width
from encoders.errors import UserError, nearest, strict, validate


@strict
@dataclass(frozen=True)
class Plain:
    """Options of `none`, `mean` and `concat`: there are none."""


@strict
@dataclass(frozen=True)
class Components:
    """Options of `pca`, which is no fuser of maps: it widens the embedding that a linear probe reads.

    Attributes:
        components: kept, of the modules' means in all views; see `decoders.reduction`.
    """

    components: Count = 1024


@strict
@dataclass(frozen=True)
class Projection:
    """Options of every fuser that projects its inputs to one width.

    Attributes:
        projection_dim: width of the fused maps; a multiple of 4 x num_norm_groups.
        num_norm_groups: groups of every group norm.
        num_res_blocks: bottleneck blocks in a row, a projection.
    """

    projection_dim: Width = 384
    num_norm_groups: Width = 32
    num_res_blocks: Few = 1


@strict
@dataclass(frozen=True)
class GlobalWeights(Projection):
    """Options of `gw`."""


@strict
@dataclass(frozen=True)
class LocalWeights(Projection):
    """Options of `lw`.

    Attributes:
        slicing: `official` shows every module's block the first channels of its level (the official code
            never advances the offset, so most modules are never read); `fixed` shows it its own.
        temperature: divides the gate's logits.
    """

    slicing: Literal["official", "fixed"] = "official"
    temperature: Positive = 1.0


@strict
@dataclass(frozen=True)
class Experts(Projection):
    """Options of `moe`.

    Attributes:
        num_experts: experts a level.
        top_k: experts a sample is sent to after the warm-up. At 1 the one weight is constantly 1, so that the
            gate learns nothing more from the task.
        warmup_steps: call n (from 1; each view of a batch is one call) mixes all experts while
            n < warmup_steps. Officially 300 for classification, 500 before UPerNet.
        counter: which calls count: `official` those in evaluation too, `train_only` those in training. The
            latter is stored in the state dict, so that a restored model routes as it did.
        balance: `load` adds the divergence of the experts' use from uniform, over all levels, to the loss.
            The official code computes such a term with the wrong sign and does not use it: `none`.
        balance_weight: its coefficient.
    """

    num_experts: Few = 8
    top_k: Few = 2
    warmup_steps: Whole = 300
    counter: Literal["official", "train_only"] = "official"
    balance: Literal["none", "load"] = "none"
    balance_weight: NotNegative = 0.01


KINDS: dict[str, type[Plain] | type[Components] | type[Projection]] = {
    "none": Plain,
    "pca": Components,
    "mean": Plain,
    "concat": Plain,
    "gw": GlobalWeights,
    "lw": LocalWeights,
    "moe": Experts,
}
"""Options by name of the fuser."""


def parse(name: str, options: Mapping[str, object]) -> Plain | Components | Projection:
    """Options of the fuser `name` from plain data.

    Raises:
        UserError: no such fuser, an unknown key or a value that cannot be; names the key and the remedy.
    """
    if name not in KINDS:
        raise UserError(f"'fusion' is {name!r}; {nearest(name, KINDS)}")
    where = f"fusion {name}"
    parsed = validate(KINDS[name], dict(options), where)
    if isinstance(parsed, Projection):
        _check_projection(parsed, where)
    if isinstance(parsed, Experts):
        _check_experts(parsed, where)
    return parsed


def _check_projection(options: Projection, where: str) -> None:
    unit = 4 * options.num_norm_groups
    if options.projection_dim % unit:
        raise UserError(
            f"{where}: 'projection_dim' is {options.projection_dim}; choose a multiple of {unit} "
            f"(4 x num_norm_groups), or fewer groups"
        )


def _check_experts(options: Experts, where: str) -> None:
    if options.top_k > options.num_experts:
        raise UserError(
            f"{where}: 'top_k' is {options.top_k} of {options.num_experts} experts; "
            f"choose {options.num_experts} or fewer"
        )
