"""Atomic files: whoever looks sees the old content or the new, never half of it."""

import contextlib
import os
import platform
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> Path:
    """Write a file through a temporary neighbour: write, fsync, rename, fsync the folder.

    The temporary name carries host and process id; one left by a killed process is removed by `remove_litter`.

    Raises:
        OSError: it can't be written; `filename` is the path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{_host()}.{os.getpid()}.tmp"
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # a full disk is met while writing, where the system names no file
        raise
    sync_folder(path.parent)
    return path


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_litter(folder: Path, below: int = 0) -> None:
    """Remove temporary files of this host's processes that are gone; another host's may be at work.

    Args:
        below: levels of folders below it in which they are looked for too.
    """
    for path in [one for depth in range(below + 1) for one in folder.glob("*/" * depth + f".*.{_host()}.*.tmp")]:
        owner = path.name.rsplit(".", 2)[1]
        if owner.isdigit() and not _is_alive(int(owner)):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _host() -> str:
    return platform.node().replace(".", "-") or "localhost"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
