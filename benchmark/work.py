"""The one function that every executor runs, wherever it runs it: from cells to their records on the shared folders.

What stops a cell is data: a result that says why. Whoever runs the same cells again does only what is missing.
"""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark import evaluation, ingest
from benchmark.atomic import write_atomically
from benchmark.cells import Cell, Resolved, identify, plan_inputs, resolve
from benchmark.inputs import ImpossibleError
from benchmark.places import Places
from benchmark.records import RecordStore, Run
from encoders import checkpoints
from encoders.errors import explain

Outcome = Literal["done", "skipped", "impossible", "failed"]


@dataclass(frozen=True)
class CellResult:
    """How a cell ended; `message` says why where there is no record."""

    cell: Cell
    outcome: Outcome
    message: str = ""


def failed(cell: Cell, reason: str) -> CellResult:
    """A cell that failed for a reason."""
    return CellResult(cell, "failed", reason)


def recorded(cell: Cell, places: Places) -> tuple[Run, ...]:
    """The cell's runs if all their records are there, else none, as far as can be told without reading data anew.

    Raises:
        UserError: the cell cannot be planned, or its data or weights are missing.
    """
    plan = plan_inputs(cell)
    data = ingest.fingerprints_if_ingested(cell.dataset, places.data_root, places.ingest_dir, cell.settings.partition)
    if data is None:
        return ()
    weights = checkpoints.weights_sha256(cell.card, places.weights_dir, plan.side)
    runs = identify(cell, plan, weights, data)
    return runs if all(RecordStore(places.output).has(run.key) for run in runs) else ()


def skipped(cell: Cell, runs: Sequence[Run], places: Places) -> CellResult:
    """A cell whose records are there: they also stand for its row from now on."""
    for run in runs:
        RecordStore(places.output).add_row(run.key, cell.row, cell.row_title)
    return CellResult(cell, "skipped", "its record is there")


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
        _stopped(resolved.cell, error, places) if error else CellResult(resolved.cell, "done")
        for resolved, error in zip(waiting, errors, strict=True)
    ]


def _stopped(cell: Cell, error: Exception, places: Places) -> CellResult:
    if isinstance(error, ImpossibleError):
        return CellResult(cell, "impossible", str(error))
    return failed(cell, explain(error) or _bug(error, cell, places))


def _bug(error: Exception, cell: Cell, places: Places) -> str:
    """Keep the traceback of what should not happen, and say where."""
    name = cell.title.replace(" / ", "-") + ".txt"
    path = write_atomically(places.output / "errors" / name, "".join(traceback.format_exception(error)).encode())
    return f"{type(error).__name__} ({error}), which is a bug of this project: please report it with {path}"
