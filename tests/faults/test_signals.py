"""Ctrl-C and SIGTERM end a command within five seconds, say how to go on, and lose nothing."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from benchmark.stopping import Stopped, stoppable
from tests.faults.attempt import Attempt, command_line
from tests.faults.whole import Results, check_finished, check_interrupted, command, litter

LONG = pytest.mark.skipif("SATDIFUSER_BENCH_LONG" not in os.environ, reason="set SATDIFUSER_BENCH_LONG=1")
SECONDS = 10.0
"""Five are promised; on a machine that is busy with other things the process has to get a turn first."""
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def stop(attempt: Attempt, number: signal.Signals) -> None:
    """Send the signal, and see the command end as it should."""
    assert attempt.process.pid is not None
    start = time.monotonic()
    os.kill(attempt.process.pid, number)
    code = attempt.end()
    assert time.monotonic() - start < SECONDS
    assert code == EXIT_CODES[number], attempt.said
    assert attempt.said.splitlines()[-1] == "stopped; run the same command to go on, nothing finished is done twice"
    assert "Traceback" not in attempt.said


def multiply() -> None:
    """One step of the framework that takes half a minute, in which Python sees no signal."""
    import torch

    torch.linalg.multi_dot([torch.ones(6000, 6000)] * 9)


def test_a_signal_in_any_stage_also_during_a_long_step_of_the_framework(
    root: Path, undisturbed: Results, tmp_path: Path
) -> None:
    home, output = tmp_path / "home", tmp_path / "out"
    encode = "benchmark.features.extraction:Extraction._encode"
    for number, place, hooks in (
        (signal.SIGINT, "benchmark.data.manifest:_ingest", {}),
        (signal.SIGTERM, encode, {encode: multiply}),
        (signal.SIGINT, "benchmark.training.decoding:train_and_score", {}),
    ):
        attempt = Attempt(command(root, output), home, hooks)
        attempt.reach(place)
        time.sleep(0.2)
        stop(attempt, number)
        check_interrupted(output, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=LONG)])
def test_a_signal_under_local_ends_its_workers(root: Path, number: signal.Signals, tmp_path: Path) -> None:
    output = tmp_path / "out"
    attempt = Attempt(command(root, output, "--executor", "local", "executor.workers=2"), tmp_path / "home")
    workers = attempt.workers(2)
    stop(attempt, number)
    # A killed process is still there until the system has taken it down, which a busy machine puts off.
    deadline = time.monotonic() + 5
    while any(command_line(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(command_line(pid) for pid in workers)


@LONG
def test_a_signal_while_workers_train_and_the_same_command_goes_on(
    root: Path, undisturbed: Results, tmp_path: Path
) -> None:
    home, output = tmp_path / "home", tmp_path / "out"
    arguments = command(root, output, "--executor", "local", "executor.workers=2")
    attempt = Attempt(arguments, home)
    while not list((output / "records").glob("*.json")):
        time.sleep(0.05)
    stop(attempt, signal.SIGINT)
    assert Attempt(arguments, home).end() == 0
    check_finished(output, home, undisturbed)


@LONG
@pytest.mark.parametrize("stage", ["ingest", "extraction", "training", "record", "report"])
def test_a_signal_at_every_stage_and_the_same_command_goes_on(
    root: Path, stage: str, undisturbed: Results, tmp_path: Path
) -> None:
    home, output = tmp_path / "home", tmp_path / "out"
    attempt = Attempt(command(root, output), home)
    attempt.reach(stage, 2)
    stop(attempt, signal.SIGTERM)
    assert not [path for path in litter(home) if path.name.endswith(".tmp")]
    again = Attempt(command(root, output), home)
    assert again.end() == 0, again.said
    check_finished(output, home, undisturbed)


class Dropping:
    """Its finaliser gets a signal, and Python drops what that raises."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_a_signal_that_falls_into_a_finaliser_is_not_lost_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: told.append(dropped.exc_value))
    with stoppable() as stop_if_asked:
        stop_if_asked()
        Dropping()
        with pytest.raises(Stopped):
            stop_if_asked()
    assert not told
