"""Commands as a user types them, run in this process through `main`, without a network."""

import socket
from pathlib import Path

import pytest

import evaluate

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


def no_network(*_: object) -> None:
    """Takes the place of `socket.connect`."""
    raise AssertionError("the network was touched")
