"""What only a GPU can show; `.ci/gpu` runs it."""

import dataclasses

import numpy as np
import pytest
import torch

from benchmark.evaluation import pick_device
from benchmark.training.bank import Member, Trainee
from benchmark.training.loop import train
from benchmark.training.optimizing import optimizer
from encoders import build
from encoders.placing import placed
from tests.decoder_factory import BATCH, GW, MASKS, MOE, SINGLE, UPERNET, smoke_protocol, split
from tests.test_placing import TINY, images

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.parametrize("name", TINY)
def test_an_encoder_gives_the_features_of_the_cpu(name: str) -> None:
    pick_device("cuda")
    there, here = placed(build(name), "cuda"), build(name)
    fed = images(here, name)
    one, two = there(fed.cuda()), here(fed)
    for left, right in zip((*one.maps, one.embedding), (*two.maps, two.embedding), strict=True):
        torch.testing.assert_close(left.cpu(), right, rtol=1e-3, atol=1e-3 * float(right.abs().max()))


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_optimisers_are_fused(name: str) -> None:
    rules = dataclasses.replace(smoke_protocol(), optimizer=name)
    assert optimizer([torch.nn.Parameter(torch.zeros(2, device="cuda"))], rules, 1e-3).defaults["fused"]


@pytest.mark.parametrize(("task", "build_one"), [(SINGLE, GW), (SINGLE, MOE), (MASKS, UPERNET)])
def test_a_step_never_waits(task: object, build_one: object) -> None:
    trainee = Trainee(Member("", 0, 1e-3, build_one), task, smoke_protocol(), 10, "cuda")  # type: ignore[arg-type]
    features = split(task, BATCH, 1)  # type: ignore[arg-type]
    maps = tuple(level.cuda() for level in features.read(np.arange(BATCH)))
    labels = torch.from_numpy(features.truth).cuda()
    trainee.learn(maps, labels)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            trainee.learn(maps, labels)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_bank_learns_what_it_learns_on_the_cpu() -> None:
    rules = smoke_protocol()
    for task, build_one in ((SINGLE, MOE), (MASKS, UPERNET)):
        here, there = (
            train(
                [Member("m", 0, 1e-3, build_one)],
                task,
                split(task, 64, 1),
                split(task, 24, 2),
                protocol=rules,
                device=device,
            )[0]
            for device in ("cpu", "cuda")
        )
        assert there.outcome.validation == pytest.approx(here.outcome.validation, abs=0.15)
