"""Encoders laid out and compiled for a device: the same features, and hooks still see what they tap."""

import os

import pytest
import torch
from torch import nn

from benchmark.evaluation import pick_device
from encoders import build
from encoders.base import Encoder
from encoders.placing import channels_last, compile_parts, parts, placed

TINY = ("satdifuser_tiny", "croma_tiny", "dofa_tiny", "satmae_tiny", "satlas_tiny", "satlas_resnet_tiny")
SIDE = {"croma_tiny": 120, "satmae_tiny": 224, "dofa_tiny": 224}


def images(encoder: Encoder, name: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, encoder.channels, *(SIDE.get(name, 64),) * 2, generator=generator)


def alike(encoder: Encoder, other: Encoder, name: str) -> None:
    """Features of both agree to rounding."""
    fed = images(encoder, name)
    one, two = encoder(fed), other(fed)
    for left, right in zip((*one.maps, one.embedding), (*two.maps, two.embedding), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["satdifuser_tiny", "satlas_resnet_tiny"])
def test_channels_last_changes_the_layout_and_no_feature(name: str) -> None:
    encoder, other = build(name), build(name)
    assert other.convolutional
    channels_last(other)
    kernels = [one.weight for one in other.modules() if isinstance(one, nn.Conv2d) and one.kernel_size[0] > 1]
    assert kernels
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in kernels)
    alike(encoder, other, name)


def test_float32_is_float32_once_a_device_is_picked() -> None:
    torch.backends.cudnn.allow_tf32 = True
    assert pick_device("cpu") == "cpu"
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_on_the_cpu_an_encoder_stays_as_it_was() -> None:
    encoder = placed(build("satdifuser_tiny"), "cpu")
    kernel = next(one.weight for one in encoder.modules() if isinstance(one, nn.Conv2d) and one.kernel_size[0] > 1)
    assert kernel.is_contiguous()
    assert not any("forward" in vars(one) for one in encoder.modules())


@pytest.mark.parametrize("name", TINY)
def test_what_is_compiled_holds_nothing_tapped_and_is_called(name: str) -> None:
    encoder = build(name)
    tapped = {tap for level in encoder.levels for tap, _ in level.modules}
    found = list(parts(encoder))
    assert len(found) == len({id(one) for one in found}) > 0
    called: set[int] = set()
    for part in found:
        assert not any(inner.endswith(tuple(tapped)) for inner, _ in part.named_modules() if inner)
        part.register_forward_hook(lambda module, *_: called.add(id(module)))
    encoder(images(encoder, name))
    idle = [type(one).__name__ for one in found if id(one) not in called]
    # What lies behind the last tapped module is not run; of it there is little.
    assert len(idle) < len(found) / 4, idle
    outside = sum(p.numel() for p in encoder.parameters()) - sum(p.numel() for one in found for p in one.parameters())
    assert outside < 0.5 * sum(p.numel() for p in encoder.parameters())


@pytest.mark.skipif(not os.environ.get("SATDIFUSER_BENCH_LONG"), reason="minutes: set SATDIFUSER_BENCH_LONG=1")
@pytest.mark.parametrize("name", TINY)
def test_a_compiled_encoder_gives_the_features_of_the_plain_one(name: str) -> None:
    encoder, other = build(name), build(name)
    assert compile_parts(other) == len(list(parts(encoder)))
    alike(encoder, other, name)
    alike(encoder, other, name)
