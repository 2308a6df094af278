"""Heads without a pyramid: pooled classification and linear segmentation."""

import pytest
import torch
import torch.nn.functional as F

from decoders.heads import LinearSegmentation, PooledClassifier


@pytest.mark.parametrize("finest", [(16, 16), (8, 24)])
def test_pooling_equals_upsampling_adding_and_pooling(finest: tuple[int, int]) -> None:
    maps = [torch.randn(2, 6, finest[0] // n, finest[1] // n, dtype=torch.float64) for n in (1, 2, 4, 8)]
    head = PooledClassifier([6] * 4, 3, add=True).double()
    upsampled = [F.interpolate(x, size=finest, mode="bilinear", align_corners=False) for x in maps]
    pooled = torch.stack(upsampled).sum(0).mean((2, 3))
    torch.testing.assert_close(head(maps), head.decoder_head["2"](pooled), rtol=0, atol=1e-12)


def test_maps_of_several_spaces_are_concatenated() -> None:
    maps = [torch.randn(2, 6, 4, 4), torch.randn(2, 3, 2, 2)]
    head = PooledClassifier([6, 3], 5, add=False)
    assert head.decoder_head["2"].in_features == 9
    expected = head.decoder_head["2"](torch.cat([x.mean((2, 3)) for x in maps], dim=1))
    assert torch.equal(head(maps), expected)


def test_maps_of_several_widths_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="cannot be added"):
        PooledClassifier([6, 3], 5, add=True)


@pytest.mark.parametrize(("strides", "used"), [([8, 16, 32], 0), ([16, 16, 16], 2), ([8, 8, 16], 1)])
def test_linear_segmentation_reads_the_finest_and_deepest_map(strides: list[int], used: int) -> None:
    widths = [3, 4, 5]
    maps = [torch.randn(2, width, 64 // s, 32 // s) for s, width in zip(strides, widths, strict=True)]
    head = LinearSegmentation(strides, widths, 7)
    logits = head(maps, (50, 40))
    assert logits.shape == (2, 7, 50, 40)
    expected = F.interpolate(head.conv_seg(maps[used]), size=(50, 40), mode="bilinear", align_corners=False)
    assert torch.equal(logits, expected)
