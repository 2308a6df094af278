"""An undisturbed run of the small grid, once for all faults."""

import pytest

from tests.faults.attempt import Attempt
from tests.faults.whole import Results, command, results


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What the grid gives where nothing goes wrong."""
    folder = tmp_path_factory.mktemp("undisturbed")
    attempt = Attempt(command(folder / "out"), folder / "home")
    assert attempt.end() == 0, attempt.said
    found = results(folder / "out")
    assert len(found.cells) == 4
    return found
