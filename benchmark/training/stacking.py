"""One run's linear candidates, trained as one: a product for all of them instead of one each.

A batch-norm-and-linear probe is small: what a step takes is the launching of its operations, and a grid of learning
rates launches them once a rate. Candidates that read the same pooling see the same standardised batch, so that theirs
are rows of one matrix. Each moves by its own gradient at its own rate, stops and fails alone, and equals training by
itself to rounding. To the bit it doesn't: so a stack is always one run's whole grid, whatever else is trained.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.protocol import Protocol
from benchmark.training.bank import Member, Trainee
from benchmark.transfer import pinned, send
from decoders.batchnorm_linear import BatchNormLinear

Item = TypeVar("Item")


def units(members: Sequence[Member], head: str) -> list[list[Member]]:
    """Members that must be trained in one call: those that are stacked, each of the others by itself.

    Args:
        head: name of the probe.
    """
    return _grids(members, lambda member: member) if head == "bn_linear" else [[member] for member in members]


def learners(trainees: Sequence[Trainee]) -> "list[Trainee | Stack]":
    """The trainees, each alone or with those it is stacked with."""
    found: list[Trainee | Stack] = [one for one in trainees if not isinstance(one.decoder, BatchNormLinear)]
    linear = [one for one in trainees if isinstance(one.decoder, BatchNormLinear)]
    grids = _grids(linear, lambda trainee: trainee.member)
    return [*found, *(Stack(grid) if len(grid) > 1 else grid[0] for grid in grids)]


def _grids(items: Sequence[Item], member: Callable[[Item], Member]) -> list[list[Item]]:
    """What one run's candidates on one pooling are."""
    found: dict[tuple[str, int, str], list[Item]] = {}
    for item in items:
        of = member(item)
        found.setdefault((of.name, of.seed, of.candidate), []).append(item)
    return list(found.values())


class Stack:
    """Trainees whose decoders are `BatchNormLinear` on one pooling.

    Their parameters, losses and norm's statistics are views of the stack's, so that whoever looks at one of them sees
    how far it is. One that has ended gets its own, as all do in `part`.
    """

    def __init__(self, trainees: Sequence[Trainee]) -> None:
        self.trainees = list(trainees)
        self._read = self._decoder(self.trainees[0]).read
        self._task, self._optimizer = trainees[0].task, StackedOptimizer(trainees[0].protocol)
        self._gather()

    @property
    def ended(self) -> str | None:
        """How the last of them ended; None where one goes on."""
        ends = [one.ended for one in self.trainees]
        return ends[-1] if all(ends) else None

    def learn(self, maps: tuple[Tensor, ...], labels: Tensor) -> None:
        """One step of each that has not ended, as `Trainee.learn`."""
        if any(one.ended is not None for one in self.trainees):
            self._leave([one.ended is None for one in self.trainees])
        with torch.no_grad():
            x = self._standardised(self._read(maps))
        scale, shift, weight, bias = self._parameters
        # (x * scale + shift) W' + b, with scale and shift taken into the matrix: x is the same for all.
        matrix = weight * scale[:, None]
        offset = torch.einsum("nkd,nd->nk", weight, shift) + bias
        with self._task.arithmetic(x.device):
            logits = F.linear(x, matrix.flatten(0, 1), offset.flatten()).unflatten(1, offset.shape).transpose(0, 1)
        losses = self._task.losses(logits.float(), labels)
        gradients = torch.autograd.grad(losses.sum(), self._parameters)
        for one in self.trainees:
            one.pace()
        self._optimizer.step(self._parameters, gradients, [one.optimizer for one in self.trainees])
        self._losses += losses.detach()
        self._finite &= torch.isfinite(losses.detach())

    def part(self) -> None:
        """Give every trainee what is its own."""
        for one in self.trainees:
            _own(one)

    def _standardised(self, read: Tensor) -> Tensor:
        """What `FeatureNorm` makes of a batch (B, D) before its scale and shift."""
        norm, alone = self._norm, len(read) == 1
        if not alone:
            norm.num_batches_tracked.add_(1)
        mean, variance = norm.running_mean, norm.running_var
        return F.batch_norm(read, mean, variance, training=not alone, momentum=norm.momentum, eps=norm.eps)

    def _gather(self) -> None:
        """Stack what the trainees have, and let them look at it."""
        self._norm = self._decoder(self.trainees[0]).head[0]  # type: ignore[index]
        each = [[one.detach() for one in self._decoder(trainee).head.parameters()] for trainee in self.trainees]
        self._parameters = [torch.stack(one).requires_grad_() for one in zip(*each, strict=True)]
        self._losses = torch.stack([one.losses for one in self.trainees])
        self._finite = torch.stack([one.finite for one in self.trainees])
        for number, trainee in enumerate(self.trainees):
            head = self._decoder(trainee).head
            for parameter, stacked in zip(head.parameters(), self._parameters, strict=True):
                parameter.data = stacked.data[number]
            for name, buffer in self._norm.named_buffers():
                setattr(head[0], name, buffer)  # type: ignore[index]
            trainee.losses, trainee.finite = self._losses[number], self._finite[number]

    def _leave(self, stays: Sequence[bool]) -> None:
        for one, stay in zip(self.trainees, stays, strict=True):
            if not stay:
                _own(one)
        self._optimizer.keep([number for number, stay in enumerate(stays) if stay])
        self.trainees = [one for one, stay in zip(self.trainees, stays, strict=True) if stay]
        self._gather()

    @staticmethod
    def _decoder(trainee: Trainee) -> BatchNormLinear:
        assert isinstance(trainee.decoder, BatchNormLinear)
        return trainee.decoder


def _own(trainee: Trainee) -> None:
    for parameter in trainee.decoder.parameters():
        parameter.data = parameter.data.clone()
    for module in trainee.decoder.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.clone())
    trainee.losses, trainee.finite = trainee.losses.clone(), trainee.finite.clone()


class StackedOptimizer:
    """PyTorch's SGD, Adam or AdamW, as the protocol asks, on tensors whose first dimension is of trainees.

    PyTorch's own have one learning rate a tensor.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._rules, self._steps = protocol, 0
        self._moments: list[list[Tensor]] = []

    def step(
        self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], of: Sequence[torch.optim.Optimizer]
    ) -> None:
        """Move the parameters.

        Args:
            of: the trainees' own optimisers, which hold their rates and constants.
        """
        groups = [one.param_groups[0] for one in of]
        device = parameters[0].device
        rates = send(pinned(torch.tensor([group["lr"] for group in groups]), device), device)
        self._steps += 1
        kinds = 1 if self._rules.optimizer == "sgd" else 2
        self._moments = self._moments or [[torch.zeros_like(one) for one in parameters] for _ in range(kinds)]
        move = self._sgd if self._rules.optimizer == "sgd" else self._adam
        with torch.no_grad():
            for parameter, gradient, *moments in zip(parameters, gradients, *self._moments, strict=True):
                rate = rates.view(-1, *[1] * (parameter.ndim - 1))
                move(parameter, gradient, rate, moments, groups[0])

    def keep(self, numbers: Iterable[int]) -> None:
        """Go on with some of the trainees."""
        index = list(numbers)
        self._moments = [[one[index] for one in kind] for kind in self._moments]

    def _sgd(
        self, parameter: Tensor, gradient: Tensor, rate: Tensor, moments: Sequence[Tensor], group: Mapping[str, Any]
    ) -> None:
        (velocity,) = moments
        velocity.mul_(group["momentum"]).add_(gradient + group["weight_decay"] * parameter)
        parameter -= rate * velocity

    def _adam(
        self, parameter: Tensor, gradient: Tensor, rate: Tensor, moments: Sequence[Tensor], group: Mapping[str, Any]
    ) -> None:
        first, second = moments
        low, high = group["betas"]
        if self._rules.optimizer == "adamw":
            parameter *= 1 - rate * group["weight_decay"]
        else:
            gradient = gradient + group["weight_decay"] * parameter
        first.lerp_(gradient, 1 - low)
        second.mul_(high).addcmul_(gradient, gradient, value=1 - high)
        deviation = second.sqrt() / (1 - high**self._steps) ** 0.5 + group["eps"]
        parameter -= rate / (1 - low**self._steps) * first / deviation
