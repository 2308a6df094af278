"""The decoder bank: every member learns as if it were alone, and learns what is there."""

import dataclasses
import functools
import itertools
import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.protocol import Protocol
from benchmark.training import loop
from benchmark.training.bank import Member, Snapshot, Trainee, initialised
from benchmark.training.loop import train
from benchmark.training.prediction import Collector, Task, predict
from benchmark.training.selection import choose, select
from decoders.decoder import Decoder
from decoders.fusion import build_fuser
from decoders.heads import PooledClassifier
from encoders.errors import UserError
from tests.decoder_factory import (
    BATCH,
    FEW,
    GW,
    LEVELS,
    MASKS,
    MEAN,
    MOE,
    MULTI,
    SINGLE,
    SMALL,
    UPERNET,
    UPERNET_MOE,
    VIEWS,
    Features,
    linear,
    pooled,
    run,
    same,
    smoke_protocol,
    split,
    weights,
)


@pytest.fixture
def smoke() -> Protocol:
    return smoke_protocol()


# --- the bank

BANKS: dict[str, tuple[Task, list[Callable[[torch.Generator], Decoder]]]] = {
    "classification": (SINGLE, [GW, MOE, MEAN]),
    "multi-label": (MULTI, [MOE, MEAN, GW]),
    "segmentation": (MASKS, [UPERNET, UPERNET_MOE, linear]),
}


@pytest.mark.parametrize("kind", BANKS)
def test_each_member_of_a_bank_equals_training_alone_bit_for_bit(kind: str, smoke: Protocol) -> None:
    task, builds = BANKS[kind]
    bank = [Member(str(n), n, (1e-3, 3e-3, 1e-2)[n], build) for n, build in enumerate(builds)]
    together = run(bank, task, smoke)
    for member, trained in zip(bank, together, strict=True):
        (alone,) = run([member], task, smoke)
        assert same(trained, alone)
        assert trained.outcome == alone.outcome
        fresh = initialised(member, "cpu").state_dict()
        assert any(not torch.equal(fresh[key], value) for key, value in weights(trained).items())


def test_two_runs_give_equal_bytes_whatever_the_global_generator_holds(smoke: Protocol) -> None:
    bank = [Member("upernet", seed, 1e-2, UPERNET) for seed in (0, 1)]
    torch.manual_seed(1)
    first = run(bank, MASKS, smoke)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = run(bank, MASKS, smoke)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(same(*pair) for pair in zip(first, second, strict=True))
    features = split(MASKS, 10, 3)
    masks = [predict(one.decoder, MASKS, features, batch_size=4).masks for one in (first[0], second[0])]  # type: ignore[arg-type]
    assert masks[0].tobytes() == masks[1].tobytes()  # type: ignore[union-attr]
    assert not same(*first)


@pytest.mark.parametrize(
    ("task", "build"),
    [
        (SINGLE, GW),
        (SINGLE, MEAN),
        (SINGLE, MOE),
        (MULTI, functools.partial(pooled, "lw", SMALL)),
        (MASKS, UPERNET),
        (dataclasses.replace(MASKS, ignored=1), linear),
    ],
)
def test_a_step_and_its_counts_ask_the_device_for_no_value(
    smoke: Protocol, monkeypatch: pytest.MonkeyPatch, task: Task, build: Callable[[torch.Generator], Decoder]
) -> None:
    # MOE is in its warm-up; after it, it asks once. SGD: on the CPU, Adam keeps its step count in a tensor there.
    trainee = Trainee(Member("", 0, 1e-3, build), task, dataclasses.replace(smoke, optimizer="sgd"), 10, "cpu")
    features, collector = split(task, BATCH, 1), Collector(task, keep_masks=False)
    maps, labels = features.read(np.arange(BATCH)), torch.from_numpy(features.truth)
    trainee.decoder.train()

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the host waits for a GPU here")

    for asking in ("item", "tolist", "cpu", "numpy", "nonzero", "bincount", "__bool__", "__int__", "__float__"):
        monkeypatch.setattr(Tensor, asking, refuse)
    monkeypatch.setattr(torch, "bincount", refuse)
    for _ in range(2):
        trainee.learn(maps, labels)
    with torch.no_grad():
        collector.add(task.logits(trainee.decoder.eval(), maps, labels), labels)
    with pytest.raises(AssertionError, match="waits"):
        trainee.check_loss(0)


def test_members_train_in_training_mode_and_are_asked_in_evaluation(
    smoke: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[bool] = []
    original = Decoder.forward

    def noting(self: Decoder, *args: Any) -> Tensor:
        modes.append(self.head.training)
        return original(self, *args)

    monkeypatch.setattr(Decoder, "forward", noting)
    (trained,) = run([Member("upernet", 0, 1e-3, UPERNET)], MASKS, smoke, images=16)
    assert modes == ([True] * 2 + [False] * 3) * smoke.epochs
    assert trained.decoder is not None
    assert not trained.decoder.training


def test_a_seed_gives_initial_weights_and_dropout_of_its_own() -> None:
    one, again, other = (initialised(Member("m", seed, 1e-3, UPERNET), "cpu").train() for seed in (0, 0, 1))
    assert torch.equal(one.head.conv_seg.weight, again.head.conv_seg.weight)  # type: ignore[union-attr, arg-type]
    assert not torch.equal(one.head.conv_seg.weight, other.head.conv_seg.weight)  # type: ignore[union-attr, arg-type]
    ones = torch.ones(4, 64, 1, 1)
    assert torch.equal(one.head.dropout(ones), again.head.dropout(ones))  # type: ignore[operator]
    assert not torch.equal(one.head.dropout(ones), other.head.dropout(ones))  # type: ignore[operator]


def test_features_are_read_once_a_batch_for_the_whole_bank_in_the_shared_order(smoke: Protocol) -> None:
    bank = [Member("mean", seed, 1e-3, MEAN) for seed in range(3)]
    features, val = split(SINGLE, 17, 1), split(SINGLE, 9, 2)
    train(bank, SINGLE, features, val, protocol=smoke)
    epochs = [np.concatenate(features.reads[3 * epoch : 3 * epoch + 3]) for epoch in range(3)]
    assert [len(rows) for rows in features.reads] == [8, 8, 1] * 3  # the last batch, of one image, is kept
    assert len(val.reads) == 2 * 3
    for epoch, rows in enumerate(epochs):
        np.testing.assert_array_equal(np.sort(rows), np.arange(17))
        np.testing.assert_array_equal(rows, loop.data_order(smoke.order_seed, epoch, 17))
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(loop.data_order(1, 0, 17), epochs[0])


def test_an_epoch_shows_every_image_once_in_one_of_its_copies_drawn_anew(smoke: Protocol) -> None:
    plain = split(SINGLE, 9, 1)
    copied = Features(tuple(level.repeat_interleave(4, dim=0) for level in plain.maps), plain.truth.repeat(4))
    copied.variants = 4
    train([Member("mean", 0, 1e-3, MEAN)], SINGLE, copied, split(SINGLE, 9, 2), protocol=smoke)
    epochs = np.concatenate(copied.reads).reshape(3, 9)
    for rows in epochs:
        np.testing.assert_array_equal(np.sort(rows // 4), np.arange(9))
    assert set((epochs % 4).ravel().tolist()) == {0, 1, 2, 3}
    by_image = [rows[np.argsort(rows // 4)] for rows in epochs]
    assert not np.array_equal(by_image[0], by_image[1])


def test_the_rate_follows_the_schedule_over_all_steps(smoke: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    original = torch.optim.AdamW.step

    def noting(self: torch.optim.AdamW, *args: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        assert self.param_groups[0]["weight_decay"] == 0.05
        return original(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", noting)
    run([Member("mean", 0, 1e-2, MEAN)], SINGLE, smoke, images=40, epochs=2, min_steps=19, warmup_fraction=0.1)
    assert len(rates) == 20  # 5 steps an epoch: 4 epochs hold 19 steps
    assert rates[:2] == [5e-3, 1e-2]
    assert rates[2] == 1e-2
    assert all(a > b for a, b in itertools.pairwise(rates[2:]))
    assert 0 < rates[-1] < 1e-3


def test_a_member_whose_loss_is_not_finite_ends_alone_with_its_reason(smoke: Protocol) -> None:
    bank = [Member("mean", 0, 1e-3, MEAN), Member("mean", 0, 1e30, MEAN), Member("gw", 0, 1e-3, GW)]
    healthy, lost, other = run(bank, SINGLE, smoke)
    assert lost.decoder is None
    assert lost.outcome.validation is None
    assert lost.outcome.ended == "diverged"
    assert "NaN or infinite" in lost.outcome.reason
    assert "learning rate 1e+30" in lost.outcome.reason
    assert len(lost.outcome.history) < smoke.epochs
    assert same(healthy, run([bank[0]], SINGLE, smoke)[0])
    assert same(other, run([bank[2]], SINGLE, smoke)[0])
    choice = choose("mean", [healthy, lost])
    assert choice.learning_rate == 1e-3
    assert choice.grid[1e30] is None
    assert any("seed 0" in flag and "NaN" in flag for flag in choice.flags)


def test_a_bank_all_of_whose_members_diverged_ends_and_says_what_to_do(smoke: Protocol) -> None:
    lost = run([Member("mean", seed, 1e30, MEAN) for seed in (0, 1)], SINGLE, smoke, epochs=50)
    (failure,) = select(lost).failures.values()
    assert re.search(r"no learning rate trained every seed \(its loss.*smaller learning_rates", str(failure))


def scripted(values: list[float]) -> Callable[[np.ndarray, np.ndarray], float]:
    given = iter(values)
    return lambda scores, labels: next(given)


@pytest.mark.parametrize(
    ("patience", "history", "best", "ended"),
    [
        (None, [0.1, 0.5, 0.4, 0.5, 0.3, 0.2], 1, "finished"),  # the earliest of equals
        (2, [0.1, 0.5, 0.4, 0.5], 1, "early"),
        (3, [0.1, 0.5, 0.4, 0.3, 0.6, 0.2], 4, "finished"),
        (1, [0.0, 0.0], 0, "early"),
    ],
)
def test_the_best_epoch_is_kept_and_patience_ends_a_member(
    smoke: Protocol, monkeypatch: pytest.MonkeyPatch, patience: int | None, history: list[float], best: int, ended: str
) -> None:
    states: list[dict[str, Tensor]] = []
    original = Trainee.validated

    def noting(self: Trainee, *args: Any) -> None:
        states.append(Snapshot(self.decoder)._state)
        original(self, *args)

    monkeypatch.setattr(Trainee, "validated", noting)
    task = dataclasses.replace(SINGLE, headline=scripted([*history, *[0.0] * 6]))
    (trained,) = run([Member("gw", 0, 1e-2, GW)], task, smoke, epochs=6, patience=patience)
    assert trained.outcome.history == tuple(history)
    assert (trained.outcome.best_epoch, trained.outcome.ended) == (best, ended)
    assert trained.outcome.validation == history[best]
    assert all(torch.equal(states[best][key], value) for key, value in weights(trained).items())
    assert any(not torch.equal(states[-1][key], value) for key, value in weights(trained).items())


def test_a_member_that_stopped_leaves_the_others_as_they_were(smoke: Protocol) -> None:
    bank = [Member("gw", 0, 1e-12, GW), Member("gw", 0, 3e-3, GW)]
    stopped, other = run(bank, SINGLE, smoke, epochs=8, patience=2)
    assert (stopped.outcome.ended, len(stopped.outcome.history)) == ("early", 3)
    (alone,) = run(bank[1:], SINGLE, smoke, epochs=8, patience=2)
    assert same(other, alone)
    assert other.outcome == alone.outcome


def test_a_restored_mixture_of_experts_counts_calls_as_when_it_was_kept(smoke: Protocol) -> None:
    for counter in ("official", "train_only"):
        build = functools.partial(pooled, "moe", FEW | {"counter": counter})
        decoder = initialised(Member("moe", 0, 1e-3, build), "cpu")
        decoder.fuser.calls.count = 7  # type: ignore[union-attr]
        kept = Snapshot(decoder)
        decoder.fuser.calls.count = 900  # type: ignore[union-attr]
        kept.restore(decoder)
        assert decoder.fuser.calls.count == 7  # type: ignore[union-attr]


def test_dropout_from_a_global_generator_is_refused(smoke: Protocol) -> None:
    def global_dropout(_: torch.Generator) -> Decoder:
        fuser = build_fuser("mean", LEVELS, VIEWS)
        head = PooledClassifier(fuser.widths, 3, add=False)
        head.dropout = nn.Dropout(0.5)
        return Decoder(fuser, head)

    with pytest.raises(ValueError, match="Dropout must draw from the member's generator"):
        run([Member("m", 0, 1e-3, global_dropout)], SINGLE, smoke)
    with pytest.raises(ValueError, match="ChannelDropout must draw"):
        run([Member("m", 0, 1e-3, lambda _: UPERNET(torch.Generator()))], MASKS, smoke)


def test_members_and_labels_that_do_not_fit_are_refused(smoke: Protocol) -> None:
    member = Member("mean", 0, 1e-3, MEAN)
    with pytest.raises(ValueError, match="members that differ"):
        run([member, member], SINGLE, smoke)
    features = split(SINGLE, 9, 1)
    for wrong in (features.truth[:, None], features.truth + 1):
        with pytest.raises(ValueError, match=r"labels"):
            train([member], SINGLE, Features(features.maps, wrong), features, protocol=smoke)
    empty = Features(tuple(level[:0] for level in features.maps), features.truth[:0])
    with pytest.raises(UserError, match="the train split is empty"):
        train([member], SINGLE, empty, features, protocol=smoke)


# --- learning


def long(protocol: Protocol) -> Protocol:
    return dataclasses.replace(protocol, epochs=10)


@pytest.mark.parametrize(
    ("task", "build", "learnt", "chance"),
    [(SINGLE, GW, 0.9, 1 / 3), (MULTI, GW, 0.8, 0.5), (MASKS, UPERNET, 0.8, 0.2)],
    ids=["single", "multi", "masks"],
)
def test_what_is_there_is_learnt_and_noise_is_not(
    smoke: Protocol, task: Task, build: Callable[[torch.Generator], Decoder], learnt: float, chance: float
) -> None:
    test = split(task, 120, 3)
    (trained,) = run([Member("m", 0, 1e-2, build)], task, long(smoke), images=64)
    assert trained.decoder is not None
    assert predict(trained.decoder, task, test, batch_size=BATCH).headline(task, test.truth) > learnt
    (deaf,) = run([Member("m", 0, 1e-2, build)], task, long(smoke), images=64, signal=0)
    silent = split(task, 120, 3, signal=0)
    assert deaf.decoder is not None
    assert abs(predict(deaf.decoder, task, silent, batch_size=BATCH).headline(task, silent.truth) - chance) < 0.15


LONG = pytest.mark.skipif(
    "SATDIFUSER_BENCH_LONG" not in os.environ, reason="a CPU makes kernels for each shape: set SATDIFUSER_BENCH_LONG=1"
)


@pytest.mark.parametrize("build", [pytest.param(UPERNET, marks=LONG), pytest.param(UPERNET_MOE, marks=LONG), linear])
def test_bfloat16_decoders_keep_float32_weights_and_score_alike(
    smoke: Protocol, build: Callable[[torch.Generator], Decoder]
) -> None:
    test, found, members = split(MASKS, 60, 3), {}, []
    for dtype in ("float32", "bfloat16"):
        task = dataclasses.replace(MASKS, dtype=dtype)  # type: ignore[arg-type]
        (trained,) = run([Member("m", 0, 1e-2, build)], task, smoke, images=64, epochs=12, learning_rates=(1e-2,))
        assert trained.decoder is not None
        assert {one.dtype for one in trained.decoder.parameters()} == {torch.float32}
        found[dtype] = predict(trained.decoder, task, test, batch_size=BATCH)
        members.append(trained)
    assert not same(*members)
    confusions = [one.confusions for one in found.values()]
    scores = [one.headline(MASKS, test.truth) for one in found.values()]
    assert scores[0] > 0.5
    # Of float32's score, what a bootstrap over the test images leaves open.
    drawn = np.random.default_rng(0).integers(0, len(test), (200, len(test)))
    low = np.quantile([MASKS.headline(confusions[0][rows], test.truth) for rows in drawn], 0.025)
    assert scores[1] >= low


@pytest.mark.parametrize("build", [GW, MEAN, MOE])
def test_losses_and_scores_of_bfloat16_decoders_are_float32(
    smoke: Protocol, build: Callable[[torch.Generator], Decoder]
) -> None:
    task = dataclasses.replace(SINGLE, dtype="bfloat16")
    (trained,) = run([Member("m", 0, 1e-2, build)], task, smoke, images=32)
    assert trained.decoder is not None
    logits = task.logits(trained.decoder, split(SINGLE, BATCH, 1).read(np.arange(BATCH)), torch.zeros(BATCH))
    exact = SINGLE.logits(trained.decoder, split(SINGLE, BATCH, 1).read(np.arange(BATCH)), torch.zeros(BATCH))
    assert logits.dtype == torch.float32
    assert 0 < float((logits - exact).detach().abs().max()) < 0.1 * float(exact.detach().abs().max())
