"""`evaluate.py verify`: every record of some results folders checked, and every problem named; none hides another.

Each file is read once. What is computed again, and from what, stands in `benchmark.scoring.consistency`.
"""

import hashlib
import marshal
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from benchmark.record_store import REMEDY, RecordStore, read_record
from benchmark.records import Record
from benchmark.scoring import npz
from benchmark.scoring.consistency import faults, most_bytes
from encoders.errors import UserError

HEADER = ["file", "what", "remedy"]
AGAIN = "run the command that made it again"
WORTH_A_PROCESS, CHUNK = 1000, 50
"""Records for which another process is started (seconds each), and that it takes at a time."""
ASIDE = "do not report it: delete its record and run the same command again"


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file, and what mends it."""

    file: Path
    what: str
    remedy: str

    def row(self) -> list[str]:
        """A line under `HEADER`."""
        return [str(self.file), self.what, self.remedy]


@dataclass(frozen=True)
class Verified:
    """What was found.

    Attributes:
        checked: record files looked at.
        records: those that hold a valid record, without their counts, cards and configurations: there may be many.
    """

    checked: int
    problems: list[Problem]
    records: list[Record]

    @property
    def summary(self) -> str:
        """The last line."""
        files = len({problem.file for problem in self.problems})
        found = f"{len(self.problems)} problems in {files} files" if self.problems else "no problem"
        return f"{self.checked} records checked: {found}."


def verify(folders: Sequence[Path]) -> Verified:
    """Check results folders, each alone and against one another."""
    verified = Verified(0, [], [])
    distinct = {os.path.realpath(folder): folder for folder in folders}.values()
    paths = {folder: sorted((folder / "records").glob("*.json")) for folder in distinct}
    for folder, held in paths.items():
        if not held:
            verified.problems.append(Problem(folder, "holds no records", "give a results folder, as --output named it"))
        verified.problems.extend(_orphans(folder, {path.stem for path in held}))
    every = [path for held in paths.values() for path in held]
    first: dict[str, tuple[Path, Examined]] = {}
    for path, examined in zip(every, _examine_all(every), strict=True):
        verified.problems.extend(examined.problems)
        if examined.record is None:
            continue
        verified.records.append(examined.record)
        before_path, before = first.setdefault(examined.record.key, (path, examined))
        if before.content != examined.content:
            verified.problems.append(_conflict(path, examined, before_path, before))
    return replace(verified, checked=len(every))


@dataclass(frozen=True)
class Examined:
    """One record file: its record, if it can be read, a digest of its result, and its problems."""

    record: Record | None
    content: str
    problems: list[Problem]


def _examine_all(paths: Sequence[Path]) -> Iterator[Examined]:
    workers = min(os.cpu_count() or 1, len(paths) // WORTH_A_PROCESS)
    if workers < 2:
        yield from map(_examine, paths)
        return
    # Ctrl-C is the parent's to answer.
    with ProcessPoolExecutor(workers, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield from pool.map(_examine, paths, chunksize=CHUNK)


def _examine(path: Path) -> Examined:
    try:
        record = read_record(path)
    except UserError as error:
        what = str(error).removeprefix(f"{path}: ").removesuffix(f"; {REMEDY}")
        return Examined(None, "", [Problem(path, what, REMEDY)])
    problems: list[Problem] = []
    try:
        beside = RecordStore(path.parent.parent).predictions_path(record.key)
        problems.extend(_problems(path, record, beside))
    except Exception as error:  # whatever a file holds, the others are looked at
        what = str(error) if isinstance(error, UserError) else f"cannot be checked ({type(error).__name__}: {error})"
        problems.append(Problem(path, what, ASIDE))
    return Examined(record.light(), _content(record), problems)


def _problems(path: Path, record: Record, beside: Path) -> Iterator[Problem]:
    try:
        content = beside.read_bytes()
    except OSError as error:
        yield Problem(beside, f"predictions that cannot be read ({error.strerror})", AGAIN)
        return
    if hashlib.sha256(content).hexdigest() != record.predictions_sha256:
        yield Problem(beside, "not the predictions its record was made with (another sha256)", AGAIN)
        return
    try:
        arrays = npz.read(content, most_bytes(record))
    except ValueError as error:
        yield Problem(beside, str(error), ASIDE)
        return
    for fault in faults(record, arrays):
        yield Problem(beside if fault.startswith("predictions") else path, fault, ASIDE)


def _orphans(folder: Path, keys: set[str]) -> Iterator[Problem]:
    for path in sorted((folder / "predictions").glob("*.npz")):
        if path.stem not in keys:
            yield Problem(path, "predictions without a record", "delete them, or run their command again")


def _conflict(path: Path, examined: Examined, other_path: Path, other: Examined) -> Problem:
    assert examined.record is not None
    assert other.record is not None
    name, here, there = examined.record.score.headline, examined.record.score.metrics, other.record.score.metrics
    differ = "other counts or predictions" if here == there else f"{name} {here.get(name)}, there {there.get(name)}"
    what = f"the same run as {other_path} with another result: {differ}"
    return Problem(path, what, "see with `rerun` which comes out again, and delete the other")


def _content(record: Record) -> str:
    """What two records of one run must have in common."""
    score = {**vars(record.score), "interval": vars(record.score.interval)}
    plain = [[name, sorted(one.items()) if isinstance(one, dict) else one] for name, one in sorted(score.items())]
    # Many times faster than any text of 12,000 counts; version 2, as later ones also write which objects are shared.
    return hashlib.sha256(marshal.dumps([record.key, record.predictions_sha256, plain], 2)).hexdigest()
