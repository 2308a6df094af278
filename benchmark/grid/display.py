"""How far a sweep is: a live table in a terminal, a plain line for each thing that ends elsewhere (logs, CI)."""

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from benchmark import progress
from benchmark.grid.cells import title
from benchmark.grid.work import CellResult
from benchmark.progress import Step

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

REFRESHES_A_SECOND = 4
ENDS = {"done": "done", "skipped": "there before", "failed": "failed", "impossible": "impossible"}
"""Outcomes of cells, and what the table calls them."""


class Display(Protocol):
    """Shows how far a sweep is."""

    def ended(self, results: list[CellResult]) -> None:
        """A group of cells has ended."""


@contextlib.contextmanager
def shown(total: int, at_once: list[CellResult]) -> Iterator[Display]:
    """Within it a sweep is shown on stderr, as a table where that is a terminal that can.

    Args:
        total: cells of the sweep.
        at_once: how those ended that nothing had to be run for.
    """
    if progress.is_silent():
        yield Nothing()
        return
    if not sys.stderr.isatty() or os.environ.get("TERM") in (None, "", "dumb"):
        yield Lines(total, len(at_once))
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    table = LiveTable(total, at_once, console)
    with (
        Live(table, console=console, refresh_per_second=REFRESHES_A_SECOND, transient=True),
        progress.heard_by(table.step),
    ):
        # Rich hides it until its end: a process that is killed could not bring it back.
        console.show_cursor(True)
        yield table


class Nothing:
    """Shows nothing: who called the sweep as a library hears of it otherwise."""

    def ended(self, results: list[CellResult]) -> None:
        """See `Display`."""


class Lines:
    """A line for each cell that ends; what begins and how far it is says `benchmark.progress`."""

    def __init__(self, total: int, ended: int) -> None:
        self.total, self.count = total, ended

    def ended(self, results: list[CellResult]) -> None:
        """See `Display`."""
        for result in results:
            self.count += 1
            print(f"[{self.count}/{self.total}] {result.cell.title}: {result.outcome}", file=sys.stderr, flush=True)


@dataclass
class Running:
    """A group that runs: its last step, and when it began."""

    step: Step
    since: float


class LiveTable:
    """A row for each group that runs, and below how many cells ended how, and how long the rest will take.

    That is judged by the cells that were run in this sweep: before the first of them nothing is said.
    """

    def __init__(self, total: int, at_once: list[CellResult], console: "Console") -> None:
        self.console, self.total = console, total
        self.outcomes = Counter(str(result.outcome) for result in at_once)
        self.run = 0
        self.running: dict[str, Running] = {}
        self.start = time.monotonic()

    def step(self, step: Step) -> None:
        """A group of cells begins, or a stage of it goes on."""
        known = self.running.get(step.group)
        if known is None or step.stage == "start":
            self.running[step.group] = Running(step, time.monotonic())
        else:
            known.step = step

    def ended(self, results: list[CellResult]) -> None:
        """See `Display`; the cells stand above the table."""
        from rich.text import Text

        self.running.pop(title([result.cell for result in results]), None)
        for result in results:
            self.outcomes[result.outcome] += 1
            self.run += 1
            number = self.outcomes.total()
            line = Text(f"[{number}/{self.total}] {result.cell.title}: {result.outcome}")
            if result.outcome == "failed":
                line.stylize("red")
            self.console.print(line, soft_wrap=True)

    def __rich__(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        return Group(self._table(), Text(self._totals(), overflow="fold"))

    def _table(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 1, 0, 0), expand=True)
        table.add_column("running", ratio=1, no_wrap=True, overflow="ellipsis")
        for name, width in (("stage", 6), ("done", 11), ("for", 8)):
            table.add_column(name, width=width, no_wrap=True, justify="right")
        now = time.monotonic()
        for group, one in list(self.running.items()):
            done = f"{one.step.done}/{one.step.total}" if one.step.total else ""
            table.add_row(Text(group), one.step.stage, done, clock(now - one.since))
        return table

    def _totals(self) -> str:
        ended = self.outcomes.total()
        told = [f"{self.outcomes[name]} {said}" for name, said in ENDS.items() if self.outcomes[name] or name == "done"]
        told.append(f"{self.total - ended} left")
        elapsed = time.monotonic() - self.start
        if self.run and ended < self.total:
            told.append(f"about {clock(elapsed / self.run * (self.total - ended))} to go")
        return f"{clock(elapsed)}  {', '.join(told)}"


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
