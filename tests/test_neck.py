"""The neck: what becomes of maps with which strides."""

import pytest
import torch
from torch import Tensor

from decoders.neck import Neck


def maps(strides: list[int], widths: list[int], side: tuple[int, int] = (64, 128)) -> list[Tensor]:
    return [torch.randn(2, width, side[0] // s, side[1] // s) for s, width in zip(strides, widths, strict=True)]


def test_distinct_strides_pass_unchanged() -> None:
    neck = Neck([8, 16, 32, 64], [3, 4, 5, 6])
    given = maps([8, 16, 32, 64], [3, 4, 5, 6])
    assert all(out is x for out, x in zip(neck(given), given, strict=True))
    assert not list(neck.parameters())
    assert (neck.strides, neck.widths) == ((8, 16, 32, 64), (3, 4, 5, 6))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_maps_on_one_grid_are_rescaled_in_order(count: int) -> None:
    strides, widths = [16] * count, [3, 4, 5, 6][:count]
    neck = Neck(strides, widths)
    pyramid = neck(maps(strides, widths))
    assert neck.strides == (4, 8, 16, 32)[:count]
    assert neck.widths == tuple(widths)
    assert [tuple(x.shape) for x in pyramid] == [
        (2, width, 64 // stride, 128 // stride) for stride, width in zip((4, 8, 16, 32), widths, strict=False)
    ]


def test_one_map_gives_all_four_scales() -> None:
    neck = Neck([16], [6])
    (given,) = maps([16], [6])
    pyramid = neck([given])
    assert [tuple(x.shape[2:]) for x in pyramid] == [(16, 32), (8, 16), (4, 8), (2, 4)]
    assert pyramid[2] is given
    torch.testing.assert_close(pyramid[3], torch.nn.functional.max_pool2d(given, 2))
    assert neck.strides == (4, 8, 16, 32)


def test_of_over_four_maps_the_coarsest_four_stay() -> None:
    strides, widths = [2, 4, 8, 16, 32], [2, 3, 4, 5, 6]
    neck = Neck(strides, widths)
    given = maps(strides, widths)
    assert all(out is x for out, x in zip(neck(given), given[1:], strict=True))
    assert neck.strides == (4, 8, 16, 32)
    assert Neck([16] * 6, widths=[1, 2, 3, 4, 5, 6]).widths == (3, 4, 5, 6)


def test_a_mixed_set_is_already_a_pyramid() -> None:
    assert Neck([8, 8, 16], [1, 2, 3]).strides == (8, 8, 16)


def test_strides_that_are_no_powers_of_two() -> None:
    neck = Neck([14] * 4, [2] * 4)
    assert neck.strides == (3.5, 7, 14, 28)
    assert [x.shape[-1] for x in neck([torch.randn(1, 2, 5, 5)] * 4)] == [20, 10, 5, 2]


def test_a_map_of_one_cell_in_a_training_batch_of_one() -> None:
    pyramid = Neck([16], [4]).train()([torch.randn(1, 4, 1, 1)])
    assert [tuple(x.shape[2:]) for x in pyramid] == [(4, 4), (2, 2), (1, 1), (1, 1)]


def test_maps_must_come_finest_first() -> None:
    with pytest.raises(ValueError, match="finest first"):
        Neck([16, 8], [3, 3])
