"""The one function that every executor runs, wherever it runs it: from cells to their records on the shared folders.

What stops a cell is data: a result that says why, and an error record if it failed. Whoever runs the same cells again
does only what is missing.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark import evaluation, memory
from benchmark.data.inputs import ImpossibleError
from benchmark.grid import failures
from benchmark.grid.cells import Cell
from benchmark.grid.identity import Resolved, resolve
from benchmark.places import Places
from benchmark.record_store import RecordStore
from benchmark.records import Run
from encoders.errors import UserError, explain

Outcome = Literal["done", "skipped", "impossible", "failed"]


@dataclass(frozen=True)
class CellResult:
    """How a cell ended; `message` says why where there is no record."""

    cell: Cell
    outcome: Outcome
    message: str = ""


class DiedError(UserError):
    """What ran a cell ended before the cell did."""


def failed(cell: Cell, error: Exception, places: Places) -> CellResult:
    """A cell that failed, with its error record."""
    kept = failures.keep(cell, error, places.output)
    bug = f"{type(error).__name__} ({error}), which is a bug of this project: please report it with {kept}"
    return CellResult(cell, "failed", explain(error) or bug)


def skipped(cell: Cell, runs: Sequence[Run], places: Places) -> CellResult:
    """A cell whose records are there: they also stand for its row and in its experiments from now on."""
    for run in runs:
        RecordStore(places.output).ask(run.key, {cell.row: cell.row_title}, cell.variant, cell.experiments)
    return _ended(cell, "skipped", places, "its record is there")


def impossible(cell: Cell, why: str, places: Places) -> CellResult:
    """A cell that nothing can be fed in; an error record says so to the reports."""
    failures.keep(cell, ImpossibleError(why), places.output)
    return CellResult(cell, "impossible", why)


def _ended(cell: Cell, outcome: Outcome, places: Places, message: str = "") -> CellResult:
    """A cell that ended without an error; one from before is over."""
    failures.forget(cell, places.output)
    return CellResult(cell, outcome, message)


def work(group: Sequence[Cell], places: Places) -> list[CellResult]:
    """Run the cells of a group that have no records yet; what stops one doesn't stop the others."""
    results: dict[str, CellResult] = {}
    waiting: list[Resolved] = []
    for cell in group:
        try:
            resolved = resolve(cell, places)
            if all(RecordStore(places.output).has(run.key) for run in resolved.runs):
                results[cell.label] = skipped(cell, resolved.runs, places)
            else:
                waiting.append(resolved)
        except Exception as error:
            results[cell.label] = _stopped(cell, error, places)
    for result in _evaluated(waiting, places):
        results[result.cell.label] = result
    return [results[cell.label] for cell in group]


def assist(group: Sequence[Cell], places: Places) -> None:
    """Encode images for a group that another process runs. What goes wrong is told by that one, which meets it too."""
    with contextlib.suppress(Exception):
        evaluation.assist(resolve(group[0], places), places)


def _evaluated(waiting: Sequence[Resolved], places: Places) -> list[CellResult]:
    if not waiting:
        return []
    try:
        errors = evaluation.evaluate(waiting, places)
    except Exception as error:
        if len(waiting) > 1:  # together they fell; which of them stands alone?
            return [result for one in waiting for result in _evaluated([one], places)]
        return [_stopped(waiting[0].cell, error, places)]
    return [
        _stopped(resolved.cell, error, places) if error else _ended(resolved.cell, "done", places)
        for resolved, error in zip(waiting, errors, strict=True)
    ]


def _stopped(cell: Cell, error: Exception, places: Places) -> CellResult:
    if isinstance(error, ImpossibleError):
        return impossible(cell, str(error), places)
    if memory.ran_out(error):
        error = UserError(f"{memory.sentence(error)}; {memory.REMEDY}")
    return failed(cell, error, places)
