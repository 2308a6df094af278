"""What adapters share: which blocks are read, and in which precision."""

import pytest
import torch

from encoders.assembly import dtype_of, taps
from encoders.base import EncoderCard
from encoders.errors import UserError

CARD = EncoderCard("m", "M", "a", "i", 1, "none")


@pytest.mark.parametrize(
    ("depth", "expected"),
    [(6, (2, 3, 4, 5)), (12, (3, 5, 7, 11)), (24, (7, 11, 15, 23)), (5, (1, 2, 3, 4)), (2, (0, 1))],
)
def test_default_taps_by_depth(depth: int, expected: tuple[int, ...]) -> None:
    assert taps(None, depth, "m") == expected


@pytest.mark.parametrize("layers", [(0, 3), (-1, 2), (2, 1), (1, 1), ()])
def test_blocks_that_cannot_be_read_are_refused(layers: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"m: 'layers' is .*; name some of 0 to 2 in ascending order"):
        taps(layers, 3, "m")


def test_a_precision_is_one_of_two() -> None:
    assert dtype_of(CARD, "bfloat16") == torch.bfloat16
    with pytest.raises(UserError, match="m: unknown precision 'bfloat61'; did you mean bfloat16"):
        dtype_of(CARD, "bfloat61")
