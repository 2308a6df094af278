"""Unpack a stranger's zip file safely: only plain files, only below the folder, only as many and as large as expected.

Everything is unpacked beside its place, checksums are compared on the way, and the folder gets its name last.
"""

import errno
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from benchmark.atomic import sync_folder
from benchmark.fetching.download import FreeBytes, free_bytes, need_room
from benchmark.progress import track
from encoders.errors import UserError

CHUNK = 1 << 20
LONGEST_NAME = 255
"""Bytes of one part of a path: the limit of usual file systems."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_LITTER = ("__MACOSX", ".DS_Store")
REMEDY = "delete it and fetch it again"


@dataclass(frozen=True)
class Limits:
    """Against bombs: how many entries an archive may hold, and how many bytes may be unpacked from it."""

    entries: int
    bytes: int


@dataclass(frozen=True)
class Entry:
    """A plain file in an archive, at a checked relative path."""

    path: PurePosixPath
    info: zipfile.ZipInfo


Choose = Callable[[Sequence[Entry]], Sequence[tuple[Entry, PurePosixPath]]]
"""Which entries are wanted, and where each goes below the folder; may refuse the archive by raising."""


def unpack(archive: Path, folder: Path, limits: Limits, choose: Choose, free: FreeBytes = free_bytes) -> None:
    """Unpack the chosen files of a zip as `folder`, which appears whole or not at all.

    Args:
        folder: must not exist; the caller holds its lock.

    Raises:
        UserError: damaged, unsafe or larger than the limits, or no room; nothing is left behind.
    """
    partial = folder.with_name(f".{folder.name}.unpacking")
    _remove(partial)
    try:
        with _opened(archive) as opened:
            chosen = choose(_entries(archive, opened, limits.entries))
            size = sum(entry.info.file_size for entry, _ in chosen)
            if size > limits.bytes:
                raise UserError(f"{archive}: unpacks to {size} bytes, more than the {limits.bytes} expected; {REMEDY}")
            need_room(folder.parent, size, free)
            partial.mkdir(parents=True)
            for entry, where in track(chosen, f"unpacking {archive.name}", len(chosen)):
                _extract(opened, entry, partial / where)
        # Twenty thousand small files: one flush of all is far quicker than one of each.
        os.sync()
        partial.replace(folder)
        sync_folder(folder.parent)
    except BaseException:
        _remove(partial)
        raise


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """The zip, with every way in which it can be damaged as one sentence."""
    try:
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UserError(f"{archive}: is damaged or no zip file ({error}); {REMEDY}") from None
    except OSError as error:
        # A directory that points before the file's beginning.
        if error.errno != errno.EINVAL:
            raise
        raise UserError(f"{archive}: is damaged or no zip file ({error.strerror}); {REMEDY}") from None


def _entries(archive: Path, opened: zipfile.ZipFile, most: int) -> list[Entry]:
    """The plain files of an archive, all checked before any is unpacked."""
    infos = opened.infolist()
    if len(infos) > most:
        raise UserError(f"{archive}: holds {len(infos)} entries, more than the {most} expected; {REMEDY}")
    entries: dict[PurePosixPath, Entry] = {}
    for info in infos:
        problem = _problem(info)
        path = PurePosixPath(info.orig_filename)
        if problem is None and path in entries:
            problem = "is there twice"
        if problem:
            raise UserError(
                f"{archive}: its entry {info.orig_filename!r} {problem}; it is not safe to unpack, {REMEDY}"
            )
        if not info.is_dir() and not any(part in _LITTER for part in path.parts):
            entries[path] = Entry(path, info)
    for path in entries:
        if any(parent in entries for parent in path.parents):
            raise UserError(f"{archive}: its entry '{path}' lies below a file, so it isn't unpacked; {REMEDY}")
    return list(entries.values())


def _problem(info: zipfile.ZipInfo) -> str | None:
    """Why an entry is not unpacked; None for a plain file or folder."""
    # zipfile cuts names at a zero byte and turns backslashes on Windows; the name as stored is what is judged.
    name = info.orig_filename
    parts = name.removesuffix("/").split("/")
    kind = stat.S_IFMT(info.external_attr >> 16)
    problems = {
        "has an absolute or foreign name": name.startswith("/") or ":" in parts[0] or "\\" in name,
        "leads out of the folder": any(part in ("", ".", "..") for part in parts),
        "has an unreadable name": not name.isprintable() or any(len(part.encode()) > LONGEST_NAME for part in parts),
        "is a link or device": kind not in (0, stat.S_IFREG, stat.S_IFDIR),
        "is encrypted": bool(info.flag_bits & _ENCRYPTED),
        "is packed in an unknown way": info.compress_type not in _METHODS,
    }
    return next((problem for problem, found in problems.items() if found), None)


def _extract(opened: zipfile.ZipFile, entry: Entry, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    # zipfile compares the checksum at the end; "x" refuses two names that the file system takes for one.
    with opened.open(entry.info) as source, target.open("xb") as file:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > entry.info.file_size:
                raise zipfile.BadZipFile(f"{entry.path} is larger than declared")
            file.write(chunk)
    if written != entry.info.file_size:
        raise zipfile.BadZipFile(f"{entry.path} is shorter than declared")


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
