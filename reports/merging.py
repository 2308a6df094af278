"""Records of several results folders as one: copies of a record agree, or the error names both."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmark.grid import failures
from benchmark.protocol import hash_of
from benchmark.record_store import RecordStore
from benchmark.records import Record
from encoders.errors import UserError
from reports.collector import without_collector


@dataclass(frozen=True)
class Absence:
    """A cell without a record, and why.

    Attributes:
        cell: row with its variant, fusion, dataset, probe, protocol hash, bands, band names and partition.
    """

    cell: tuple[str, ...]
    kind: Literal["failed", "impossible"]
    why: str


@dataclass(frozen=True)
class Merged:
    """What some results folders hold together.

    Attributes:
        records: each run once, by key, without counts of groups, cards, packages, and of its configuration all but a
            title: there may be many (`Record.light`).
        folders: the results folder a record was read from, by key; all of it can be read again there.
        absences: cells without a record.
    """

    records: list[Record]
    folders: dict[str, Path]
    absences: list[Absence]


def merge(folders: Sequence[Path]) -> Merged:
    """Read results folders.

    Raises:
        UserError: a damaged record; or one run with different results in two folders, which names both files.
    """
    records: dict[str, Record] = {}
    origins: dict[str, Path] = {}
    absences = []
    with without_collector():
        for folder in {os.path.realpath(folder): folder for folder in folders}.values():
            store = RecordStore(folder)
            for record in map(store.read_light, store.keys()):
                key, before = record.key, records.get(record.key)
                if before is None:
                    records[key], origins[key] = record, folder
                else:
                    _check_agreement(record, folder, before, origins[key])
                    records[key] = before.also(record.rows, record.variant, record.experiments)
            absences += list(_absences(folder))
    return Merged([records[key] for key in sorted(records)], origins, absences)


def _check_agreement(record: Record, folder: Path, before: Record, other: Path) -> None:
    here, there = record.score, before.score
    # Versions may measure more and less of the same predictions.
    differing = [name for name, value in there.metrics.items() if here.metrics.get(name, value) != value]
    if not differing and record.predictions_sha256 == before.predictions_sha256:
        return
    paths = [str(RecordStore(one).path(record.key)) for one in (other, folder)]
    name = here.headline if here.headline in differing else next(iter(differing), "")
    told = f"{name} {there.metrics[name]} and {here.metrics[name]}" if name else "its predictions"
    raise UserError(
        f"{paths[0]} and {paths[1]} are the same run with different results ({told}); see with `rerun` which comes out "
        "again, and delete the other"
    )


def _absences(folder: Path) -> Iterator[Absence]:
    for failure in failures.read(folder):
        config = failure.config
        parts = [config.get(name) for name in ("fusion", "dataset", "probe", "protocol", "settings")]
        if not all(isinstance(part, dict) for part in parts):
            continue
        fusion, dataset, probe, protocol, settings = (dict(part) for part in parts)  # type: ignore[call-overload]
        tracks = [settings.get(name) for name in ("bands", "band_names", "partition")]
        row = " ".join(filter(None, (str(config.get("row")), str(config.get("variant", "")))))
        named = [row, fusion.get("name"), dataset.get("name"), probe.get("name"), hash_of(protocol)]
        kind: Literal["failed", "impossible"] = "impossible" if failure.type == failures.IMPOSSIBLE else "failed"
        yield Absence(tuple(str(part) for part in [*named, *tracks]), kind, failure.message)
