"""UPerNet on any sizes and batches; its official outputs are in tests/parity."""

import pytest
import torch
from torch import Tensor

from decoders.layers import BatchNorm, ChannelDropout
from decoders.upernet import UPerNet
from encoders.errors import UserError

WIDTHS = [3, 4, 5, 6]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def pyramid(*sides: tuple[int, int], batch: int = 2) -> list[Tensor]:
    return [torch.randn(batch, width, *side) for width, side in zip(WIDTHS, sides, strict=False)]


@pytest.mark.parametrize(
    "sides",
    [
        ((16, 16), (8, 8), (4, 4), (2, 2)),
        ((15, 23), (8, 12), (4, 6), (2, 3)),
        ((7, 5), (7, 5), (3, 3), (1, 1)),
        ((9, 4), (4, 2)),
        ((6, 5),),
    ],
    ids=["square", "odd", "equal", "two", "one"],
)
@pytest.mark.parametrize("training", [True, False])
def test_any_pyramid_gives_logits_at_the_labels_size(sides: tuple[tuple[int, int], ...], training: bool) -> None:
    head = UPerNet(WIDTHS[: len(sides)], 3, channels=8).train(training)
    logits = head(pyramid(*sides), (33, 50))
    assert logits.shape == (2, 3, 33, 50)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_a_training_batch_of_one_image() -> None:
    head = UPerNet(WIDTHS, 3, channels=8).train()
    lone = head.psp_modules[0][2]  # type: ignore[index]
    logits = head(pyramid((16, 8), (8, 4), (4, 2), (2, 1), batch=1), (16, 8))
    logits.square().sum().backward()
    assert torch.isfinite(logits).all()
    assert torch.equal(lone.running_mean, torch.zeros(8))
    assert head.psp_modules[0][1].weight.grad.abs().sum() > 0  # type: ignore[index]


def test_batch_norm_is_pytorchs_wherever_that_works() -> None:
    ours, theirs = BatchNorm(4), torch.nn.BatchNorm2d(4)
    for training, shape in ((True, (2, 4, 1, 1)), (True, (1, 4, 3, 3)), (False, (1, 4, 1, 1))):
        x = torch.randn(shape)
        assert torch.equal(ours.train(training)(x), theirs.train(training)(x))
    assert torch.equal(ours.running_mean, theirs.running_mean)  # type: ignore[arg-type]
    x = torch.randn(1, 4, 1, 1)
    assert torch.equal(ours.train()(x), theirs.eval()(x))


def test_dropout_draws_from_its_own_generator() -> None:
    x = torch.ones(64, 32, 2, 3)
    generator = torch.Generator().manual_seed(1)
    dropout = ChannelDropout(0.25, generator)
    before = torch.random.get_rng_state()
    first = dropout(x)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not torch.equal(first, dropout(x))
    generator.manual_seed(1)
    assert torch.equal(first, dropout(x))
    assert first.amax((2, 3)).eq(first.amin((2, 3))).all()
    assert (first == 0).float().mean().item() == pytest.approx(0.25, abs=0.05)
    assert first.max().item() == pytest.approx(1 / 0.75)
    assert dropout.eval()(x) is x


def test_evaluation_is_repeatable_and_independent_of_the_batch() -> None:
    head = UPerNet(WIDTHS, 3, channels=8).eval()
    maps = pyramid((8, 8), (4, 4), (2, 2), (1, 1), batch=3)
    together = head(maps, (20, 20))
    assert torch.equal(together, head(maps, (20, 20)))
    torch.testing.assert_close(together[1:2], head([x[1:2] for x in maps], (20, 20)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"channels": 0}, "'channels' is 0"),
        ({"pool_scales": ()}, "'pool_scales' is"),
        ({"pool_scales": (1, 0)}, "'pool_scales' is"),
        ({"dropout": 1.0}, "'dropout' is 1.0"),
    ],
)
def test_a_mistaken_option_is_one_sentence(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        UPerNet(WIDTHS, 3, **options)  # type: ignore[arg-type]
