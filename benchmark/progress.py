"""Progress on stderr: a bar in a terminal, a plain line now and then elsewhere (logs, CI)."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
LINE_EVERY_SECONDS = 10.0


def track(items: Iterable[T], what: str, total: int, done: int = 0) -> Iterator[T]:
    """Yield the items, showing how many of `total` are done, `done` of them before this call."""
    if sys.stderr.isatty():
        yield from _bar(items, what, total, done)
    else:
        yield from _lines(items, what, total, done)


def track_bytes(chunks: Iterable[bytes], what: str, total: int | None, done: int = 0) -> Iterator[bytes]:
    """Yield the chunks, showing how many of `total` bytes (None: not known) have come, `done` before this call."""
    if sys.stderr.isatty():
        yield from _byte_bar(chunks, what, total, done)
    else:
        yield from _byte_lines(chunks, what, total, done)


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
            print(f"{what}: {done / 1e6:.0f}{of} MB", file=sys.stderr, flush=True)
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
            print(f"{what}: {count}/{total}, about {rest:.0f} s left", file=sys.stderr, flush=True)
            last = now
