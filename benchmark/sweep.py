"""A grid of runs: plan every cell, skip what is done, hand the rest to an executor, say at the end what failed."""

import os
import sys
from collections.abc import Sequence

from benchmark import ingest
from benchmark.atomic import remove_litter
from benchmark.cells import Cell, plan_inputs
from benchmark.executor_options import Options
from benchmark.executors import make
from benchmark.inputs import ImpossibleError
from benchmark.places import Places
from benchmark.records import Run
from benchmark.work import CellResult, recorded, skipped
from encoders import checkpoints
from encoders.errors import UserError


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
    return f"{'done' if recorded(cell, places) else 'would run'}; {fed}"


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
    made = make(executor)
    results = {cell.label: skipped(cell, runs, places) for cell in cells if (runs := _recorded(cell, places))}
    waiting = grouped([cell for cell in cells if cell.label not in results])
    if waiting and not os.access(places.output / "records", os.W_OK):
        raise UserError(f"{places.output}: cannot be written; name another folder with --output or change its rights")
    for group in made.run(waiting, places) if waiting else ():
        for result in group:
            results[result.cell.label] = result
            print(f"[{len(results)}/{len(cells)}] {result.cell.title}: {result.outcome}", file=sys.stderr, flush=True)
    _remove_litter(places)
    return [results[cell.label] for cell in cells]


def _remove_litter(places: Places) -> None:
    """Of processes that were killed: earlier ones, and workers of this sweep."""
    remove_litter(places.output)
    for folder in ("records", "predictions", "errors"):
        remove_litter(places.output / folder)
    remove_litter(places.features_dir, below=1)
    remove_litter(places.ingest_dir, below=2)


def _recorded(cell: Cell, places: Places) -> tuple[Run, ...]:
    try:
        return recorded(cell, places)
    except (UserError, OSError):
        return ()  # what is wrong with it is said where it runs


def grouped(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Neighbouring cells that can be trained on one stream of features, together."""
    groups: list[list[Cell]] = []
    for cell in cells:
        if groups and groups[-1][0].shares_training(cell):
            groups[-1].append(cell)
        else:
            groups.append([cell])
    return groups
