"""One checkout of PANGAEA at a time in a test process: the stand-in's, or the real one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

STAND_IN = Path(__file__).parent / "data" / "pangaea"
OWN = ("benchmark.interop.pangaea", "benchmark.interop.pangaea_decoders")
"""Modules of ours that hold classes of PANGAEA's."""


@contextmanager
def checkout(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`$PANGAEA_DIR` and Python's path as a user of PANGAEA has them; what was imported from it is forgotten after."""
    _forget()
    monkeypatch.setenv("PANGAEA_DIR", str(root))
    monkeypatch.setattr(sys, "path", [*sys.path, str(root)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield root
    _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name == "pangaea" or name.startswith("pangaea.") or name in OWN]:
        del sys.modules[name]
        # Hydra finds a class by attributes from the outermost package on.
        package, _, module = name.rpartition(".")
        if package in sys.modules:
            vars(sys.modules[package]).pop(module, None)
