"""Who draws figures: this process, and where that is worth it others, which start before anything is read.

Half of a report's time is drawing. The others import what they need while this one merges records, draw while this one
writes tables, and all draw until all is done. Which of them drew a figure makes no difference to it.
"""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from benchmark import children
from benchmark.atomic import write_atomically
from reports.collector import collector_of_new, without_collector
from reports.experiments import Shown
from reports.figures import style
from reports.figures.catalogue import Task, tasks
from reports.table import Row, Table

FOLDER = "figures"
INDEX = "index.md"
WORTH_A_PROCESS = 200
"""Records from which another process, which takes a second to start, saves time."""
MOST_HELPERS = 3
"""With more, reading records and writing tables is what a report waits for."""
SECONDS_TO_COUNT = 5.0
"""Longer is held only by a process that was killed while it counted."""
SECONDS_TO_END = 1.0
PAGE_PIXELS = 1100
"""Width of a picture on the page: text of 5.5 points in a figure of 7 inches is still read."""
NO_MORE = 1 << 30


@dataclass(frozen=True)
class Drawn:
    """A figure that has been written.

    Attributes:
        task: its task's number; `page`: see `catalogue.Task`.
        paths: PNG and PDF.
        picture: smaller, as WebP, for the page; None where the page has no need of it.
    """

    task: int
    page: int | None
    name: str
    caption: str
    paths: tuple[Path, ...]
    picture: bytes | None


@dataclass(frozen=True)
class _Job:
    folders: Mapping[str, Path]
    tables: Sequence[Table]
    experiments: Sequence[Shown]
    output: Path


class Painters:
    """Context manager: `begin` when tables are known, `finish` when there is nothing else to do.

    Args:
        helped: whether other processes draw too, where there are cores for them.
    """

    def __init__(self, helped: bool) -> None:
        self._number = min(children.cores() - 1, MOST_HELPERS) if helped else 0
        self._counter: Any = get_context("spawn").Value("l", 0) if self._number else None
        self._helpers: list[tuple[SpawnProcess, Connection]] = []
        self._next = 0
        self._job: _Job | None = None

    def __enter__(self) -> "Painters":
        self._helpers = [children.start(_help, self._counter) for _ in range(self._number)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._helpers:
            self._counter.get_obj().value = NO_MORE
        for process, pipe in self._helpers:
            pipe.close()
            process.join(SECONDS_TO_END)
            if process.is_alive():
                process.kill()
                process.join()

    def begin(
        self, folders: Mapping[str, Path], tables: Sequence[Table], experiments: Sequence[Shown], output: Path
    ) -> None:
        """Say what is to be drawn: of these records, tables and experiments, into `<output>/figures/`."""
        self._job = _Job(folders, tables, experiments, output)
        if self._helpers:
            asked = [replace(one, by_column={k: _light(v) for k, v in one.by_column.items()}) for one in experiments]
            job = ForkingPickler.dumps(replace(self._job, tables=_light(tables), experiments=asked))
        for _, pipe in self._helpers:
            with contextlib.suppress(OSError):  # it died: then the others draw all
                pipe.send_bytes(job)

    def finish(self) -> list[Drawn]:
        """Draw what is left to be drawn, and the index of all; in the order of the tasks.

        Raises:
            UserError: a predictions or pictures file is damaged.
        """
        assert self._job is not None
        every, output = _tasks(self._job), self._job.output
        done = _draw(every, output, self._take)
        for _, pipe in self._helpers:
            done |= _received(pipe)
        left = [number for number in range(len(every)) if number not in done]
        done |= _draw(every, output, iter([*left, len(every)]).__next__) if left else {}
        drawn = [one for number in sorted(done) for one in done[number]]
        lines = ["# Figures", "", *(f"- `{one.name}`: {one.caption}" for one in drawn), ""]
        write_atomically(output / FOLDER / INDEX, "\n".join(lines).encode())
        return drawn

    def _take(self) -> int:
        if self._helpers:
            return _take(self._counter)
        self._next += 1
        return self._next - 1


def _received(pipe: Connection) -> dict[int, list[Drawn]]:
    """What a helper drew; nothing where it died."""
    try:
        found = pipe.recv()
    except (EOFError, OSError):
        return {}
    if isinstance(found, Exception):
        raise found
    received: dict[int, list[Drawn]] = found
    return received


def _help(pipe: Connection, counter: Any) -> None:
    """Another process."""
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_pdf
    import matplotlib.figure  # noqa: F401

    with contextlib.suppress(EOFError, OSError):
        with without_collector():
            job = pipe.recv()
        try:
            found: object = _draw(_tasks(job), job.output, lambda: _take(counter))
        except Exception as error:  # told by the first one
            found = error
        pipe.send(found)


def _take(counter: Any) -> int:
    """The number of the next task; where nobody can count any more, of one that there is not."""
    if not counter.get_lock().acquire(timeout=SECONDS_TO_COUNT):
        return NO_MORE
    try:
        counter.get_obj().value += 1
        return int(counter.get_obj().value) - 1
    finally:
        counter.get_lock().release()


def _tasks(job: _Job) -> list[Task]:
    return list(tasks(job.folders, job.tables, job.experiments))


def _draw(every: Sequence[Task], output: Path, take: Callable[[], int]) -> dict[int, list[Drawn]]:
    """The figures of the tasks that `take` names, until it names none that there is."""
    done: dict[int, list[Drawn]] = {}
    with collector_of_new(), style.drawing():
        while (number := take()) < len(every):
            done[number] = list(_saved(number, every[number], output / FOLDER))
    return done


def _saved(number: int, task: Task, folder: Path) -> Iterator[Drawn]:
    for figure in task.draw():
        if figure.made is not None:
            paths = tuple(style.save(figure.made, folder, figure.name))
            picture = None if task.page is None else _smaller(paths[0])
            yield Drawn(number, task.page, figure.name, figure.caption, paths, picture)


def _smaller(path: Path) -> bytes:
    from PIL import Image

    with Image.open(path) as image:
        shown = image.convert("RGB")
    if shown.width > PAGE_PIXELS:
        size = PAGE_PIXELS, round(shown.height * PAGE_PIXELS / shown.width)
        shown = shown.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    shown.save(buffer, format="WEBP", quality=80, method=4)
    return buffer.getvalue()


def _light(tables: Sequence[Table]) -> list[Table]:
    return [replace(table, rows=tuple(map(_without_samples, table.rows)), tests=()) for table in tables]


def _without_samples(row: Row) -> Row:
    """No figure shows them, and they are nearly all that a table weighs."""
    none = np.empty(0)
    return replace(row, cells={column: replace(cell, samples=none) for column, cell in row.cells.items()})
