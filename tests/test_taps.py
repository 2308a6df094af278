"""Taps read modules of any network, leave no hook behind and can end the run early."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from encoders.errors import UserError
from encoders.taps import Taps


class Shuffled(nn.Module):
    """Runs its layers in another order than it names them, and one returns a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.third = nn.Linear(4, 4)
        self.first = nn.Linear(4, 4)
        self.second = nn.LSTM(4, 4)
        self.unused = nn.Linear(4, 4)
        self.finished = 0

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x, _ = self.second(x)
        x = self.third(x)
        self.finished += 1
        return x


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_outputs_are_read_in_the_order_asked_for() -> None:
    model, x = Shuffled(), torch.randn(2, 3, 4)
    with Taps(model, ["third", "first", "second"]) as seen:
        result = model(x)
    assert list(seen) == ["third", "first", "second"]
    assert torch.equal(seen["third"], result)
    assert torch.equal(seen["first"], model.first(x))
    assert torch.equal(seen["second"], model.second(model.first(x))[0])
    assert hooks(model) == 0


def test_run_stops_after_the_last_tap_in_execution_order() -> None:
    model, x = Shuffled(), torch.randn(2, 3, 4)
    with Taps(model, ["second", "first"], stop=True) as seen:
        model(x)
    assert set(seen) == {"first", "second"}
    assert model.finished == 0
    assert hooks(model) == 0
    model(x)
    assert model.finished == 1


def test_hooks_are_removed_when_the_run_fails() -> None:
    model = Shuffled()
    with pytest.raises(RuntimeError, match="shapes"), Taps(model, ["second"]):
        model(torch.randn(2, 3, 5))
    assert hooks(model) == 0


def test_nested_taps_take_their_own_signal_only() -> None:
    model, x = Shuffled(), torch.randn(2, 3, 4)
    with Taps(model, ["first"], stop=True) as outer, Taps(model, ["third"]) as inner:
        model(x)
    assert set(outer) == {"first"}
    assert inner == {}
    with Taps(model, ["third"]) as outer:
        with Taps(model, ["first"], stop=True) as inner:
            model(x)
        model(x)
    assert set(inner) == {"first"}
    assert set(outer) == {"third"}


def test_same_taps_can_be_used_again() -> None:
    model, taps = Shuffled(), None
    taps = Taps(model, ["first"], stop=True)
    results = []
    for _ in range(2):
        with taps as seen:
            model(torch.randn(2, 3, 4))
        results.append(seen["first"])
    assert not torch.equal(*results)


@pytest.mark.parametrize(
    ("names", "run", "message"),
    [
        (["frist"], None, "has no module 'frist'; did you mean first"),
        (["unused", "first"], lambda model: model(torch.randn(2, 3, 4)), "never ran: unused"),
    ],
)
def test_module_that_cannot_be_read_is_named(
    names: list[str], run: Callable[[nn.Module], Tensor], message: str
) -> None:
    model = Shuffled()
    with pytest.raises(UserError, match=message), Taps(model, names):
        run(model)
    assert hooks(model) == 0
