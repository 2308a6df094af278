"""What every family of bad inputs shares: small roots written once, and a place of its own for each case."""

import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import writing
from tests.bad_inputs.case import Case, Ended, Place, check, copy_root, run

SIZES = {"m-eurosat": (12, 4, 5), "m-pv4ger-seg": (4, 2, 2), "m-bigearthnet": (4, 2, 2)}
"""Train, valid and test of the datasets cases use: single label, masks, several labels."""


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A dataset of a small root, written the first time it is asked for; not to be changed."""
    root = tmp_path_factory.mktemp("root")

    def get(name: str) -> Path:
        found = list(root.glob(f"*/{name}"))
        return found[0] if found else writing.write_dataset(root, name, SIZES[name])

    return get


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Folders of this case alone; the working folder is one of them, and there is no network."""
    made = Place(tmp_path)
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GEO_BENCH_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(made.tmp))
    monkeypatch.chdir(made.work)
    monkeypatch.setattr(socket.socket, "connect", _no_network)
    return made


def _no_network(*_: object) -> None:
    raise AssertionError("the network was touched")


@pytest.fixture
def prepared(place: Place, written: Callable[[str], Path]) -> Callable[[Case], list[str]]:
    """Make a case's folders; its command line."""

    def prepare(case: Case) -> list[str]:
        for name in case.datasets:
            source = written(name)
            copy_root(source, place.root / source.parent.name / name)
        if case.spoil:
            case.spoil(place)
        return case.filled(case.argv, place)

    return prepare


@pytest.fixture
def refuses(
    place: Place, prepared: Callable[[Case], list[str]], capsys: pytest.CaptureFixture[str]
) -> Callable[[Case], Ended]:
    """Run a case in this process and check what must be so after it."""

    def refuse(case: Case) -> Ended:
        ended = run(prepared(case), place, capsys)
        check(case, ended, place)
        return ended

    return refuse
