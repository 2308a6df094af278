"""Progress on stderr: a bar in a terminal, a plain line now and then elsewhere (logs, CI).

A sweep that shows all its groups at once (`benchmark.grid.display`) is told instead, also by its worker processes.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

T = TypeVar("T")
LINE_EVERY_SECONDS = 10.0
STEP_EVERY_SECONDS = 0.2
"""How often a listener is told at most: it may be another process."""

Stage = Literal["ingest", "load", "encode", "train"]
"""Of a group of cells: read its data, load frameworks and weights, encode, train."""


@dataclass(frozen=True)
class Step:
    """How far a stage of a group of cells is.

    Attributes:
        group: its title; empty in a process that knows of one group alone.
        total: 0 where how long it takes is not known.
    """

    stage: Stage | Literal["start"]
    done: int = 0
    total: int = 0
    group: str = ""


class _Heard:
    """Who is told of steps in this process, and the group they belong to."""

    listener: Callable[[Step], None] | None = None
    group = ""
    silent = False


def is_heard() -> bool:
    """Whether somebody else shows the progress of this process."""
    return _Heard.listener is not None


@contextlib.contextmanager
def heard_by(listener: Callable[[Step], None] | None) -> Iterator[None]:
    """Within it the listener, if any, is told of every step; nothing is shown here."""
    before, _Heard.listener = _Heard.listener, listener
    try:
        yield
    finally:
        _Heard.listener = before


@contextlib.contextmanager
def silent(listener: Callable[[Step], None] | None = None) -> Iterator[None]:
    """Within it nothing is shown or said on any stream, and the listener, if any, is told of every step."""
    before, _Heard.silent = _Heard.silent, True
    try:
        with heard_by(listener or (lambda _: None)):
            yield
    finally:
        _Heard.silent = before


def is_silent() -> bool:
    """Whether nothing may be shown."""
    return _Heard.silent


def say(sentence: str) -> None:
    """Say a sentence on stderr, unless nothing may be said."""
    if not _Heard.silent:
        print(sentence, file=sys.stderr, flush=True)


def begin(group: str) -> None:
    """A group of cells begins, here or in a worker."""
    _Heard.group = group
    if is_heard():
        tell(Step("start"))
    else:
        say(f"running {group}")


def tell(step: Step) -> None:
    """Tell the listener, if there is one, of a step: of the group that began last, unless it names another."""
    if _Heard.listener is not None:
        _Heard.listener(step if step.group else replace(step, group=_Heard.group))


def track(
    items: Iterable[T], what: str, total: int, done: int = 0, stage: Stage | None = None
) -> Generator[T, None, None]:
    """Yield the items, showing how many of `total` are done, `done` of them before this call.

    Args:
        stage: of a group of cells; None for what is no part of a sweep.
    """
    if stage is not None and is_heard():
        yield from _told(items, stage, total, done)
    elif sys.stderr.isatty():
        yield from _bar(items, what, total, done)
    else:
        yield from _lines(items, what, total, done)


def track_bytes(chunks: Iterable[bytes], what: str, total: int | None, done: int = 0) -> Iterator[bytes]:
    """Yield the chunks, showing how many of `total` bytes (None: not known) have come, `done` before this call."""
    if sys.stderr.isatty():
        yield from _byte_bar(chunks, what, total, done)
    else:
        yield from _byte_lines(chunks, what, total, done)


def _told(items: Iterable[T], stage: Stage, total: int, done: int) -> Iterator[T]:
    tell(Step(stage, done, total))
    last = time.monotonic()
    for count, item in enumerate(items, start=done + 1):
        yield item
        now = time.monotonic()
        if now - last >= STEP_EVERY_SECONDS or count == total:
            tell(Step(stage, count, total))
            last = now


def _byte_bar(chunks: Iterable[bytes], what: str, total: int | None, done: int) -> Iterator[bytes]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total, completed=done)
        for chunk in chunks:
            yield chunk
            progress.advance(task, len(chunk))


def _byte_lines(chunks: Iterable[bytes], what: str, total: int | None, done: int) -> Iterator[bytes]:
    last = time.monotonic()
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        now = time.monotonic()
        if now - last >= LINE_EVERY_SECONDS:
            of = f" of {total / 1e6:.0f}" if total else ""
            say(f"{what}: {done / 1e6:.0f}{of} MB")
            last = now


def _bar(items: Iterable[T], what: str, total: int, done: int) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total, completed=done)
        for item in items:
            yield item
            progress.advance(task)


def _lines(items: Iterable[T], what: str, total: int, done: int) -> Iterator[T]:
    start = last = time.monotonic()
    for count, item in enumerate(items, start=done + 1):
        yield item
        now = time.monotonic()
        if now - last >= LINE_EVERY_SECONDS and count < total:
            rest = (total - count) * (now - start) / max(1, count - done)
            say(f"{what}: {count}/{total}, about {rest:.0f} s left")
            last = now
