"""One group after another, in this process."""

from collections.abc import Iterator, Sequence

from benchmark import progress
from benchmark.grid.cells import title
from benchmark.grid.executors import Group
from benchmark.grid.executors.threads import use_threads
from benchmark.grid.work import CellResult, work
from benchmark.places import Places
from benchmark.request.executor_options import Inline


class InlineExecutor:
    """See `benchmark.grid.executors.Executor`."""

    def __init__(self, options: Inline) -> None:
        self.options = options

    def run(self, groups: Sequence[Group], places: Places) -> Iterator[list[CellResult]]:
        """The results of each group, in their order."""
        use_threads(self.options.threads)
        for group in groups:
            progress.begin(title(group))
            yield work(group, places)
