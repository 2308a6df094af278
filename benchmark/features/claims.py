"""Who works on which part of a folder, among processes that share it: locks that end with the process holding them.

POSIX record locks on the bytes of an empty file: byte 0 is shared by all that have it open, byte 1 + n is held by
whoever does part n. They hold over network file systems that lock at all, and no child process inherits them. They
tell processes apart, not threads of one; and closing the file anywhere in a process lets go of all of them there,
so only `Claims` opens it.
"""

import fcntl
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

FILE = "claims"


class Claims:
    """This process's hold on parts of a folder, while the context lasts."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / FILE).open("a+b")
        fcntl.lockf(self._file, fcntl.LOCK_SH, 1, 0)

    def __enter__(self) -> "Claims":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def free(self, parts: Sequence[int]) -> Iterator[int]:
        """Those of the parts that nobody else holds when they are asked for, each held until `release`.

        Whoever gets a part looks whether another did it in the meantime.
        """
        left = list(parts)
        while (part := next((one for one in left if self._take(one)), None)) is not None:
            left.remove(part)
            yield part

    def release(self, part: int) -> None:
        """Let go of a part."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, 1 + part)

    def wait(self, part: int) -> None:
        """Until nobody else holds a part: it was done, or who did it has died.

        Only for who holds none: two that hold one and wait for the other's would wait for ever.
        """
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, 1 + part)
        self.release(part)

    def _take(self, part: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1 + part)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, as the system likes
            return False
        return True


def in_use(folder: Path) -> bool:
    """Whether another process has the folder's claims open."""
    with (folder / FILE).open("a+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        except (BlockingIOError, PermissionError):
            return True
    return False
