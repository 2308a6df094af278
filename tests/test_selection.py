"""Validation chooses one learning rate a name; nothing else ever sees the test split, and that once."""

import dataclasses

import numpy as np
import pytest

from benchmark.training import loop
from benchmark.training.bank import Member, Outcome, Trained, initialised
from benchmark.training.selection import Selection, choose, select
from tests.decoder_factory import GW, MEAN, SINGLE, run, smoke_protocol, split


def outcome(rate: float, seed: int, validation: float | None, name: str = "gw") -> Trained:
    ended = "diverged" if validation is None else "finished"
    told = Outcome(name, seed, rate, validation, 0, (), ended, "its loss became NaN", 1)  # type: ignore[arg-type]
    decoder = None if validation is None else initialised(Member(name, seed, rate, MEAN), "cpu")
    return Trained(Member(name, seed, rate, MEAN), told, decoder)


def trained_grid(table: dict[float, list[float | None]]) -> list[Trained]:
    return [outcome(rate, seed, value) for rate, row in table.items() for seed, value in enumerate(row)]


@pytest.mark.parametrize(
    ("table", "rate", "on_edge"),
    [
        ({1e-4: [0.5, 0.5], 1e-3: [0.9, 0.3], 1e-2: [0.1, 0.2]}, 1e-3, False),  # the mean, not the best seed
        ({1e-4: [0.5, 0.5], 1e-3: [0.95, 0.0], 1e-2: [0.1, 0.2]}, 1e-4, True),
        ({1e-2: [0.1, 0.5], 1e-3: [0.5, 0.1], 1e-4: [0.0, 0.0]}, 1e-3, False),  # a tie: the smaller rate
        ({1e-4: [0.1, 0.1], 1e-3: [0.2, 0.2], 1e-2: [0.9, None]}, 1e-3, False),  # a diverged seed: out
        ({1e-3: [0.5, 0.5]}, 1e-3, False),  # one rate has no edge
    ],
)
def test_one_rate_is_chosen_by_the_mean_over_seeds(
    table: dict[float, list[float | None]], rate: float, on_edge: bool
) -> None:
    for members in (trained_grid(table), trained_grid(table)[::-1]):
        choice = choose("gw", members)
        assert (choice.learning_rate, choice.on_edge) == (rate, on_edge)
        assert [one.member.seed for one in choice.chosen] == list(range(len(table[rate])))
        assert all(one.member.learning_rate == rate for one in choice.chosen)
        assert any("edge of the grid" in flag for flag in choice.flags) == on_edge


def test_rates_with_different_seeds_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="the same seeds"):
        choose("gw", trained_grid({1e-4: [0.5, 0.5], 1e-3: [0.9]}))


def test_names_of_one_bank_are_chosen_apart() -> None:
    protocol = dataclasses.replace(smoke_protocol(), learning_rates=(1e-12, 1e-2), seeds=2)
    bank = loop.members({"gw": GW, "mean": MEAN}, protocol)
    assert len(bank) == 8
    trained = run(bank, SINGLE, protocol)
    selection = select(trained)
    assert set(selection.choices) == {"gw", "mean"}
    for choice in selection.choices.values():
        assert choice.learning_rate == 1e-2
        assert choice.on_edge
        values = [one.outcome.validation for one in choice.chosen]
        assert choice.validation == pytest.approx(np.mean(values))  # type: ignore[arg-type]


def test_only_what_validation_chose_sees_test_and_only_once() -> None:
    trained = trained_grid({1e-4: [0.5, 0.5], 1e-3: [0.9, 0.9]})
    selection = select(trained)
    features = split(SINGLE, 6, 3)
    for one in trained[:2]:
        with pytest.raises(AssertionError, match="not chosen by validation"):
            selection.score_chosen([one], SINGLE, features, batch_size=4)
    twin = outcome(1e-3, 0, 0.9)
    with pytest.raises(AssertionError, match="not chosen by validation"):
        selection.score_chosen([twin], SINGLE, features, batch_size=4)
    assert not features.reads
    for one in selection.choices["gw"].chosen:
        assert selection.score_chosen([one], SINGLE, features, batch_size=4)[0].scores is not None
        with pytest.raises(AssertionError, match="test is read once"):
            selection.score_chosen([one], SINGLE, features, batch_size=4)
    assert dict(selection.test_reads) == {("gw", 1e-3, 0): 1, ("gw", 1e-3, 1): 1}
    assert sum(len(rows) for rows in features.reads) == 2 * 6
    with pytest.raises(AssertionError):
        Selection({}).score_chosen([trained[0]], SINGLE, features, batch_size=4)
