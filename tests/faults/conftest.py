"""An undisturbed run of the small grid, once for all faults."""

from pathlib import Path

import pytest

from tests.faults.attempt import Attempt
from tests.faults.whole import Results, command, results


@pytest.fixture(scope="session")
def root(geobench_written: Path) -> Path:
    """The data of the grid that are not bundled."""
    return geobench_written


@pytest.fixture(scope="session")
def undisturbed_attempt(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Attempt:
    """The grid where nothing goes wrong."""
    folder = tmp_path_factory.mktemp("undisturbed")
    attempt = Attempt(command(root, folder / "out"), folder / "home")
    assert attempt.end() == 0, attempt.said
    return attempt


@pytest.fixture(scope="session")
def undisturbed(undisturbed_attempt: Attempt) -> Results:
    """What it gives."""
    found = results(undisturbed_attempt.home.parent / "out")
    assert len(found.cells) == 4
    return found
