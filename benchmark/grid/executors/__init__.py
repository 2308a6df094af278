"""Where cells are run: in this process, in worker processes, on a SLURM cluster, on a Ray cluster.

All run `benchmark.grid.work.work` on shared folders and give the same records. An executor is chosen by name
(`configs/executor/`), imported when it is, and yields the results of each group of cells as it ends, in any order.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Protocol

from benchmark.grid.cells import Cell
from benchmark.grid.work import CellResult
from benchmark.places import Places
from benchmark.request.executor_options import Options

Group = Sequence[Cell]


class Executor(Protocol):
    """Runs groups of cells."""

    def run(self, groups: Sequence[Group], places: Places) -> Iterator[list[CellResult]]:
        """The results of each group, as it ends."""


CLASSES = {
    "inline": "benchmark.grid.executors.inline:InlineExecutor",
    "local": "benchmark.grid.executors.local:LocalExecutor",
    "slurm": "benchmark.grid.executors.slurm:SlurmExecutor",
    "ray": "benchmark.grid.executors.ray:RayExecutor",
}


def make(options: Options) -> Executor:
    """The executor that options describe.

    Raises:
        UserError: what it needs is not installed.
    """
    module, _, name = CLASSES[options.kind].partition(":")
    made: Executor = getattr(import_module(module), name)(options)
    return made
