"""The decoder bank: many decoders trained side by side on the same batches, each exactly as if alone.

A member has its own module, optimiser, initialisation and dropout generator, and nothing here draws from a
global generator or looks at another member. So who else is in the bank never changes a bit of a member (on CPU).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.protocol import Protocol
from benchmark.scoring.counts import Array
from benchmark.training.optimizing import Pace, optimizer
from benchmark.training.prediction import UNFINISHED, Prediction, Task
from decoders.decoder import Decoder
from decoders.layers import ChannelDropout
from decoders.moe import Calls


@dataclass(frozen=True)
class Member:
    """What one decoder of the bank is.

    Attributes:
        name: the row it belongs to (`gw`, `moe`); validation chooses one learning rate a name.
        seed: of its initial weights and its dropout.
        learning_rate: peak of the schedule.
        build: makes the decoder on the CPU, initial weights from torch's global generator (seeded beforehand),
            dropout from the generator it is handed.
        candidate: which of several heads it is, where validation chooses among them too; empty where there is one.
    """

    name: str
    seed: int
    learning_rate: float
    build: Callable[[torch.Generator], Decoder]
    candidate: str = ""

    @property
    def key(self) -> tuple[str | float, ...]:
        """(name, learning rate, seed, and candidate if there are several): what tells members of a bank apart."""
        key = (self.name, self.learning_rate, self.seed)
        return (*key, self.candidate) if self.candidate else key


@dataclass(frozen=True)
class Outcome:
    """How a member's training went.

    Attributes:
        validation: the headline metric on the validation split of what is kept, the best or the last; None for a
            diverged member.
        best_epoch: the epoch (from 0; -1 before the first) that gave it, whose weights are kept; the earliest of
            equals.
        history: the metric at each evaluation.
        ended: `finished` all epochs, stopped `early`, or `diverged`.
        reason: why it ended, in a sentence.
    """

    name: str
    seed: int
    learning_rate: float
    validation: float | None
    best_epoch: int | None
    history: tuple[float, ...]
    ended: Literal["finished", "early", "diverged"]
    reason: str
    trained_parameters: int


@dataclass(frozen=True)
class Trained:
    """A member after training; `decoder` holds the weights of what is kept, None where it diverged."""

    member: Member
    outcome: Outcome
    decoder: Decoder | None


@dataclass(frozen=True)
class Epoch:
    """How a member's epoch went.

    Attributes:
        number: from 1.
        loss: mean over the epoch's steps; of a mixture of experts with its balance loss.
        validation: the headline metric after it; None where the member diverged or was not evaluated.
        learning_rate: of its last step.
    """

    member: Member
    number: int
    loss: float
    validation: float | None
    learning_rate: float


class Trainee:
    """A member in training.

    Attributes:
        losses, finite: the sum of losses since the last epoch was told, () float32, and whether all were finite, ()
            bool, both on the device.
    """

    def __init__(
        self, member: Member, task: Task, protocol: Protocol, steps: int, device: str, steps_per_epoch: int = 1
    ) -> None:
        self.member = member
        self.task = task
        self.protocol = protocol
        self.step = 0
        self.decoder = initialised(member, device)
        self.parameters = [parameter for parameter in self.decoder.parameters() if parameter.requires_grad]
        self.optimizer = optimizer(self.parameters, protocol, member.learning_rate)
        self._pace = Pace(protocol, member.learning_rate, steps, steps_per_epoch)
        self.history: list[float] = []
        self._at: list[int] = []
        self._since_best = 0
        self.ended: Literal["finished", "early", "diverged"] | None = None
        self.reason = ""
        self.losses, self._since = torch.zeros((), device=device), 0
        self.finite = torch.ones((), dtype=torch.bool, device=device)
        self._best = (-np.inf, -1)
        self._kept: Snapshot | None = None

    def count_calls(self, batches: int) -> None:
        """Let an official mixture of experts count calls it had before training: one a view of a batch."""
        for module in self.decoder.modules():
            if type(module) is Calls:
                module.count += batches * len(self.decoder.fuser.views)

    def learn(self, maps: tuple[Tensor, ...], labels: Tensor) -> None:
        """One step. Whether the loss was finite stays on the device: asking would wait for it."""
        if not self.decoder.training:
            self.decoder.train()
        self.pace()
        loss = self.task.loss(self.task.logits(self.decoder, maps, labels), labels)
        for weight, logits in self.decoder.auxiliary_logits():
            loss = loss + weight * self.task.loss(logits.float(), labels)
        auxiliary = self.decoder.auxiliary_loss()
        if auxiliary is not None:
            loss = loss + auxiliary
        # Gradients are None afterwards, not zero: an expert that nobody picks is then left alone by AdamW.
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.losses += loss.detach()
        self.finite &= torch.isfinite(loss.detach())

    def pace(self) -> None:
        """Give the optimiser the rate of the step that comes next, and count it."""
        self._pace.set(self.optimizer, self.step)
        self.step += 1

    def check_loss(self, epoch: int) -> None:
        """End with a reason if a loss of the epoch was not finite; the epoch's one wait for the device."""
        if not bool(self.finite):
            self._diverge(f"its loss became NaN or infinite in epoch {epoch + 1}")

    def validated(self, prediction: Prediction | None, labels: Array, epoch: int) -> None:
        """Take a prediction on validation in or after `epoch` (from 0; -1 before the first): keep the weights if it is
        the best, or the last if that is what the protocol keeps; or stop."""
        if prediction is None:
            self._diverge(f"{UNFINISHED} after epoch {epoch + 1}")
            return
        value = prediction.headline(self.task, labels)
        self.history.append(value)
        self._at.append(epoch)
        if value > self._best[0] or self.protocol.checkpoint == "last":
            self._best, self._kept, self._since_best = (value, epoch), Snapshot(self.decoder), 0
        else:
            self._since_best += 1
        patience = self.protocol.patience
        if patience is not None and self._since_best >= patience:
            self._end("early", f"validation did not rise for {patience} epochs after epoch {self._best[1] + 1}")

    def told(self, epoch: int) -> Epoch:
        """Epoch `epoch` (from 0), which has just ended."""
        loss, self._since = float(self.losses) / (self.step - self._since), self.step
        self.losses.zero_()
        validation = self.history[-1] if self._at and self._at[-1] == epoch else None
        return Epoch(self.member, epoch + 1, loss, validation, self.optimizer.param_groups[0]["lr"])

    def result(self) -> Trained:
        """The member with the weights of what is kept."""
        if self.ended is None:
            self._end("finished", f"all {self._at[-1] + 1} epochs")
        assert self.ended is not None
        diverged = self.ended == "diverged"
        if self._kept is not None and not diverged:
            self._kept.restore(self.decoder)
        outcome = Outcome(
            name=self.member.name,
            seed=self.member.seed,
            learning_rate=self.member.learning_rate,
            validation=None if diverged else self._best[0],
            best_epoch=None if diverged else self._best[1],
            history=tuple(self.history),
            ended=self.ended,
            reason=self.reason,
            trained_parameters=sum(parameter.numel() for parameter in self.parameters),
        )
        # Off the device: a bank holds many, of which few are scored.
        return Trained(self.member, outcome, None if diverged else self.decoder.eval().cpu())

    def _diverge(self, reason: str) -> None:
        self._end("diverged", f"{reason}, at learning rate {self.member.learning_rate:g}")
        self._kept = None

    def _end(self, how: Literal["finished", "early", "diverged"], reason: str) -> None:
        self.ended, self.reason = how, reason
        # Two moments a parameter: memory that those who go on can use.
        self.optimizer.state.clear()
        self.optimizer.zero_grad(set_to_none=True)


class Snapshot:
    """A copy of a decoder's state: its weights, and the calls a mixture of experts has counted.

    The official counter is not in the state dict; without it a restored mixture might route otherwise than it
    did when validation liked it.
    """

    def __init__(self, decoder: nn.Module) -> None:
        self._state = {
            name: value.detach().clone() if isinstance(value, Tensor) else value
            for name, value in decoder.state_dict().items()
        }
        self._calls = [module.count for module in decoder.modules() if isinstance(module, Calls)]

    def restore(self, decoder: nn.Module) -> None:
        """Give a decoder of the same structure this state."""
        decoder.load_state_dict(self._state)
        counters = [module for module in decoder.modules() if isinstance(module, Calls)]
        for counter, count in zip(counters, self._calls, strict=True):
            counter.count = count


def initialised(member: Member, device: str) -> Decoder:
    """The member's decoder with its initial weights, the same on every device; global generators stay as they were.

    Raises:
        ValueError: the decoder draws dropout from a global generator, which members would share.
    """
    # Another stream than the initial weights', which the seed itself starts.
    dropout_seed = int(np.random.SeedSequence([member.seed, 1]).generate_state(1)[0])
    generator = torch.Generator(device).manual_seed(dropout_seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(member.seed)
        decoder = member.build(generator)
    for module in decoder.modules():
        ours = isinstance(module, ChannelDropout) and module.generator is generator
        if not ours and isinstance(module, (ChannelDropout, nn.modules.dropout._DropoutNd)) and module.p > 0:
            raise ValueError(f"{member.name}: {type(module).__name__} must draw from the member's generator")
    return decoder.to(device)
