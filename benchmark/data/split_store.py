"""Building one split's arrays on disk; whatever stops the process, finished samples are never read again.

Rows are appended to the arrays in `<split>.partial`; then a line in the journal says how many samples are
finished. The next process cuts off what came after that line and goes on.
"""

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from benchmark import progress
from benchmark.atomic import write_atomically
from benchmark.data import moments, samples
from benchmark.data.dataset import Dataset, StoredBand
from benchmark.data.readers import Reader
from benchmark.data.rowfile import RowFile, holds
from encoders.errors import UserError, strict, to_json, validate_json

SCHEMA = 1
"""Raised when the layout changes meaning; older ingests are then made again."""


class NoRoomError(UserError):
    """The disk can't hold what is to come; what there is, is kept."""


JOURNAL = "journal"
JOURNAL_SECONDS = 0.5
"""How much work a killed process may lose; each journal line costs an fsync of every array."""

_DESCRIBING = ("task", "multilabel", "num_classes", "image_size", "bands", "groups", "ranges", "correlations")
_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class Source:
    """Where a split comes from: what reads the dataset's files, and the sample names in order."""

    dataset: Dataset
    reader: Reader
    split: str
    names: tuple[str, ...]

    def signature(self) -> str:
        """Changes with the names, sizes or times of the files, or with what the catalogue says of them."""
        described = asdict(self.dataset)
        facts = [described[field] for field in _DESCRIBING]
        if self.dataset.files is not None:
            facts.append(described["files"])
        head = [SCHEMA, facts, self.split, self.names]
        seen = hashlib.sha256(json.dumps(head).encode())
        for stamp in self.reader.stamps(self.names):
            seen.update(f"{stamp}\n".encode())
        return seen.hexdigest()


@strict
@dataclass(frozen=True)
class Plan:
    """What the arrays of a split look like: fixed by its first sample, checked on every other.

    Attributes:
        signature: of the source; a partial build of another signature starts anew.
        dtypes: stored dtype by stored band name.
        arrays: (file name, dtype, shape).
    """

    signature: str
    dtypes: dict[str, str]
    arrays: tuple[tuple[str, str, tuple[int, ...]], ...]

    @property
    def row_bytes(self) -> int:
        """Bytes a sample takes on disk."""
        return sum(np.dtype(dtype).itemsize * int(np.prod(shape[1:], dtype=int)) for _, dtype, shape in self.arrays)


def grids(dataset: Dataset) -> dict[str, tuple[StoredBand, ...]]:
    """Ingested bands by array file: `images.npy` at native size, `images_<H>x<W>.npy` for any other grid."""
    by_file: dict[str, tuple[StoredBand, ...]] = {"images.npy": dataset.main_bands}
    for band in samples.ingested(dataset):
        if band.grid is not None:
            name = f"images_{band.grid[0]}x{band.grid[1]}.npy"
            by_file[name] = (*by_file.get(name, ()), band)
    return by_file


def build(source: Source, partial: Path) -> Plan:
    """Write the arrays of a split, going on where an earlier process stopped.

    Raises:
        UserError: a damaged sample, or not enough disk; what is finished is kept.
    """
    signature = source.signature()
    plan, done = _finished(partial, signature)
    if plan is None:
        plan = _plan(source, signature)
        _check_space(source, partial, plan.row_bytes * len(source.names))
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        write_atomically(partial / JOURNAL, to_json(plan).replace(b"\n", b" ") + b"\n")
    _check_space(source, partial, plan.row_bytes * (len(source.names) - done))
    with ExitStack() as stack:
        arrays = [
            stack.enter_context(RowFile(partial / file, np.dtype(dtype), shape, done))
            for file, dtype, shape in plan.arrays
        ]
        journal = stack.enter_context((partial / JOURNAL).open("ab"))
        _append(source, plan, arrays, journal, done)
    return plan


def _append(source: Source, plan: Plan, arrays: list[RowFile], journal: BinaryIO, done: int) -> None:
    total = len(source.names)
    what = f"{source.dataset.name} {source.split}: ingesting"
    last = time.monotonic()
    for count, name in enumerate(progress.track(source.names[done:], what, total, done, "ingest"), start=done + 1):
        for array, row in zip(arrays, _rows(source, name, plan), strict=True):
            array.append(row)
        if time.monotonic() - last >= JOURNAL_SECONDS or count == total:
            for array in arrays:
                array.sync()
            journal.write(json.dumps({"finished": count}).encode() + b"\n")
            journal.flush()
            os.fsync(journal.fileno())
            last = time.monotonic()


def _rows(source: Source, name: str, plan: Plan) -> list[np.ndarray]:
    """One sample as a row of each of the plan's arrays."""
    dataset, reader = source.dataset, source.reader
    sample, label = samples.read(dataset, reader, name)
    samples.check_bands(sample, dataset, plan.dtypes, reader.where(name), reader.remedy)
    by_grid = grids(dataset).values()
    images = [
        np.stack([sample.bands[band.name] for band in bands]).astype(dtype, copy=False)
        for bands, (_, dtype, _) in zip(by_grid, plan.arrays, strict=False)
    ]
    of_bands = [moments.of_image(sample.bands[band.name], band.unit == "power") for band in samples.ingested(dataset)]
    return [*images, label, np.stack(of_bands), samples.digest(name, sample, label)]


def _plan(source: Source, signature: str) -> Plan:
    dataset, total = source.dataset, len(source.names)
    dtypes, label = samples.look(dataset, source.reader, source.names[0])
    arrays: list[tuple[str, str, tuple[int, ...]]] = []
    for file, bands in grids(dataset).items():
        common = np.result_type(*(np.dtype(dtypes[band.name]) for band in bands))
        arrays.append((file, common.str, (total, len(bands), *(bands[0].grid or dataset.image_size))))
    arrays += [
        ("labels.npy", label.dtype.str, (total, *label.shape)),
        ("moments.npy", "<f8", (total, len(dtypes), moments.WIDTH)),
        ("digests.npy", "|u1", (total, samples.DIGEST_BYTES)),
    ]
    return Plan(signature, dtypes, tuple(arrays))


def _finished(partial: Path, signature: str) -> tuple[Plan | None, int]:
    """The plan and number of finished samples of a partial build of the same source; (None, 0) otherwise."""
    journal = partial / JOURNAL
    if not journal.is_file():
        return None, 0
    content = journal.read_bytes()
    # What follows the last newline was being written when the process died.
    complete = content[: content.rfind(b"\n") + 1]
    first, *lines = complete.splitlines()
    try:
        plan = validate_json(Plan, first, str(journal))
        done = max((int(json.loads(line)["finished"]) for line in lines), default=0)
    except (UserError, ValueError, KeyError, TypeError):
        return None, 0
    kept = all(holds(partial / file, np.dtype(dtype), shape, done) for file, dtype, shape in plan.arrays)
    if plan.signature != signature or (done and not kept):
        return None, 0
    with journal.open("r+b") as file:
        file.truncate(len(complete))
    return plan, done


def _check_space(source: Source, partial: Path, needed: int) -> None:
    free = shutil.disk_usage(partial.parent).free
    if needed > free:
        raise NoRoomError(
            f"{source.dataset.name}, split {source.split}, needs {needed / 1e9:.2f} GB in {partial.parent}, "
            f"where {free / 1e9:.2f} GB are free; free some, or choose another folder with --ingest-dir"
        )


@contextmanager
def none_left_of_bad_data(partial: Path) -> Iterator[None]:
    """Remove a partial build of data that are refused: once they are mended, it would start anew."""
    try:
        yield
    except NoRoomError:
        raise
    except UserError:
        shutil.rmtree(partial, ignore_errors=True)
        raise


@contextmanager
def disk_full_is_a_user_error(source: Source, folder: Path) -> Iterator[None]:
    """Say of a full disk which one it is and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UserError(
            f"{folder.parent}: disk full ({source.dataset.name}, split {source.split}); free some and "
            f"run the same command again (what is finished is kept), or choose a folder with --ingest-dir"
        ) from None
