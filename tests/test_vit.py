"""What vision transformers share: its blocks and which options cannot be."""

import pytest
import torch

from encoders import vit
from encoders.base import EncoderCard
from encoders.errors import UserError, validate

CARD = EncoderCard("m", "M", "a", "i", 1, "none")
SIZES = vit.Sizes(dim=16, depth=3, heads=2, patch=4, image=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "'seed' is -1; it must be at least 0"),
        ({"pooling": "maen"}, "did you mean mean"),
    ],
)
def test_option_that_cannot_be_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate(vit.Options, options, "card")


@pytest.mark.parametrize(
    ("wrong", "message"), [({"dim": 18}, "multiple of heads"), ({"heads": 3}, "multiple of heads"), ({"depth": 0}, "1")]
)
def test_sizes_that_cannot_be_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate(vit.Sizes, {"dim": 16, "depth": 3, "heads": 2, "patch": 4, "image": 8} | wrong, "card")


def test_tapped_tokens_are_those_after_each_block() -> None:
    torch.manual_seed(0)
    blocks, tokens = vit.stack(SIZES), torch.randn(2, 5, 16)
    read, last = vit.run(blocks, tokens, (0, 2))
    first = blocks[0](tokens)
    assert torch.equal(read[0], first)
    assert torch.equal(read[1], blocks[2](blocks[1](first)))
    assert torch.equal(last, read[1])


def test_layer_scale_multiplies_both_residuals() -> None:
    torch.manual_seed(0)
    plain, scaled = vit.Block(16, 2), vit.Block(16, 2, layer_scale=True)
    scaled.load_state_dict(plain.state_dict(), strict=False)
    tokens = torch.randn(1, 4, 16)
    torch.testing.assert_close(scaled(tokens), plain(tokens))
    torch.nn.init.zeros_(scaled.ls1.gamma)
    torch.nn.init.zeros_(scaled.ls2.gamma)
    assert torch.equal(scaled(tokens), tokens)


def test_bfloat16_blocks_give_float32_tokens() -> None:
    torch.manual_seed(0)
    blocks, tokens = vit.stack(SIZES), torch.randn(2, 5, 16)
    exact, _ = vit.run(blocks, tokens, (1,))
    rounded, last = vit.run(blocks.to(torch.bfloat16), tokens, (1,))
    assert {rounded[0].dtype, last.dtype} == {torch.float32}
    assert 0 < ((rounded[0] - exact[0]).norm() / exact[0].norm()).item() < 0.02


def test_the_grid_is_checked() -> None:
    assert vit.grid_of(CARD, (32, 48), 16) == (2, 3)
    with pytest.raises(UserError, match="m: image sides must be multiples of 16, not 32 x 40; resize them"):
        vit.grid_of(CARD, (32, 40), 16)
