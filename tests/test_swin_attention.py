"""Swin's fused attention gives what torchvision's written-out one gives."""

import pytest
import torch

from encoders.swin_attention import WindowAttention


@pytest.mark.parametrize(
    ("size", "shift"),
    [((8, 8), 2), ((8, 12), 2), ((4, 12), 2), ((4, 4), 2), ((7, 9), 2), ((8, 8), 0), ((3, 10), 0), ((12, 4), 1)],
)
def test_fused_attention_equals_the_written_out(size: tuple[int, int], shift: int) -> None:
    torch.manual_seed(0)
    module = WindowAttention(12, [4, 4], [shift, shift], 3).eval()
    # Logit scales on both sides of their bound, and biases that are not 0.
    torch.nn.init.normal_(module.logit_scale, 4.0, 2.0)
    assert module.qkv.bias is not None
    torch.nn.init.normal_(module.qkv.bias)
    x = torch.randn(3, *size, 12)
    with torch.no_grad():
        written_out = module(x)
        module.fused = True
        torch.testing.assert_close(module(x), written_out, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(module(x[:1]), written_out[:1], rtol=1e-5, atol=1e-5)


def test_the_cpu_keeps_torchvisions_arithmetic_and_names() -> None:
    from torchvision.models.swin_transformer import ShiftedWindowAttentionV2

    torch.manual_seed(0)
    ours = WindowAttention(12, [4, 4], [2, 2], 3).eval()
    theirs = ShiftedWindowAttentionV2(12, [4, 4], [2, 2], 3).eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 8, 8, 12)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))
