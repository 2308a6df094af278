"""No NaN or infinity passes, and a GPU is asked when its work is brought home."""

import pytest
import torch

from encoders.errors import UserError
from encoders.finite import Doubts, all_finite, refuse_infinite


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_bad_value_anywhere_is_seen(dtype: torch.dtype, bad: float) -> None:
    values = torch.linspace(-60000, 60000, 1001).to(dtype)
    assert bool(all_finite(values))
    for place in (0, 500, 1000):
        spoilt = values.clone()
        spoilt[place] = bad
        assert not bool(all_finite(spoilt))
    assert bool(all_finite(values[:0]))


def test_on_the_cpu_the_answer_comes_at_once() -> None:
    refuse_infinite([torch.zeros(2)], "bad")
    with Doubts().kept(), pytest.raises(UserError, match="bad"):
        refuse_infinite([torch.zeros(2), torch.tensor([torch.nan])], "bad")


def test_answers_are_looked_at_once_and_the_first_bad_one_is_told() -> None:
    doubts = Doubts()
    doubts.settle()
    for answer, message in ((True, "first"), (False, "second"), (False, "third")):
        doubts.ask(torch.tensor(answer), message)
    assert doubts.answers().tolist() == [True, False, False]
    with pytest.raises(UserError, match="second"):
        doubts.settle()
    assert not doubts
    doubts.ask(torch.tensor(True), "first")
    with pytest.raises(UserError, match="first"):
        doubts.settle([False])
