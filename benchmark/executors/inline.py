"""One group after another, in this process."""

import sys
from collections.abc import Iterator, Sequence

from benchmark.executor_options import Inline
from benchmark.executors import Group
from benchmark.executors.threads import use_threads
from benchmark.places import Places
from benchmark.work import CellResult, work


class InlineExecutor:
    """See `benchmark.executors.Executor`."""

    def __init__(self, options: Inline) -> None:
        self.options = options

    def run(self, groups: Sequence[Group], places: Places) -> Iterator[list[CellResult]]:
        """The results of each group, in their order."""
        use_threads(self.options.threads)
        for group in groups:
            print(f"running {', '.join(cell.title for cell in group)}", file=sys.stderr, flush=True)
            yield work(group, places)
