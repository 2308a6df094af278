"""A grid of runs: plan every cell, skip what is done, go on past what fails, say at the end what did."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark import evaluation
from benchmark.atomic import remove_litter
from benchmark.evaluation import Cell
from benchmark.inputs import ImpossibleError
from benchmark.places import Places
from benchmark.records import RecordStore
from encoders.errors import UserError

Outcome = Literal["done", "skipped", "impossible", "failed"]


@dataclass(frozen=True)
class CellResult:
    """How a cell ended; `message` says why where there is no record."""

    cell: Cell
    outcome: Outcome
    message: str = ""


def plan_lines(cells: Sequence[Cell], places: Places) -> list[str]:
    """What a sweep would do, a line a cell, without doing any of it."""
    from encoders import checkpoints

    lines = []
    for cell in cells:
        try:
            evaluation.require_probe(cell)
            plan = evaluation.plan_inputs(cell)
        except UserError as error:
            lines.append(f"{cell.title}: {error}")
            continue
        missing = checkpoints.missing_files(cell.card, places.weights_dir, plan.side)
        state = f"waits for weights ({len(missing)} files are missing)" if missing else "would run"
        lines.append(f"{cell.title}: {state}; {plan.summary()} bands, {plan.side} px, value rule: {plan.authority}")
    return lines


def sweep(cells: Sequence[Cell], places: Places) -> list[CellResult]:
    """Run the cells one after another; a cell that fails never stops the others."""
    remove_litter(places.output / "records")
    remove_litter(places.output / "predictions")
    results = []
    for number, cell in enumerate(cells, start=1):
        print(f"[{number}/{len(cells)}] {cell.title}", file=sys.stderr, flush=True)
        try:
            resolved = evaluation.resolve(cell, places)
            if RecordStore(places.output).has(resolved.run.key):
                results.append(CellResult(cell, "skipped", "its record is there"))
                continue
            evaluation.evaluate(resolved, places)
            results.append(CellResult(cell, "done"))
        except ImpossibleError as error:
            results.append(CellResult(cell, "impossible", str(error)))
        except UserError as error:
            results.append(CellResult(cell, "failed", str(error)))
    return results
