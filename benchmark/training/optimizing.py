"""How weights move: a protocol's optimiser, and the rate it has at each step."""

from collections.abc import Iterable

import torch
from torch import Tensor

from benchmark.protocol import Protocol
from decoders.schedule import multistep, official_learning_rate, one_cycle, warmup_cosine


def optimizer(parameters: Iterable[Tensor], protocol: Protocol, rate: float) -> torch.optim.Optimizer:
    """The protocol's optimiser, with PyTorch's defaults for what the protocol doesn't name.

    On a GPU a step is one kernel for all parameters; on the CPU it is the plain arithmetic, whose bits records hold.
    """
    own = list(parameters)
    fused = True if all(one.device.type == "cuda" for one in own) else None
    decay = protocol.weight_decay
    if protocol.optimizer == "adam":
        return torch.optim.Adam(own, lr=rate, weight_decay=decay, fused=fused)
    if protocol.optimizer == "sgd":
        return torch.optim.SGD(own, lr=rate, momentum=protocol.momentum, weight_decay=decay, fused=fused)
    return torch.optim.AdamW(own, lr=rate, weight_decay=decay, fused=fused)


class Pace:
    """The rates of a training.

    Attributes:
        steps: in all; steps_per_epoch: of each epoch.
        peak: the member's learning rate, as the protocol scales it.
    """

    def __init__(self, protocol: Protocol, rate: float, steps: int, steps_per_epoch: int) -> None:
        self.protocol, self.steps, self.steps_per_epoch = protocol, steps, steps_per_epoch
        self.peak = rate * protocol.rate_factor

    def set(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Give the optimiser what `step` (from 0) is made with."""
        rate, beta = self._rate_and_beta(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
            if beta is not None and "betas" in group:
                group["betas"] = (beta, group["betas"][1])

    def _rate_and_beta(self, step: int) -> tuple[float, float | None]:
        rules, peak = self.protocol, self.peak
        match rules.schedule:
            case "warmup_cosine":
                return warmup_cosine(step, self.steps, rules.warmup_fraction, peak), None
            case "warmup_cosine_by_epoch":
                rate = official_learning_rate(
                    step // self.steps_per_epoch,
                    warmup_epochs=rules.warmup_epochs,
                    total_epochs=self.steps // self.steps_per_epoch,
                    max_lr=peak,
                    min_lr=rules.final_rate,
                    init_lr=rules.initial_rate,
                )
                return rate, None
            case "multistep":
                return multistep(step, self.steps, rules.milestones, peak), None
            case "one_cycle":
                return one_cycle(step, self.steps, peak)
            case _:
                return peak, None
