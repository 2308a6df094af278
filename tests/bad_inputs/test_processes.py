"""Ten bad inputs as a user's shell meets them, each in a process of its own; and how many there are in all."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bad_inputs import (
    test_caches,
    test_checkpoints,
    test_options,
    test_overrides,
    test_partitions,
    test_paths,
    test_results,
    test_samples,
    test_texts,
)
from tests.bad_inputs.case import Case, Ended, Place, check, prepare, run_as_process
from tests.hostile_pickles import CANARY

CASES: list[Case] = [
    *test_caches.cases(),
    *test_checkpoints.cases(),
    *(test_options.option_cases()),
    *(test_options.positional_cases()),
    *test_options.TYPOS,
    *test_overrides.cases(),
    *test_overrides.misspelt(),
    *test_partitions.cases(),
    *test_paths.cases(),
    *test_results.cases(),
    *(test_samples.case(name, *told) for name, told in (test_samples.FILES | test_samples.CONTENT).items()),
    *test_texts.damaged(),
    *test_texts.wrong(),
    *test_texts.tables(),
]
AS_PROCESSES = (
    *("partition: a typo", "override: interpolation", "is nested without end", "a sample that steers the terminal"),
    *("ends in its middle", "metadata is a call", "encoder: calls os.system", "dataset: laughs a billion times"),
    *("report: holds NaN", "data: one level too low"),
)
"""Cases whose command imports no deep-learning framework: a process is a second."""


def test_there_are_more_than_a_thousand_bad_inputs() -> None:
    assert len({(case.argv, case.name) for case in CASES}) > 1000


def test_ten_of_them_end_so_as_processes(tmp_path: Path, shared: Path, written: Callable[[str], Path]) -> None:
    chosen = [next(case for case in CASES if case.name == name) for name in AS_PROCESSES]
    assert len(chosen) == 10
    places = [Place(tmp_path / str(number), shared) for number in range(len(chosen))]
    commands = [prepare(case, place, written) for case, place in zip(chosen, places, strict=True)]
    with ThreadPoolExecutor(2) as pool:
        ended: list[Ended] = list(pool.map(run_as_process, commands, places))
    for case, one, place in zip(chosen, ended, places, strict=True):
        check(case, one, place)
        assert not list(place.folder.rglob(CANARY)), case
