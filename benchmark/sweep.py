"""A grid of runs: plan every cell, skip what is done, go on past what fails, say at the end what did."""

import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark import evaluation, ingest
from benchmark.atomic import remove_litter, write_atomically
from benchmark.cells import Cell, Resolved, identify, plan_inputs, resolve
from benchmark.inputs import ImpossibleError
from benchmark.places import Places
from benchmark.records import RecordStore
from encoders import checkpoints
from encoders.errors import UserError, explain

Outcome = Literal["done", "skipped", "impossible", "failed"]


@dataclass(frozen=True)
class CellResult:
    """How a cell ended; `message` says why where there is no record."""

    cell: Cell
    outcome: Outcome
    message: str = ""


def plan_lines(cells: Sequence[Cell], places: Places) -> list[str]:
    """What a sweep would do, a line a cell, without doing any of it."""
    return [f"{cell.title}: {_state(cell, places)}" for cell in cells]


def _state(cell: Cell, places: Places) -> str:
    try:
        plan = plan_inputs(cell)
        ingest.source_folder(cell.dataset, places.data_root)
    except ImpossibleError as error:
        return f"impossible: {error}"
    except UserError as error:
        return f"waits: {error}"
    fed = f"{plan.summary()} bands, {plan.side} px, value rule: {plan.authority}"
    missing = checkpoints.missing_files(cell.card, places.weights_dir, plan.side)
    if missing:
        return f"waits for weights ({len(missing)} files are missing); {fed}"
    data = ingest.fingerprints_if_ingested(cell.dataset, places.data_root, places.ingest_dir, cell.settings.partition)
    if data is not None:
        weights = checkpoints.weights_sha256(cell.card, places.weights_dir, plan.side)
        runs = identify(cell, plan, weights, data)
        if all(RecordStore(places.output).has(run.key) for run in runs):
            return f"done; {fed}"
    return f"would run; {fed}"


def sweep(cells: Sequence[Cell], places: Places) -> list[CellResult]:
    """Run the cells one after another; a cell that fails never stops the others.

    Raises:
        OSError: a folder that results must go to cannot be made; before anything is computed.
    """
    for folder in (places.output / "records", places.output / "predictions", places.features_dir, places.ingest_dir):
        folder.mkdir(parents=True, exist_ok=True)
        remove_litter(folder)
    results: list[CellResult] = []
    for group in grouped(cells):
        for cell in group:
            number = len(results) + 1 + group.index(cell)
            print(f"[{number}/{len(cells)}] {cell.title}", file=sys.stderr, flush=True)
        results += _run(group, places)
    return results


def grouped(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Neighbouring cells that can be trained on one stream of features, together."""
    groups: list[list[Cell]] = []
    for cell in cells:
        if groups and groups[-1][0].shares_training(cell):
            groups[-1].append(cell)
        else:
            groups.append([cell])
    return groups


def _run(group: Sequence[Cell], places: Places) -> list[CellResult]:
    """Run the cells of a group that have no records yet; what stops one doesn't stop the others."""
    results: dict[str, CellResult] = {}
    waiting: list[Resolved] = []
    for cell in group:
        try:
            resolved = resolve(cell, places)
            if all(RecordStore(places.output).has(run.key) for run in resolved.runs):
                results[cell.title] = CellResult(cell, "skipped", "its record is there")
            else:
                waiting.append(resolved)
        except Exception as error:
            results[cell.title] = _stopped(cell, error, places)
    for result in _evaluated(waiting, places):
        results[result.cell.title] = result
    return [results[cell.title] for cell in group]


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
    return CellResult(cell, "failed", explain(error) or _bug(error, cell, places))


def _bug(error: Exception, cell: Cell, places: Places) -> str:
    """Keep the traceback of what should not happen, and say where."""
    name = cell.title.replace(" / ", "-") + ".txt"
    path = write_atomically(places.output / "errors" / name, "".join(traceback.format_exception(error)).encode())
    return f"{type(error).__name__} ({error}), which is a bug of this project: please report it with {path}"
