"""What every family of bad inputs shares: small roots written once, and a place of its own for each case."""

import functools
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.data import datasets, ingest
from tests import writing
from tests.bad_inputs.case import Case, Ended, Place, check, prepare, run

SIZES = {"m-eurosat": (12, 4, 5), "m-pv4ger-seg": (4, 2, 2), "m-bigearthnet": (4, 2, 2)}
"""Train, valid and test of the datasets cases use: single label, masks, several labels."""


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of all cases, not to be changed."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="session")
def written(shared: Path) -> Callable[[str], Path]:
    """A dataset of a small root, written the first time it is asked for; not to be changed."""
    root = shared / "root"

    def get(name: str) -> Path:
        found = list(root.glob(f"*/{name}"))
        return found[0] if found else writing.write_dataset(root, name, SIZES[name])

    return get


@pytest.fixture(scope="session")
def read(shared: Path, written: Callable[[str], Path]) -> Callable[[str], None]:
    """A dataset of the shared root, read into the shared arrays the first time it is asked for."""

    @functools.cache
    def get(name: str) -> None:
        written(name)
        ingest.open_dataset(datasets.dataset(name), shared / "root", shared / "data")

    return get


@pytest.fixture
def place(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Folders of this case alone; the working folder is one of them, and there is no network."""
    made = Place(tmp_path, shared)
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
def refuses(
    place: Place,
    written: Callable[[str], Path],
    read: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> Callable[[Case], Ended]:
    """Run a case in this process and check what must be so after it."""

    def refuse(case: Case) -> Ended:
        for name in case.read:
            read(name)
        ended = run(prepare(case, place, written), place, capsys)
        check(case, ended, place)
        return ended

    return refuse
