"""Learning rates as pure functions of the epoch or step."""

import math
from collections.abc import Sequence


def official_learning_rate(
    epoch: int,
    *,
    warmup_epochs: int = 5,
    total_epochs: int = 40,
    max_lr: float = 0.01,
    min_lr: float = 1e-5,
    init_lr: float = 2e-5,
) -> float:
    """The official SatDiFuser's rate, constant within `epoch` (from 0): linear warm-up, then a cosine.

    epoch < warm-up: init + (max - init) epoch / warmup; else
    min + (max - min) (1 + cos(pi (epoch - warmup) / (total - warmup))) / 2, and `min_lr` from the last on.
    """
    if not 0 <= warmup_epochs < total_epochs:
        raise ValueError(f"warm-up of {warmup_epochs} epochs must be shorter than all {total_epochs}")
    if epoch < warmup_epochs:
        return init_lr + (max_lr - init_lr) * epoch / warmup_epochs
    done = (min(epoch, total_epochs) - warmup_epochs) / (total_epochs - warmup_epochs)
    return min_lr + (max_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * done))


def warmup_cosine(step: int, total: int, warmup_fraction: float, peak: float) -> float:
    """The rate of `step` (from 0) of `total`: linear up to `peak`, which the warm-up's last step has, then a
    cosine that would reach 0 at step `total`. The warm-up takes round(warmup_fraction x total) steps."""
    if total < 1 or not 0 <= step <= total or not 0 <= warmup_fraction < 1:
        raise ValueError(f"step {step} of {total} with warm-up fraction {warmup_fraction} is no schedule")
    warmup = min(round(warmup_fraction * total), total - 1)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def multistep(step: int, total: int, milestones: Sequence[float], peak: float, factor: float = 0.1) -> float:
    """`peak`, times `factor` from each step int(total x milestone) on (PyTorch's MultiStepLR, stepped every step)."""
    return peak * factor ** sum(step >= int(total * at) for at in milestones)


ONE_CYCLE_FINAL = 1 / 25 / 1e4
ONE_CYCLE_BETAS = (0.85, 0.95)
"""PyTorch's defaults: the last rate as a share of the peak, and Adam's first beta from the peak to the end."""


def one_cycle(step: int, total: int, peak: float) -> tuple[float, float]:
    """Rate and Adam's first beta of `step` (from 0): PyTorch's OneCycleLR without a rise (pct_start 0).

    It takes up its cosine one step late, so that the first step has a rate just under `peak`.
    """
    share = 0.5 * (1 + math.cos(math.pi * (step + 1) / total))
    low, high = ONE_CYCLE_BETAS
    least = peak * ONE_CYCLE_FINAL
    return least + (peak - least) * share, high + (low - high) * share
