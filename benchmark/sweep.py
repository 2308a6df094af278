"""A grid of runs: plan every cell, skip what is done, go on past what fails, say at the end what did."""

import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark import evaluation, ingest
from benchmark.atomic import remove_litter, write_atomically
from benchmark.evaluation import Cell
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
        plan = evaluation.plan_inputs(cell)
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
        runs = evaluation.identify(cell, plan, weights, data)
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
    results = []
    for number, cell in enumerate(cells, start=1):
        print(f"[{number}/{len(cells)}] {cell.title}", file=sys.stderr, flush=True)
        results.append(_run(cell, places))
    return results


def _run(cell: Cell, places: Places) -> CellResult:
    try:
        resolved = evaluation.resolve(cell, places)
        if all(RecordStore(places.output).has(run.key) for run in resolved.runs):
            return CellResult(cell, "skipped", "its record is there")
        evaluation.evaluate(resolved, places)
    except ImpossibleError as error:
        return CellResult(cell, "impossible", str(error))
    except Exception as error:
        return CellResult(cell, "failed", explain(error) or _bug(error, cell, places))
    return CellResult(cell, "done")


def _bug(error: Exception, cell: Cell, places: Places) -> str:
    """Keep the traceback of what should not happen, and say where."""
    name = cell.title.replace(" / ", "-") + ".txt"
    path = write_atomically(places.output / "errors" / name, "".join(traceback.format_exception(error)).encode())
    return f"{type(error).__name__} ({error}), which is a bug of this project: please report it with {path}"
