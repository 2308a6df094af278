"""Records of several results folders as one: copies of a record agree, or the error names both."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmark.grid import failures
from benchmark.grid.failures import Failure
from benchmark.protocol import hash_of
from benchmark.record_store import RecordStore
from benchmark.records import Record
from encoders.errors import UserError
from reports.collector import without_collector
from reports.copies import Copy, agreed

_MAKE_SOME = "make some: uv run evaluate.py --demo --output {}"


@dataclass(frozen=True)
class Absence:
    """A cell without a record, and why.

    Attributes:
        cell: row with its variant, fusion, dataset, probe, protocol hash, bands, band names and partition.
        protocol: its name.
    """

    cell: tuple[str, ...]
    kind: Literal["failed", "impossible"]
    why: str
    protocol: str = ""


@dataclass(frozen=True)
class Merged:
    """What some results folders hold together.

    Attributes:
        records: each run once, by key, without counts of groups, cards, packages, and of its configuration all but
            its protocol's title and seeds: there may be many (`Record.light`).
        folders: the results folder a record was read from, by key; its counts and cards can be read again there.
        absences: cells without a record.
    """

    records: list[Record]
    folders: dict[str, Path]
    absences: list[Absence]


def merge(folders: Sequence[Path]) -> Merged:
    """Read results folders. What comes out doesn't depend on their order.

    Copies of one run must agree in what was measured; of what else is said of it, the one that was made last tells.

    Raises:
        UserError: a folder that isn't there or holds nothing, no record at all, a damaged one; or one run with
            different results in two folders, which names both files.
    """
    held: dict[str, list[Path]] = {}
    failed: list[Failure] = []
    with without_collector():
        for folder in {os.path.realpath(folder): folder for folder in folders}.values():
            store = RecordStore(folder)
            keys, without = store.keys(), failures.read(folder)
            _check_holds_something(folder, bool(keys or without))
            failed += without
            for key in keys:
                held.setdefault(key, []).append(folder)
        if not held:
            raise UserError(_no_records(folders[0]))
        one = {key: _one(key, held[key]) for key in sorted(held)}
    # Of several reasons for a cell the last counts.
    absences = list(_absences(sorted(failed, key=lambda failure: (failure.created, repr(failure)))))
    return Merged([copy.record for copy in one.values()], {key: copy.folder for key, copy in one.items()}, absences)


def _one(key: str, folders: Sequence[Path]) -> Copy:
    """The record of a run, light; copies that differ are read in full, as all that was measured must agree."""
    stores = [RecordStore(folder) for folder in folders]
    if len(stores) == 1:
        return Copy(stores[0].read_light(key), folders[0])
    if _identical([store.path(key) for store in stores]):
        record = stores[0].read_light(key)
        return agreed([Copy(record, folder) for folder in folders])
    copy = agreed([Copy(store.read(key), store.folder) for store in stores])
    return replace(copy, record=copy.record.light())


def _identical(paths: Sequence[Path]) -> bool:
    try:
        return len({path.read_bytes() for path in paths}) == 1
    except OSError:
        return False  # reading it says what is wrong


def _check_holds_something(folder: Path, held: bool) -> None:
    if not folder.is_dir():
        raise UserError(f"{folder}: holds no records, there is no such folder; {_MAKE_SOME.format(folder)}")
    if not held:
        raise UserError(_no_records(folder))


def _no_records(folder: Path) -> str:
    return f"{folder}: holds no records yet; {_MAKE_SOME.format(folder)}"


def _absences(failed: Sequence[Failure]) -> Iterator[Absence]:
    for failure in failed:
        config = failure.config
        parts = [config.get(name) for name in ("fusion", "dataset", "probe", "protocol", "settings")]
        if not all(isinstance(part, dict) for part in parts):
            continue
        fusion, dataset, probe, protocol, settings = (dict(part) for part in parts)  # type: ignore[call-overload]
        tracks = [settings.get(name) for name in ("bands", "band_names", "partition")]
        row = " ".join(filter(None, (str(config.get("row")), str(config.get("variant", "")))))
        named = [row, fusion.get("name"), dataset.get("name"), probe.get("name"), hash_of(protocol)]
        kind: Literal["failed", "impossible"] = "impossible" if failure.type == failures.IMPOSSIBLE else "failed"
        yield Absence(tuple(str(part) for part in [*named, *tracks]), kind, failure.message, str(protocol.get("name")))
