"""Error records: why a cell has no record, one JSON file a cell in `errors/`, gone once the cell succeeds."""

import contextlib
import re
import shlex
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmark.atomic import write_atomically
from benchmark.data.inputs import ImpossibleError
from benchmark.grid.cells import Cell
from benchmark.request.rows import Row
from encoders.errors import UserError, explain, strict, to_json, validate_json

IMPOSSIBLE = ImpossibleError.__name__


@strict
@dataclass(frozen=True)
class Failure:
    """How a cell failed.

    Attributes:
        type: the exception's class; `IMPOSSIBLE` where nothing sensible can be fed, so that no trying again helps.
        message: for a mistake the user can mend, the sentence that names the remedy.
        traceback: of a bug; empty for a mistake the user can mend.
        config: the cell, as a record's provenance keeps it.
        created: UTC, ISO 8601.
    """

    title: str
    type: str
    message: str
    traceback: str
    config: dict[str, object]
    created: str


def path_of(cell: Cell, output: Path) -> Path:
    """Where a cell's error record lies, or would lie: title, and digits of what tells it from cells of that title."""
    return output / "errors" / f"{re.sub(r'[^A-Za-z0-9._]+', '-', cell.title)}-{cell.digits}.json"


def keep(cell: Cell, error: Exception, output: Path) -> Path:
    """Write a cell's error record, unless it is there and says the same.

    Where it can't be written, the error is still told and no other cell is stopped.
    """
    known = explain(error)
    failure = Failure(
        title=cell.title,
        type=type(error).__name__,
        message=known or str(error),
        traceback="" if known else "".join(traceback.format_exception(error)),
        config=asdict(cell),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    path = path_of(cell, output)
    with contextlib.suppress(OSError, ValueError):
        if not _says_the_same(path, failure):
            write_atomically(path, to_json(failure))
    return path


def _says_the_same(path: Path, failure: Failure) -> bool:
    """Whether an error record is there that differs in its time alone: a grid meets its impossible cells each time."""
    try:
        kept = validate_json(Failure, path.read_bytes(), str(path))
    except (OSError, UserError):
        return False
    return to_json(replace(kept, created=failure.created)) == to_json(failure)


def read(output: Path) -> list[Failure]:
    """The error records of a results folder, by file name; what is no error record is passed over."""
    found = []
    for path in sorted((output / "errors").glob("*.json")):
        with contextlib.suppress(OSError, UserError):
            found.append(validate_json(Failure, path.read_bytes(), str(path)))
    return found


def forget(cell: Cell, output: Path) -> None:
    """Remove a cell's error record, where there is one."""
    with contextlib.suppress(OSError):
        path_of(cell, output).unlink(missing_ok=True)


def retry_command(options: Mapping[str, object], rows: Sequence[Row], failed: Sequence[Cell]) -> str:
    """The command that runs failed cells alone again, from the options of the one they failed in.

    That is the same command for their rows on their datasets: what of these is done is skipped. Where it named no
    rows or datasets (`--demo`), it is the same command.
    """
    given = dict(options)
    overrides = given.pop("overrides", None) or []
    assert isinstance(overrides, list)
    if given["encoder"] and given["dataset"]:
        again = {(cell.row, cell.fusion.name) for cell in failed}
        names = (row.given for row in rows if (row.name, row.fusion.name) in again)
        given["encoder"] = ",".join(dict.fromkeys(names))
        given["dataset"] = ",".join(dict.fromkeys(cell.dataset.given for cell in failed))
        given["fusion"] = None
    words = [(f"--{name.replace('_', '-')}", value) for name, value in given.items() if value not in (None, False)]
    flags = [name if value is True else f"{name}={value}" for name, value in words]
    return shlex.join(["uv", "run", "evaluate.py", *flags, *overrides])
