"""Ctrl-C and SIGTERM end a command within seconds, whatever it is in the middle of, and say how to go on.

Python handles a signal between two of its own steps; a convolution on many images, or an import that takes the
interruption for an error, can put that off. So a thread that the system itself tells of the signal ends the process
when its time is up. What is half-written then is a temporary file, which the next run removes.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 3.0
"""For what is at work to end by itself: workers are told, temporary files removed."""
HOW_TO_GO_ON = "stopped; run the same command to go on, nothing finished is done twice"
_DONE = 0


class Stopped(KeyboardInterrupt):
    """A signal asked for the end; `code` is what a shell expects as the exit code: 130 for Ctrl-C, 143 for SIGTERM."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


@contextlib.contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """Within it a signal raises `Stopped`, and ends the process after `GRACE_SECONDS`; in a main thread only.

    Python drops what is raised in a finaliser, and a signal may fall into one: what is yielded, called when the work is
    done, raises `Stopped` then, and nothing is printed of what was dropped.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    wakeup = signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
    asked: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        for one in SIGNALS:
            signal.signal(one, signal.SIG_IGN)  # a second one would cut short what the first one started
        raise Stopped(number)

    def stop_if_asked() -> None:
        if asked:
            raise Stopped(asked[0])

    tell_dropped = sys.unraisablehook

    def tell_others(dropped: "sys.UnraisableHookArgs") -> None:
        if not isinstance(dropped.exc_value, Stopped):
            tell_dropped(dropped)

    sys.unraisablehook = tell_others
    handlers = {number: signal.signal(number, stop) for number in SIGNALS}
    watch = threading.Thread(target=_watch, args=(ear,), daemon=True)
    watch.start()
    try:
        yield stop_if_asked
    finally:
        os.write(mouth, bytes([_DONE]))
        signal.set_wakeup_fd(wakeup)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.unraisablehook = tell_dropped
        os.close(mouth)


def _watch(ear: int) -> None:
    """Wait for a signal; end the process if it is still within `stoppable` when the grace is over."""
    number = _heard(ear, None)
    if number in SIGNALS and _heard(ear, time.monotonic() + GRACE_SECONDS) is None:
        import multiprocessing

        os.write(2, f"{HOW_TO_GO_ON}\n".encode())
        for worker in multiprocessing.active_children():
            worker.kill()
        os._exit(128 + number)
    os.close(ear)


def _heard(ear: int, deadline: float | None) -> int | None:
    """The next signal that ends a command, or `_DONE`; None where the deadline comes first."""
    while deadline is None or (rest := deadline - time.monotonic()) > 0:
        if select.select([ear], [], [], None if deadline is None else rest)[0]:
            number = (os.read(ear, 1) or bytes([_DONE]))[0]
            if number == _DONE or (deadline is None and number in SIGNALS):
                return number
    return None
