"""Position tables: which half tells the row, what stays in place when a grid is resized."""

import math

import pytest
import torch

from encoders.position import Resizing, resize, sincos, sinusoid

WIDTH = 16


def test_table_tells_the_column_first_then_the_row_and_nothing_of_the_class_token() -> None:
    table = sincos(WIDTH, 3, 5)[0]
    assert table.shape == (1 + 3 * 5, WIDTH)
    assert table[0].abs().max() == 0
    row, column = 2, 3
    frequencies = [10000 ** (-i / 4) for i in range(4)]
    told = [function(place * f) for place in (column, row) for function in (math.sin, math.cos) for f in frequencies]
    torch.testing.assert_close(table[1 + row * 5 + column], torch.tensor(told))


def test_wavelengths_a_nanometre_apart_have_the_phases_of_float32() -> None:
    # In float32 the exponent's order of operations shows in the fourth digit; DOFA was trained with this one.
    waves = torch.tensor([2190.0])
    exponents = torch.arange(64, dtype=torch.float32) / 64
    expected = torch.sin(waves * (1.0 / 10000**exponents))
    assert torch.equal(sinusoid(waves, 128)[0, :64], expected)


def test_native_grid_is_left_as_it_is_even_where_a_resize_would_not_move_it() -> None:
    table = torch.randn(1, 1 + 4 * 4, WIDTH)
    assert resize(table, 4, 4, "bicubic") is table


@pytest.mark.parametrize("how", ["bicubic", "bicubic_aligned", "bilinear"])
def test_resizing_keeps_the_class_row_and_constant_channels(how: Resizing) -> None:
    table = torch.cat((torch.full((1, 1, WIDTH), 9.0), torch.arange(float(WIDTH)).expand(1, 16, WIDTH)), dim=1)
    resized = resize(table, 6, 3, how)
    assert resized.shape == (1, 1 + 6 * 3, WIDTH)
    assert torch.equal(resized[:, 0], table[:, 0])
    torch.testing.assert_close(resized[:, 1:], torch.arange(float(WIDTH)).expand(1, 18, WIDTH))


def test_resizing_keeps_rows_and_columns_and_the_rules_differ() -> None:
    rows = torch.arange(4.0).repeat_interleave(4)
    table = torch.cat((torch.zeros(1), rows))[None, :, None].expand(1, 17, WIDTH)
    grids = {how: resize(table, 8, 4, how)[0, 1:, 0].view(8, 4) for how in ("bicubic", "bicubic_aligned", "bilinear")}
    for grid in grids.values():
        torch.testing.assert_close(grid, grid[:, :1].expand(8, 4))
        assert (grid[1:, 0] >= grid[:-1, 0] - 0.2).all()
    torch.testing.assert_close(grids["bicubic_aligned"][[0, -1], 0], torch.tensor([0.0, 3.0]))
    torch.testing.assert_close(grids["bilinear"][:, 0], torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]))
    assert not torch.allclose(grids["bicubic"], grids["bilinear"])
