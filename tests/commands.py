"""Commands as a user types them: in this process through `main`, without a network, or as a process."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import evaluate

ROOT = Path(__file__).parent.parent
DEMO = ("--demo", "--dataset", "real-chesapeake-patches")
# Two strengths of regularisation instead of 21: what these tests prove doesn't hang on the grid.
SHORT = ("protocol.linear_c.low=1e-2", "protocol.linear_c.high=1", "protocol.linear_c.values=2")


def run(home: Path, *arguments: str) -> int:
    """The exit code of a command in a home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SATDIFUSER_BENCH_HOME", str(home))
        patch.delenv("GEO_BENCH_DIR", raising=False)
        patch.setattr(socket.socket, "connect", no_network)
        return evaluate.main(list(arguments))


def refused(home: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail as a user's mistake; its one line of error."""
    assert run(home, *arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    return errors[0]


def process(home: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python process that runs `code` with these arguments."""
    environment = {**os.environ, "SATDIFUSER_BENCH_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def no_network(*_: object) -> None:
    """Takes the place of `socket.connect`."""
    raise AssertionError("the network was touched")
