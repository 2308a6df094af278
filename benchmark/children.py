"""Child processes that leave Ctrl-C to their parent, are told things through a pipe, and never outlive it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any


def start(serve: Callable[..., None], *given: Any) -> tuple[SpawnProcess, Connection]:
    """Start a process that calls `serve(pipe, *given)`; returns it and this end of the pipe, which ends with it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_live, args=(serve, theirs, *given), daemon=True)
    # Ctrl-C in a terminal goes to all; children inherit this and are ended by this process. Starting the tracker, which
    # comes with the first child, would unblock it.
    resource_tracker.ensure_running()
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
    theirs.close()
    return process, ours


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _live(serve: Callable[..., None], pipe: Connection, *given: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    serve(pipe, *given)


def _end_with_parent() -> None:
    """A sweep that is killed leaves no worker behind, at work on cells that the next sweep starts as well."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
