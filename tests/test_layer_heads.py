"""Heads of other harnesses: what they compute, and what they refuse."""

import pytest
import torch
from torch import nn

from decoders.batchnorm_linear import CANDIDATES, BatchNormLinear
from decoders.decoder import layers_decoder, upernet_decoder
from decoders.fusion import build_fuser
from decoders.layer_heads import SEGMENTATION_HEADS, LayersLinear
from encoders.base import Level
from encoders.errors import UserError

VIT = (Level(8, tuple((f"block{n}", 6) for n in range(4))),)
PYRAMID = tuple(Level(4 * 2**n, ((f"stage{n}", 4 * (n + 1)),)) for n in range(4))


def maps(levels: tuple[Level, ...], batch: int = 2, side: int = 32) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    return tuple(torch.randn(batch, 1, level.channels, side // level.stride, side // level.stride) for level in levels)


@pytest.mark.parametrize("levels", [VIT, PYRAMID], ids=["one grid", "pyramid"])
@pytest.mark.parametrize("head", SEGMENTATION_HEADS)
def test_a_head_gives_logits_at_the_labels_size_and_learns_by_every_map(head: str, levels: tuple[Level, ...]) -> None:
    torch.manual_seed(1)
    decoder = layers_decoder(build_fuser("none", levels, ("image",)), 3, head, channels=8)
    given = tuple(one.requires_grad_() for one in maps(levels))
    logits = decoder(given, (20, 28))
    assert logits.shape == (2, 3, 20, 28)
    logits.square().sum().backward()
    for one in given:
        assert one.grad is not None
        assert (one.grad.flatten(3).abs().sum(-1) > 0).all()
    assert all(parameter.grad is not None for parameter in decoder.parameters())


def test_the_linear_head_sums_each_maps_logits_by_its_weight() -> None:
    head = LayersLinear([3, 5], 2, channels=0).eval()
    given = [torch.randn(1, 3, 4, 4), torch.randn(1, 5, 8, 8)]
    first, second = (
        nn.functional.interpolate(one(given[n]), size=(16, 16), mode="bilinear") for n, one in enumerate(head.heads)
    )
    torch.testing.assert_close(head(given, (16, 16)), first + second)
    assert head.weights is not None
    head.weights.data = torch.tensor([0.0, 2.0])
    torch.testing.assert_close(head(given, (16, 16)), 2 * second)


def test_dpt_wants_four_maps() -> None:
    with pytest.raises(UserError, match="seg_dpt fuses four maps, this encoder with its fuser gives 3; choose seg_fpn"):
        layers_decoder(build_fuser("none", PYRAMID[:3], ("image",)), 3, "seg_dpt", channels=8)


def test_an_auxiliary_head_answers_in_training_alone_and_never_changes_the_answer() -> None:
    def built(auxiliary: tuple[int, float] | None) -> nn.Module:
        torch.manual_seed(0)
        fuser, generator = build_fuser("none", VIT, ("image",)), torch.Generator().manual_seed(0)
        return upernet_decoder(fuser, 3, channels=8, dropout=0.0, generator=generator, auxiliary=auxiliary)

    plain, both = built(None), built((6, 0.4))
    logits = both(maps(VIT), (16, 16))
    torch.testing.assert_close(logits, plain(maps(VIT), (16, 16)))
    ((weight, beside),) = both.auxiliary_logits()  # type: ignore[operator]
    assert (weight, beside.shape) == (0.4, logits.shape)
    assert both.auxiliary_logits() == []  # type: ignore[operator]
    both.eval()(maps(VIT), (16, 16))
    assert both.auxiliary_logits() == []  # type: ignore[operator]


@pytest.mark.parametrize(("candidate", "width"), list(zip(CANDIDATES, (5, 6, 24), strict=True)))
def test_batch_norm_and_linear_read_the_pooling_they_are_named_for(candidate: str, width: int) -> None:
    decoder = BatchNormLinear(VIT, ("image",), 5, candidate, 3)
    norm, linear = decoder.head[0], decoder.head[1]  # type: ignore[index]
    assert (linear.in_features, float(linear.bias.detach().abs().max())) == (width, 0.0)
    means = tuple(one.mean((3, 4), keepdim=True) for one in maps(VIT, batch=8))
    embedding = torch.randn(8, 5)
    read = embedding if candidate == "embedding" else means[0].flatten(1)[:, 24 - width :]
    standardised = (read - read.mean(0)) / (read.var(0, unbiased=False) + norm.eps).sqrt()
    logits = decoder((*means, embedding[:, None, :, None, None]))
    torch.testing.assert_close(logits, standardised @ linear.weight.T, rtol=1e-4, atol=1e-5)
    # A batch of one has no variance; the running one stands in.
    assert decoder((*(one[:1] for one in means), embedding[:1, None, :, None, None])).isfinite().all()
