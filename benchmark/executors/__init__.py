"""Where cells are run: in this process, in worker processes, on a SLURM cluster, on a Ray cluster.

All run `benchmark.work.work` on shared folders and give the same records. An executor is chosen by name
(`configs/executor/`), imported when it is, and yields the results of each group of cells as it ends, in any order.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Protocol

from benchmark.cells import Cell
from benchmark.executor_options import Options
from benchmark.places import Places
from benchmark.work import CellResult

Group = Sequence[Cell]


class Executor(Protocol):
    """Runs groups of cells."""

    def run(self, groups: Sequence[Group], places: Places) -> Iterator[list[CellResult]]:
        """The results of each group, as it ends."""


CLASSES = {
    "inline": "benchmark.executors.inline:InlineExecutor",
    "local": "benchmark.executors.local:LocalExecutor",
    "slurm": "benchmark.executors.slurm:SlurmExecutor",
    "ray": "benchmark.executors.ray:RayExecutor",
}


def make(options: Options) -> Executor:
    """The executor that options describe.

    Raises:
        UserError: what it needs is not installed.
    """
    module, _, name = CLASSES[options.kind].partition(":")
    made: Executor = getattr(import_module(module), name)(options)
    return made
