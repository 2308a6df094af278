"""A grid of runs: plan every cell, skip what is done, hand the rest to an executor, say at the end what failed."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence

from benchmark.atomic import remove_litter
from benchmark.grid import display, failures
from benchmark.grid.cells import Cell
from benchmark.grid.executors import make
from benchmark.grid.planning import Planned, Planner
from benchmark.grid.work import CellResult, impossible, skipped
from benchmark.places import Places
from benchmark.request.executor_options import Options
from benchmark.request.rows import Row
from encoders.errors import UserError, one_line


def sweep(cells: Sequence[Cell], places: Places, executor: Options) -> list[CellResult]:
    """Run the cells; one that fails never stops the others.

    Returns:
        How each ended, in their order.

    Raises:
        OSError: a folder that results must go to cannot be made; before anything is computed.
        UserError: the executor cannot be used, or results cannot be written; before anything is computed.
    """
    for folder in (places.output / "records", places.output / "predictions", places.features_dir, places.ingest_dir):
        folder.mkdir(parents=True, exist_ok=True)
    _remove_litter(places)
    planner = Planner(places)
    results = {result.cell.label: result for cell in cells if (result := _at_once(planner.plan(cell), places))}
    waiting = planner.groups([cell for cell in cells if cell.label not in results])
    if waiting and not os.access(places.output / "records", os.W_OK):
        raise UserError(f"{places.output}: cannot be written; name another folder with --output or change its rights")
    if waiting:
        chosen = make(executor)
        with display.shown(len(cells), list(results.values())) as shown:
            for ended in chosen.run(waiting, places):
                results |= {result.cell.label: result for result in ended}
                shown.ended(ended)
    _remove_litter(places)
    return [results[cell.label] for cell in cells]


def outcome_lines(results: Sequence[CellResult], rows: Sequence[Row], options: Mapping[str, object]) -> list[str]:
    """What is said at the end: each cell without a record and why, and the command that runs only what failed.

    Args:
        rows: that were asked for, with `options` of the command line.
    """
    names = {"failed": "error", "impossible": "impossible"}
    said = [
        f"{names[result.outcome]}: {result.cell.title}: {one_line(result.message)}"
        for result in results
        if result.outcome in names
    ]
    failed = [result.cell for result in results if result.outcome == "failed"]
    if failed:
        said.append(f"to run what failed alone again: {failures.retry_command(options, rows, failed)}")
    ended = Counter(result.outcome for result in results)
    there = ended["done"] + ended["skipped"]
    return [*said, f"{there} of {len(results)} cells have records ({ended['skipped']} were there before)."]


def _remove_litter(places: Places) -> None:
    """Of processes that were killed: earlier ones, and workers of this sweep."""
    remove_litter(places.weights_dir)
    remove_litter(places.output)
    for folder in ("records", "predictions", "errors", "pictures", "figures"):
        remove_litter(places.output / folder)
    remove_litter(places.features_dir, below=1)
    remove_litter(places.ingest_dir, below=2)


def _at_once(planned: Planned, places: Places) -> CellResult | None:
    """How a cell ends that nothing has to be computed for."""
    if planned.state == "done":
        return skipped(planned.cell, planned.runs, places)
    return impossible(planned.cell, planned.why, places) if planned.state == "impossible" else None
