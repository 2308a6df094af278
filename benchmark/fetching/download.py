"""Get one verified file over https: resumed where a connection broke, checked, and only then given its name.

Until it is whole a file is `NAME.part`, with `NAME.part.json` beside it, which says of which content it is the
beginning. Servers are not trusted: a part is only added to where the server says that the content is the same, and
what comes is measured and hashed against what was published.
"""

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from benchmark.atomic import sync_folder, write_atomically
from benchmark.fetching import transport
from benchmark.fetching.transport import Answer, Broken
from benchmark.progress import track_bytes
from encoders.errors import UserError, strict, to_json, validate_json

if TYPE_CHECKING:
    from requests import Session

SPARE = 64 * 2**20
"""Bytes of a disk left free."""
GO_ON = "run the same command to go on"

FreeBytes = Callable[[Path], int]


@dataclass(frozen=True)
class Remote:
    """A published file.

    Attributes:
        sha256: published digest, or its first digits; empty where none is published.
        bytes: published size; None where none is.
    """

    url: str
    sha256: str = ""
    bytes: int | None = None


@dataclass(frozen=True)
class Patience:
    """How long a broken connection is tried again.

    Attributes:
        attempts: tries in a row that bring nothing new, before giving up.
        first_wait: seconds before the second try; doubled before each further one.
        timeout: seconds without a byte that count as broken.
    """

    attempts: int = 5
    first_wait: float = 1.0
    timeout: float = 30.0
    sleep: Callable[[float], None] = time.sleep


PATIENT = Patience()


@dataclass(frozen=True)
class Fetched:
    """A file that is whole: its digest and size, whether this call brought it, and the commit the server named."""

    path: Path
    sha256: str
    bytes: int
    new: bool
    revision: str = ""


@strict
@dataclass(frozen=True)
class _Note:
    """What a part is the beginning of; fields as in `transport.Answer`."""

    url: str
    validator: str = ""
    total: int | None = None
    announced: str = ""
    revision: str = ""


def free_bytes(folder: Path) -> int:
    """Bytes free where `folder` is, or will be."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return shutil.disk_usage(existing).free


def need_room(folder: Path, needed: int, free: FreeBytes = free_bytes) -> None:
    """Refuse to start what the disk can't hold.

    Raises:
        UserError: fewer than `needed` bytes, and some to spare, are free.
    """
    there = free(folder)
    if there < needed + SPARE:
        raise UserError(
            f"{folder}: {show_bytes(needed)} are needed and {show_bytes(there)} are free; "
            "make room or give another folder"
        )


def show_bytes(number: float) -> str:
    """A size for people, in decimal units, as publishers give them."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} bytes"


def part_of(target: Path) -> Path:
    """Where a file lies until it is whole."""
    return target.with_name(f"{target.name}.part")


def download(
    remote: Remote,
    target: Path,
    *,
    patience: Patience = PATIENT,
    free: FreeBytes = free_bytes,
    approve: Callable[[Fetched], None] | None = None,
) -> Fetched:
    """Get a file, alone among processes; one that is there already is checked instead.

    Args:
        free: bytes free in a folder.
        approve: called with a file that is as published, before it gets its name; may refuse it by raising.

    Raises:
        UserError: no such file, no connection, no room, or not the published content; says what is kept.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone(target):
        present = target.exists()
        found = _check(remote, target) if present else _bring(remote, target, patience, free)
        try:
            if approve:
                approve(found)
        except UserError:
            if not present:
                _forget(target)
            raise
        if present:
            return found
        found.path.replace(target)
        sync_folder(target.parent)
        _note_of(target).unlink(missing_ok=True)
        return replace(found, path=target)


@contextmanager
def alone(target: Path) -> Iterator[None]:
    """Hold the lock of a file or folder to be made; says so where another process holds it."""
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        print(f"{target.name}: waiting for another process that fetches it", file=sys.stderr, flush=True)
        held = lock.acquire()
    with held:
        yield


def _check(remote: Remote, target: Path) -> Fetched:
    """A file that is there already."""
    remedy = f"move or delete it and {GO_ON}"
    if not target.is_file():
        raise UserError(f"{target} is no file; {remedy}")
    found = _measure(target, new=False)
    if not _is_published(found, remote):
        raise UserError(f"{target} is {_identity(found)}, where {_published(remote)} is published; {remedy}")
    return found


def _bring(remote: Remote, target: Path, patience: Patience, free: FreeBytes) -> Fetched:
    """The whole, checked content, as `NAME.part`."""
    for last in (False, True):
        joined = _complete(remote, target, patience, free)
        told = _read_note(target, remote.url)
        # Of some only the first digits are published; what the server adds to them counts too.
        wanted = replace(remote, sha256=told.announced) if told.announced.startswith(remote.sha256) else remote
        found = replace(_measure(part_of(target), new=True), revision=told.revision)
        if _is_published(found, wanted):
            break
        _forget(target)
        # A crash, or a change the server didn't tell of, damages only what was joined: that gets a second chance.
        if last or not joined:
            raise UserError(
                f"{remote.url} brought {_identity(found)}, where {_published(wanted)} is published for {target.name}; "
                "nothing was kept, try again later or from another network"
            )
    return found


def _complete(remote: Remote, target: Path, patience: Patience, free: FreeBytes) -> bool:
    """Ask for what is missing until the part is whole; says whether its end was joined to an earlier beginning."""
    furthest, failures = -1, 0
    with transport.session() as session:
        while True:
            try:
                return _attempt(session, remote, target, patience.timeout, free)
            except Broken as error:
                here = _size(part_of(target))
                failures = 1 if here > furthest else failures + 1
                furthest = max(furthest, here)
                if failures >= patience.attempts:
                    kept = f"{show_bytes(here)} are kept in {part_of(target)}, so " if here else ""
                    raise UserError(f"{remote.url}: {error}; {kept}{GO_ON} when the connection is back") from None
                patience.sleep(patience.first_wait * 2 ** (failures - 1))


def _attempt(session: "Session", remote: Remote, target: Path, timeout: float, free: FreeBytes) -> bool:
    """One question for what is missing; says whether the answer was joined to what an earlier one brought."""
    part, known = part_of(target), _read_note(target, remote.url)
    have = _size(part) if known.validator else 0
    if have and have == known.total:
        return True
    with transport.ask(session, remote.url, timeout, have, known.validator) as answer:
        if answer.start == 0:
            have = 0
        elif answer.start != have or not _is_rest(answer, known):
            _forget(target)
            raise Broken("the file there changed")
        if answer.total is not None and remote.bytes not in (None, answer.total):
            raise UserError(
                f"{remote.url} has {answer.total} bytes, where {remote.bytes} are published for {target.name}; "
                "it was replaced, so look for a newer version of this program"
            )
        need_room(target.parent, (answer.total or remote.bytes or 0) - have, free)
        if not have:
            part.unlink(missing_ok=True)
            note = _Note(remote.url, answer.validator, answer.total, answer.announced, answer.revision)
            write_atomically(_note_of(target), to_json(note))
        _append(answer, part, have)
    return have > 0


def _append(answer: Answer, part: Path, have: int) -> None:
    with part.open("ab") as file:
        try:
            for chunk in track_bytes(answer.chunks(), part.stem, answer.total, have):
                file.write(chunk)
        except OSError as error:
            error.filename = error.filename or str(part)
            raise
        finally:
            file.flush()
            os.fsync(file.fileno())
        if answer.total is not None and file.tell() < answer.total:
            raise Broken(f"the connection ended after {file.tell()} of {answer.total} bytes")


def _is_rest(answer: Answer, known: _Note) -> bool:
    """Whether a partial answer is of the content that is here; what it doesn't say can't speak against it."""
    return (
        answer.total == known.total
        and answer.validator in ("", known.validator)
        and answer.announced in ("", known.announced)
    )


def _note_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")


def _read_note(target: Path, url: str) -> _Note:
    """What the part is the beginning of; nothing is known if the note is of another address or can't be read."""
    path = _note_of(target)
    try:
        found = validate_json(_Note, path.read_bytes(), str(path))
    except (OSError, UserError):
        return _Note(url)
    return found if found.url == url else _Note(url)


def _forget(target: Path) -> None:
    part_of(target).unlink(missing_ok=True)
    _note_of(target).unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _measure(path: Path, new: bool) -> Fetched:
    with path.open("rb") as file:
        return Fetched(path, hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size, new)


def _is_published(found: Fetched, remote: Remote) -> bool:
    return remote.bytes in (None, found.bytes) and found.sha256.startswith(remote.sha256)


def _identity(found: Fetched) -> str:
    return f"{found.bytes} bytes with sha256 {found.sha256[:12]}..."


def _published(remote: Remote) -> str:
    size = [] if remote.bytes is None else [f"{remote.bytes} bytes"]
    return " with ".join([*size, *([f"sha256 {remote.sha256[:12]}..."] if remote.sha256 else [])])
