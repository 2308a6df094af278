"""Threads beside the one that computes: what it needs next is read ahead, what it has made is put away behind it.

Reading and writing wait for disks, and Python lets go of its lock meanwhile. Both keep the order, hold no more than was
asked for, hand their errors to the thread that computes, and have ended when their context has.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


def read_ahead(do: Callable[[Item], Done], items: Iterable[Item], ahead: int = 1) -> Generator[Done, None, None]:
    """What `do` makes of each item, in their order; a thread is at most `ahead` items before who asks.

    Close it (`contextlib.closing`) where it may be left before its end: that waits for the item in work, and does no
    other.

    Args:
        do: called in the thread.
        items: asked for in the thread that reads, `ahead` items early.

    Raises:
        Exception: what `do` raised, when its item's turn comes.
    """
    waiting: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as thread:
        try:
            for item in items:
                waiting.append(thread.submit(do, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


class Behind:
    """Context manager: does what it is given in a thread, in order; at most one waits while another is in work.

    Once something failed nothing after it is done: what comes later may vouch for what came before. If the block ends
    in an error of its own, what was given is still done.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="behind")
        self._given: deque[Future[None]] = deque()
        self._failed = False

    def do(self, call: Callable[[], None]) -> None:
        """Do this after all that was given before; waits while another thing is waiting.

        Raises:
            Exception: what something given before raised.
        """
        self.wait(leave=1)
        self._given.append(self._thread.submit(self._guarded, call))

    def wait(self, leave: int = 0) -> None:
        """Until all is done but the last `leave`; raises as `do`."""
        while len(self._given) > leave:
            self._given.popleft().result()

    def _guarded(self, call: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            call()
        except BaseException:
            self._failed = True
            raise

    def __enter__(self) -> "Behind":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.wait()
        finally:
            self._thread.shutdown(wait=True)
