"""Optimisers are PyTorch's, and each schedule is the formula of its source."""

import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from benchmark.protocol import Protocol
from benchmark.training.optimizing import Pace, optimizer
from tests.test_protocol import protocol

PEAK = 1e-2


def rates(rules: Protocol, steps: int, steps_per_epoch: int = 1) -> list[float]:
    built = optimizer([nn.Parameter(torch.zeros(1))], rules, PEAK)
    pace, found = Pace(rules, PEAK, steps, steps_per_epoch), []
    for step in range(steps):
        pace.set(built, step)
        found.append(built.param_groups[0]["lr"])
    return found


def pytorchs(make: object, steps: int, every: int = 1) -> list[float]:
    built = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=PEAK, momentum=0.9)
    scheduler, found = make(built), []  # type: ignore[operator]
    for step in range(steps):
        found.append(built.param_groups[0]["lr"])
        built.step()
        if (step + 1) % every == 0:
            scheduler.step()
    return found


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("adamw", lambda given: torch.optim.AdamW(given, lr=PEAK, weight_decay=0.3)),
        ("adam", lambda given: torch.optim.Adam(given, lr=PEAK, weight_decay=0.3)),
        ("sgd", lambda given: torch.optim.SGD(given, lr=PEAK, momentum=0.9, weight_decay=0.3)),
    ],
)
def test_an_optimiser_moves_weights_as_pytorchs_does(name: str, reference: object) -> None:
    rules = dataclasses.replace(protocol("smoke"), optimizer=name, weight_decay=0.3, momentum=0.9)
    torch.manual_seed(0)
    start, target = torch.randn(6), torch.randn(6)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    pairs = ((ours, optimizer([ours], rules, PEAK)), (theirs, reference([theirs])))  # type: ignore[operator]
    for _ in range(5):
        for weights, built in pairs:
            built.zero_grad()
            (weights - target).square().sum().backward()
            built.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert not torch.equal(ours, start)


def test_pangaeas_milestones_are_pytorchs_multi_step() -> None:
    rules = dataclasses.replace(protocol("smoke"), schedule="multistep", milestones=(0.6, 0.9))
    for steps in (10, 57, 80):
        at = [int(steps * one) for one in (0.6, 0.9)]
        expected = pytorchs(lambda built, at=at: lr_scheduler.MultiStepLR(built, at, gamma=0.1), steps)
        assert rates(rules, steps) == pytest.approx(expected)


def test_torchgeo_benchs_cosine_by_epoch_is_pytorchs() -> None:
    rules = protocol("torchgeo_bench")
    expected = pytorchs(lambda built: lr_scheduler.CosineAnnealingLR(built, T_max=10, eta_min=1e-6), 40, every=4)
    assert rates(rules, 40, steps_per_epoch=4) == pytest.approx(expected)


def test_geobreezes_cosine_by_step_is_pytorchs_at_the_scaled_rate() -> None:
    rules = dataclasses.replace(protocol("geobreeze"), decoder_batch=256)
    expected = pytorchs(lambda built: lr_scheduler.CosineAnnealingLR(built, 50, eta_min=0), 50)
    assert rates(rules, 50) == pytest.approx(expected)
    halved = dataclasses.replace(rules, decoder_batch=128)
    assert rates(halved, 50) == pytest.approx([one / 2 for one in expected])


def test_geobreezes_one_cycle_moves_rate_and_first_beta_as_pytorchs() -> None:
    rules = dataclasses.replace(protocol("geobreeze"), optimizer="adamw", schedule="one_cycle", rate_scaling="none")
    ours = optimizer([nn.Parameter(torch.zeros(1))], rules, PEAK)
    theirs = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = lr_scheduler.OneCycleLR(theirs, max_lr=PEAK, total_steps=30, anneal_strategy="cos", pct_start=0.0)
    pace = Pace(rules, PEAK, 30, 1)
    for step in range(30):
        pace.set(ours, step)
        for key in ("lr", "betas"):
            assert ours.param_groups[0][key] == pytest.approx(theirs.param_groups[0][key]), (key, step)
        theirs.step()
        if step < 29:
            scheduler.step()


def test_satdifusers_rate_is_constant_within_an_epoch() -> None:
    found = rates(protocol("satdifuser_code"), 40 * 3, steps_per_epoch=3)
    assert found[:6] == pytest.approx([2e-5] * 3 + [2e-5 + (0.01 - 2e-5) / 5] * 3)
    assert found[15] == max(found) == pytest.approx(0.01)
    last = 1e-5 + (0.01 - 1e-5) * 0.5 * (1 + math.cos(math.pi * 34 / 35))
    assert found[-3:] == pytest.approx([last] * 3)


def test_a_constant_rate_stays() -> None:
    assert rates(dataclasses.replace(protocol("smoke"), schedule="constant"), 5) == [PEAK] * 5
