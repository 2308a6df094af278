"""Linear candidates trained as one product: each as if it were alone, to rounding."""

import dataclasses

import numpy as np
import pytest
import torch

from benchmark.protocol import Protocol
from benchmark.training import loop
from benchmark.training.bank import Member, Trained, Trainee
from benchmark.training.decoding import passes
from benchmark.training.optimizing import optimizer
from benchmark.training.prediction import Task
from benchmark.training.stacking import StackedOptimizer, learners, units
from decoders.batchnorm_linear import CANDIDATES, BatchNormLinear
from tests.decoder_factory import BATCH, LEVELS, MULTI, SINGLE, VIEWS, Features, same, smoke_protocol, split, weights

RATES = (1e-4, 1e-3, 1e-2, 3e-2)
WIDTH = 5


def build(_: torch.Generator, candidate: str) -> BatchNormLinear:
    return BatchNormLinear(LEVELS, VIEWS, WIDTH, candidate, 3)


def with_embeddings(task: Task, images: int, seed: int) -> Features:
    """Means of maps, and embeddings behind them that tell the classes apart."""
    plain = split(task, images, seed)
    means = tuple(level.float().mean((3, 4), keepdim=True) for level in plain.maps)
    together = torch.cat([one.flatten(1) for one in means], dim=1)[:, :WIDTH]
    return Features((*means, together[:, None, :, None, None]), plain.truth)


def trained(bank: list[Member], task: Task, rules: Protocol, images: int = 25) -> list[Trained]:
    sources = with_embeddings(task, images, 1), with_embeddings(task, 24, 2)
    return loop.train(bank, task, *sources, protocol=rules)


def bank_of(*rates: float, seeds: int = 1) -> list[Member]:
    rules = dataclasses.replace(smoke_protocol(), learning_rates=rates, seeds=seeds)
    return loop.members({"none": build}, rules, CANDIDATES)  # type: ignore[dict-item]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("task", [SINGLE, MULTI], ids=["single", "multi"])
def test_every_candidate_of_a_stack_equals_training_alone(task: Task, optimizer: str) -> None:
    # 25 images in batches of 8: the last batch of an epoch is a single image, which passes the norm otherwise.
    rules = dataclasses.replace(smoke_protocol(), optimizer=optimizer, momentum=0.9, weight_decay=0.05, patience=None)
    bank = bank_of(*RATES)
    for member, one in zip(bank, trained(bank, task, rules), strict=True):
        (alone,) = trained([member], task, rules)
        assert one.outcome.history == pytest.approx(alone.outcome.history, abs=1e-5)
        assert one.outcome.best_epoch == alone.outcome.best_epoch
        for name, value in weights(alone).items():
            torch.testing.assert_close(weights(one)[name], value, rtol=1e-5, atol=1e-5)
        assert one.member is member


def test_candidates_stop_and_fail_alone() -> None:
    rules = dataclasses.replace(smoke_protocol(), optimizer="sgd", momentum=0.9, epochs=8, patience=1)
    bank = bank_of(1e-4, 1e-2, 3e-2, 1e30)
    stacked = trained(bank, SINGLE, rules)
    assert {one.outcome.ended for one in stacked} >= {"diverged", "early"}
    assert len({len(one.outcome.history) for one in stacked if one.decoder}) > 1, "they leave at different times"
    for member, one in zip(bank, stacked, strict=True):
        (alone,) = trained([member], SINGLE, rules)
        assert (one.outcome.ended, one.outcome.best_epoch) == (alone.outcome.ended, alone.outcome.best_epoch)
        assert (one.decoder is None) == (member.learning_rate == 1e30)
        if alone.decoder is not None:
            for name, value in weights(alone).items():
                torch.testing.assert_close(weights(one)[name], value, rtol=1e-5, atol=1e-5)


def test_who_else_is_trained_and_how_much_memory_there_is_changes_no_bit() -> None:
    rules = dataclasses.replace(smoke_protocol(), epochs=2)
    both = bank_of(*RATES, seeds=2)
    first = [member for member in both if member.seed == 0]
    together = {one.member.key: one for one in trained(both, SINGLE, rules)}
    assert all(same(one, together[one.member.key]) for one in trained(first, SINGLE, rules))
    grids = units(both, "bn_linear")
    assert [len(grid) for grid in grids] == [len(RATES)] * 2 * len(CANDIDATES)
    assert [len(some) for some in passes(grids, {"none": 10**6}, 1)] == [1] * len(grids), "a grid is never cut"
    assert units(both, "pooled") == [[member] for member in both]


def test_a_stack_makes_one_product_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    products: list[tuple[int, ...]] = []
    original = torch.nn.functional.linear

    def noting(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        products.append(tuple(weight.shape))
        return original(x, weight, bias)

    monkeypatch.setattr(torch.nn.functional, "linear", noting)
    task, rules = SINGLE, smoke_protocol()
    bank = [one for one in bank_of(*RATES) if one.candidate == "embedding"]
    (stack,) = learners([Trainee(member, task, rules, 10, "cpu") for member in bank])
    features = with_embeddings(task, BATCH, 1)
    stack.learn(features.read(np.arange(BATCH)), torch.from_numpy(features.truth))
    assert products == [(len(RATES) * 3, WIDTH)]


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_stacked_optimisers_move_each_row_as_pytorchs_do(name: str) -> None:
    rules = dataclasses.replace(smoke_protocol(), optimizer=name, momentum=0.9, weight_decay=0.1)
    generator = torch.Generator().manual_seed(0)
    start, targets = (torch.randn(len(RATES), 3, 2, generator=generator) for _ in range(2))
    rows = [torch.nn.Parameter(one.clone()) for one in start]
    own = [optimizer([row], rules, rate) for row, rate in zip(rows, RATES, strict=True)]
    stacked, ours = start.clone(), StackedOptimizer(rules)
    for _ in range(6):
        ours.step([stacked], [2 * (stacked - targets)], own)
        for row, one, target in zip(rows, own, targets, strict=True):
            one.zero_grad()
            (row - target).square().sum().backward()
            one.step()
    torch.testing.assert_close(stacked, torch.stack([row.detach() for row in rows]), rtol=1e-6, atol=1e-6)
