"""`evaluate.py profile`: how fast the parts of a run are, what a run would take, and how far from the limit it is.

All that is compared is timed in turns, in one process, on the same images. Rates are those of the best round, which
other users of a machine disturb least; the middle one of the rounds stands beside.
"""

import argparse
from collections.abc import Iterator, Sequence

from benchmark.grid.cells import Cell
from benchmark.grid.cells import cells as cells_of
from benchmark.places import Places
from benchmark.profiling import reading
from benchmark.profiling.tables import Table, tables
from benchmark.request import asked
from encoders.errors import UserError


def profile(options: argparse.Namespace, places: Places) -> Iterator[Table]:
    """The tables that a command line asks for.

    Raises:
        UserError: names that are no encoder and dataset, data or weights that are missing, or nothing to compare.
    """
    names = [one for one in options.names if "=" not in one and not one.startswith("~")]
    overrides = [one for one in options.names if one not in names]
    if len(names) == 1 and options.against in (None, "geobench"):
        names = ["", *names]
    if len(names) != 2:
        raise UserError(f"profile takes ENCODER DATASET, not {len(names)} names; see `evaluate.py profile --help`")
    encoder, dataset = names
    if options.against == "geobench" or not encoder:
        yield Table("", *reading.reading(dataset, places, options.samples))
        return
    cells = cells_of(asked.compose(argparse.Namespace(**(vars(options) | {"overrides": overrides})), encoder, dataset))
    yield from measured(cells, places, options.images, options.rounds, options.against == "recompute", options.top or 0)


def measured(
    cells: Sequence[Cell], places: Places, images: int, rounds: int, recompute: bool, top: int = 0
) -> Iterator[Table]:
    """The tables of cells; see `profiling.measurement.measure`.

    Raises:
        UserError: as `profile`.
    """
    from benchmark.profiling.measurement import measure
    from benchmark.profiling.subject import prepare

    if recompute and not all(cell.is_trained for cell in cells):
        raise UserError("--against recompute compares decoders trained by gradient; choose --fusion mean or gw")
    yield from tables(measure(prepare(cells, places, images), places.features_dir, rounds, recompute, top))
