"""What validation chooses among trained decoders, and the only way from there to the test split."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from benchmark.training.bank import Trained
from benchmark.training.feeding import FeatureSource
from benchmark.training.prediction import Prediction, Task, predict_each
from encoders.errors import UserError


@dataclass(frozen=True)
class Choice:
    """The learning rate, and the candidate of several heads, that validation chose for a name.

    Attributes:
        validation: mean validation metric over the seeds at that rate.
        chosen: the members at that rate, one a seed, ascending.
        grid: learning rate -> mean validation metric of that candidate, ascending; None where a seed diverged.
        flags: what a reader of the number must know, a sentence each.
    """

    name: str
    learning_rate: float
    validation: float
    chosen: tuple[Trained, ...]
    grid: dict[float, float | None]
    flags: tuple[str, ...]
    candidate: str = ""

    @property
    def on_edge(self) -> bool:
        """Whether the rate is the smallest or largest of several."""
        return len(self.grid) > 1 and self.learning_rate in (min(self.grid), max(self.grid))


def choose(name: str, trained: Sequence[Trained]) -> Choice:
    """The rate, and candidate, of the highest mean validation metric over seeds, the smaller rate of equals.

    A rate at which a seed diverged is out: one would not train with it.

    Args:
        trained: all members of the name, every seed at every rate.

    Raises:
        UserError: at every rate a seed diverged.
        ValueError: rates with different seeds.
    """
    rows: dict[tuple[float, str], list[Trained]] = {}
    for one in sorted(trained, key=lambda one: (one.member.learning_rate, one.member.seed)):
        rows.setdefault((one.member.learning_rate, one.member.candidate), []).append(one)
    seeds = {tuple(one.member.seed for one in row) for row in rows.values()}
    if len(seeds) != 1:
        raise ValueError(f"{name}: every learning rate needs the same seeds, got {sorted(seeds)}")
    every = {key: _mean(row) for key, row in rows.items()}
    means = {key: value for key, value in every.items() if value is not None}
    if not means:
        reason = next(one.outcome.reason for one in trained if one.outcome.validation is None)
        raise UserError(f"{name}: no learning rate trained every seed ({reason}); add smaller learning_rates")
    # The first of equals is the smallest: the rates ascend.
    rate, candidate = best = max(means, key=lambda one: means[one])
    grid = {of: value for (of, head), value in every.items() if head == candidate}
    flags = (f"validation chose the head on {candidate}",) if candidate else ()
    choice = Choice(name, rate, means[best], tuple(rows[best]), grid, (*flags, *_diverged(trained)), candidate)
    if choice.on_edge:
        edge = f"the chosen learning rate {rate:g} lies on the edge of the grid"
        choice = replace(choice, flags=(edge, *choice.flags))
    return choice


def select(trained: Sequence[Trained]) -> "Selection":
    """Let validation choose a learning rate for every name of a bank."""
    choices, failures = {}, {}
    for name in dict.fromkeys(one.member.name for one in trained):
        try:
            choices[name] = choose(name, [one for one in trained if one.member.name == name])
        except UserError as error:
            failures[name] = error
    return Selection(choices, failures)


class Selection:
    """The choices by name, and the one door to the test split.

    Attributes:
        choices: by name.
        failures: by name, why validation could choose none.
        test_reads: how often the test split was read, by member key.
    """

    def __init__(self, choices: dict[str, Choice], failures: dict[str, UserError] | None = None) -> None:
        self.choices = choices
        self.failures = failures or {}
        self.test_reads: Counter[tuple[str | float, ...]] = Counter()

    def score_chosen(
        self,
        trained: Sequence[Trained],
        task: Task,
        source: FeatureSource,
        *,
        batch_size: int,
        device: str = "cpu",
    ) -> list[Prediction]:
        """Chosen members' predictions on the test split, once, in one pass over it.

        Raises:
            AssertionError: validation did not choose a member, or test has been read for it.
            UserError: as `predict_each`.
        """
        for one in trained:
            key = one.member.key
            choice = self.choices.get(one.member.name)
            # Raised, not asserted: `python -O` must not open the door.
            if choice is None or not any(one is member for member in choice.chosen):
                raise AssertionError(f"{key} was not chosen by validation, so it may not see the test split")
            if self.test_reads[key]:
                raise AssertionError(f"{key} has been scored on the test split; test is read once")
        self.test_reads.update(one.member.key for one in trained)
        decoders = [one.decoder for one in trained if one.decoder is not None]
        assert len(decoders) == len(trained)
        return predict_each(decoders, task, source, batch_size=batch_size, device=device)


def _mean(row: list[Trained]) -> float | None:
    values = [one.outcome.validation for one in row]
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def _diverged(trained: Sequence[Trained]) -> tuple[str, ...]:
    lost = [one.outcome for one in trained if one.outcome.ended == "diverged"]
    return tuple(f"a member left training: seed {outcome.seed}, {outcome.reason}" for outcome in lost)
