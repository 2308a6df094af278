"""Whether values are finite: asked of every tensor that enters or leaves an encoder, at little cost.

On a GPU an answer is there only when all work before it is done, so that asking at once leaves the device without
orders. Within `Doubts.kept` questions are put and not yet answered; who brings the features home looks then.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from encoders.errors import UserError


def all_finite(tensor: Tensor) -> Tensor:
    """Whether no value is NaN or infinite, () bool on the tensor's device; one pass over it, without a copy."""
    if not tensor.numel():
        return torch.ones((), dtype=torch.bool, device=tensor.device)
    # Both extremes are NaN where any value is.
    lowest, highest = torch.aminmax(tensor)
    return torch.isfinite(lowest) & torch.isfinite(highest)


class Doubts:
    """Questions whose answers are still on a GPU."""

    def __init__(self) -> None:
        self._asked: list[tuple[Tensor, str]] = []

    def __bool__(self) -> bool:
        return bool(self._asked)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Within it, and in this thread, `refuse_infinite` of tensors on a GPU asks here instead of waiting."""
        token = _KEPT.set(self)
        try:
            yield
        finally:
            _KEPT.reset(token)

    def ask(self, answer: Tensor, message: str) -> None:
        """Remember a question: `answer` () bool on the device, True where all is well."""
        self._asked.append((answer, message))

    def answers(self) -> Tensor:
        """All answers so far, (n,) bool on their device."""
        return torch.stack([answer for answer, _ in self._asked])

    def settle(self, answers: Sequence[bool] | Tensor | None = None) -> None:
        """Look at the answers, brought to the host by the caller or, for None, now; then forget the questions.

        Raises:
            UserError: the message of the first that was not finite.
        """
        asked, self._asked = self._asked, []
        if not asked:
            return
        found = torch.stack([answer for answer, _ in asked]).tolist() if answers is None else list(answers)
        for (_, message), well in zip(asked, found, strict=True):
            if not well:
                raise UserError(message)


_KEPT: ContextVar[Doubts | None] = ContextVar("doubts", default=None)


def refuse_infinite(tensors: Sequence[Tensor], message: str) -> None:
    """Refuse values that are NaN or infinite.

    Raises:
        UserError: `message`; within `Doubts.kept` of tensors on a GPU later, by `Doubts.settle`.
    """
    doubts = _KEPT.get()
    for tensor in tensors:
        answer = all_finite(tensor)
        if doubts is not None and tensor.device.type != "cpu":
            doubts.ask(answer, message)
        elif not bool(answer):
            raise UserError(message)
