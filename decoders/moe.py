"""SatDiFuser's mixture of experts: at each level a gate sends every view of an image to a few blocks.

Experts see the full concatenation of a level's modules; views are averaged at the end (arXiv 2503.07890).
Parameter names, layout and the warm-up are the official code's. All views go through an expert together, and
an expert that nobody picks is not run, so that its gradient stays None and an optimiser leaves it untouched.
Who was picked only the device knows: after the warm-up a call asks it once, for all levels together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from decoders.blocks import bottlenecks
from decoders.fuser import Fuser
from decoders.fusion_options import Experts
from encoders.base import Level

SMALLEST_TEMPERATURE = 1e-8
"""Only keeps a temperature of exactly 0 from dividing by it."""


@dataclass(frozen=True)
class Routing:
    """Where a level's gate sends its inputs; leading dimensions are those of the input.

    Attributes:
        logits: (..., E) pooled output of the gate's convolution, before the temperature.
        probabilities: (..., E) softmax over all experts.
        top_index, top_weight: (..., k) the best k experts, and the softmax over their logits alone.
    """

    logits: Tensor
    probabilities: Tensor
    top_index: Tensor
    top_weight: Tensor


class LevelExperts(nn.Module):
    """The experts of one level and their gate."""

    def __init__(self, channels: int, options: Experts) -> None:
        super().__init__()
        self.top_k = options.top_k
        self.width = options.projection_dim
        self.experts = nn.ModuleList(bottlenecks(channels, options) for _ in range(options.num_experts))
        self.gate_network = nn.Sequential(nn.Conv2d(channels, options.num_experts, 3, padding=1))
        self.temperature = nn.Parameter(torch.ones(()))

    def route(self, x: Tensor) -> Routing:
        """The gate's verdict on (..., C, H, W).

        The temperature is learned and may cross zero, where dividing by it would turn the ranking over: its
        absolute value counts. For positive values that is the official arithmetic.
        """
        logits = self.gate_network(x.flatten(0, -4)).mean((2, 3)).unflatten(0, x.shape[:-3])
        scaled = logits / self.temperature.abs().clamp(min=SMALLEST_TEMPERATURE)
        top = scaled.topk(self.top_k, dim=-1)
        return Routing(logits, scaled.softmax(-1), top.indices, top.values.softmax(-1))

    def forward(self, x: Tensor, routing: Routing, dense: Sequence[bool], chosen: Sequence[Tensor] | None) -> Tensor:
        """Mix the experts and average over the views.

        Args:
            x: (B, views, C, H, W) float32.
            routing: of `x`.
            dense: for each view, True to mix all experts, False for the best k.
            chosen: as `chosen_rows` gives them; None where every view is dense.

        Returns:
            (B, width, H, W).
        """
        batch, views = x.shape[:2]
        mixed = self._mix(x.flatten(0, 1), _weights(routing, dense), chosen)
        return mixed.unflatten(0, (batch, views)).mean(1)

    def _mix(self, rows: Tensor, weights: Tensor, chosen: Sequence[Tensor] | None) -> Tensor:
        """Weighted sum of the experts: rows (R, C, H, W), weights (R, E), and which rows each expert sees."""
        mixed = rows.new_zeros(len(rows), self.width, *rows.shape[2:])
        for number, expert in enumerate(self.experts):
            here = None if chosen is None else chosen[number]
            if here is None or len(here) == len(rows):
                mixed = mixed + weights[:, number].view(-1, 1, 1, 1) * expert(rows)
            elif len(here):
                share = weights[here, number].view(-1, 1, 1, 1)
                mixed = mixed.index_add(0, here, (share * expert(rows[here])).to(mixed.dtype))
        return mixed


def _is_dense(routing: Routing, dense: Sequence[bool]) -> Tensor:
    """For each row (of B times views), whether its view is dense: (R, 1) bool."""
    batch, device = len(routing.logits), routing.logits.device
    each = [torch.full((batch,), one, dtype=torch.bool, device=device) for one in dense]
    return torch.stack(each, dim=1).view(-1, 1)


def _weights(routing: Routing, dense: Sequence[bool]) -> Tensor:
    """What each expert counts for each row, (R, E): over all of them, or over the best k and 0 elsewhere."""
    probabilities = routing.probabilities.flatten(0, 1)
    sparse = torch.zeros_like(probabilities).scatter(
        1, routing.top_index.flatten(0, 1), routing.top_weight.flatten(0, 1)
    )
    return torch.where(_is_dense(routing, dense), probabilities, sparse)


def chosen_rows(routings: Sequence[Routing], dense: Sequence[bool]) -> list[list[Tensor]] | list[None]:
    """By level and expert, the rows that picked it, ascending, (n,) int64; None where all views are dense.

    One question to the device and one answer back, whatever the number of levels and experts.
    """
    if all(dense):
        return [None] * len(routings)
    picked = []
    for routing in routings:
        nobody = torch.zeros_like(routing.probabilities.flatten(0, 1), dtype=torch.bool)
        picked.append(nobody.scatter(1, routing.top_index.flatten(0, 1), True) | _is_dense(routing, dense))
    on_host = torch.stack(picked).cpu()
    found = [[one.nonzero().squeeze(1) for one in level.unbind(1)] for level in on_host]
    device = routings[0].logits.device
    sizes = [len(one) for level in found for one in level]
    rows = torch.cat([one for level in found for one in level])
    back = iter((rows.pin_memory() if device.type == "cuda" else rows).to(device, non_blocking=True).split(sizes))
    return [[next(back) for _ in level] for level in found]


class Calls(nn.Module):
    """How many calls (one a view of a batch) the experts have had; as officially, not in the state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0


class StoredCalls(Calls):
    """The same, in the state dict."""

    def get_extra_state(self) -> Tensor:
        """The count, () int64."""
        return torch.tensor(self.count)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the count."""
        self.count = int(state)


class MixtureOfExperts(Fuser):
    """`moe`. See `Experts` for the warm-up, the counter and the balance loss.

    Attributes:
        calls: `calls.count` is the number of calls so far; it decides between all experts and the best k.
    """

    additive = True

    def __init__(self, levels: Sequence[Level], views: Sequence[str], options: Experts) -> None:
        super().__init__(levels, views)
        self.options = options
        self.strides = tuple(level.stride for level in levels)
        self.widths = (options.projection_dim,) * len(levels)
        self.scale_moes = nn.ModuleList(LevelExperts(level.channels, options) for level in levels)
        self.calls = StoredCalls() if options.counter == "train_only" else Calls()
        self._balance: Tensor | None = None

    def routes(self, maps: Sequence[Tensor]) -> list[Routing]:
        """Where each level sends its inputs, leading dimensions (B, views); counts no call."""
        return [
            level.route(x)  # type: ignore[operator]
            for level, x in zip(self.scale_moes, self.checked(maps), strict=True)
        ]

    def auxiliary_loss(self) -> Tensor | None:
        """The latest training call's balance loss times its weight, (), handed over once; None without one.

        The loss is the Kullback-Leibler divergence of the experts' mean probability (over batch and views)
        from uniform, averaged over levels: at least 0, and 0 where all are used alike.
        """
        loss, self._balance = self._balance, None
        return loss

    def _fuse(self, maps: list[Tensor]) -> list[Tensor]:
        routings = self.routes(maps)
        dense = self._next_calls()
        if self.options.balance == "load":
            self._balance = self.options.balance_weight * balance_loss(routings) if self.training else None
        chosen = chosen_rows(routings, dense)
        each = zip(self.scale_moes, maps, routings, chosen, strict=True)
        return [level(x, routing, dense, picked) for level, x, routing, picked in each]

    def _next_calls(self) -> list[bool]:
        """Whether each view's call is in the warm-up; advances the counter where this call counts."""
        first, views = self.calls.count + 1, len(self.views)
        if not self.training and self.options.counter == "train_only":
            return [first < self.options.warmup_steps] * views
        self.calls.count += views
        return [call < self.options.warmup_steps for call in range(first, first + views)]


def balance_loss(routings: Sequence[Routing]) -> Tensor:
    """Divergence of the experts' use from uniform, averaged over levels, (); see `auxiliary_loss`."""
    losses = []
    for routing in routings:
        use = routing.probabilities.flatten(0, -2).mean(0)
        # xlogy takes 0 log 0 as 0, which an expert that is never likely would otherwise turn into NaN.
        losses.append(torch.special.xlogy(use, use * len(use)).sum())
    return torch.stack(losses).mean()
