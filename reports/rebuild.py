"""Everything that people read, made anew from folders of records: tables, page, figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.record_store import RecordStore
from reports import experiments, leaderboard, page
from reports.collector import without_collector
from reports.figures.painters import WORTH_A_PROCESS, Painters
from reports.merging import Merged, merge
from reports.table import Table
from reports.tables import tables


@dataclass(frozen=True)
class Rebuilt:
    """What a report was made of."""

    merged: Merged
    tables: list[Table]


def rebuild(folders: Sequence[Path], output: Path, draws: bool) -> Rebuilt:
    """Write everything of the records of some folders into `output`.

    Args:
        draws: figures too, which also show pictures on the page.

    Raises:
        UserError: as `merge`.
    """
    # Of two sweeps into one folder, the one that ends last must not write what it read before the other's last record.
    with RecordStore(output).alone(), without_collector():
        if not draws:
            return _tables_and_page(merge(folders), output)
        held = sum(len(RecordStore(folder).keys()) for folder in folders)
        with Painters(helped=held >= WORTH_A_PROCESS) as painters:
            return _tables_and_page(merge(folders), output, painters)


def _tables_and_page(merged: Merged, output: Path, painters: Painters | None = None) -> Rebuilt:
    found = tables(merged.records, merged.absences)
    if painters:
        painters.begin(merged.folders, found, experiments.shown(merged.records), output)
    leaderboard.write(merged.records, output, found)
    content = page.content(merged, found)
    page.write(content, output, painters.finish() if painters else None)
    return Rebuilt(merged, found)
