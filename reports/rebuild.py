"""Everything that people read, made anew from folders of records: tables, page, figures, and a paper's cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.record_store import RecordStore
from reports import experiments, leaderboard, page, reproduction, stale
from reports.collector import without_collector
from reports.figures.painters import WORTH_A_PROCESS, Painters
from reports.merging import Merged, merge
from reports.table import Table
from reports.tables import tables


@dataclass(frozen=True)
class Rebuilt:
    """What a report was made of.

    Attributes:
        reproduced: files that set a paper's cells beside our records, if they were asked for.
    """

    merged: Merged
    tables: list[Table]
    reproduced: list[Path]


def rebuild(folders: Sequence[Path], output: Path, draws: bool, paper: str = "") -> Rebuilt:
    """Write everything of the records of some folders into `output`; what an earlier report left there and this one
    does not make again is removed at the end.

    Args:
        draws: figures too, which also show pictures on the page.
        paper: whose cells our records are set beside (`reports.paper_cells`).

    Raises:
        UserError: as `merge`, or no such paper.
    """
    # Of two sweeps into one folder, the one that ends last must not write what it read before the other's last record.
    with RecordStore(output).alone(), without_collector():
        if not draws:
            return _written(merge(folders), output, paper)
        held = sum(len(RecordStore(folder).keys()) for folder in folders)
        with Painters(helped=held >= WORTH_A_PROCESS) as painters:
            return _written(merge(folders), output, paper, painters)


def _written(merged: Merged, output: Path, paper: str, painters: Painters | None = None) -> Rebuilt:
    earlier = stale.of_earlier(output, draws=painters is not None)
    found = tables(merged.records, merged.absences)
    if painters:
        painters.begin(merged.folders, found, experiments.shown(merged.records), output)
    written = leaderboard.write(merged.records, output, found)
    content = page.content(merged, found)
    drawn = painters.finish() if painters else None
    page.write(content, output, drawn)
    reproduced = reproduction.write(merged, paper, output) if paper else []
    stale.remove(earlier, [*written, *reproduced, *(path for one in drawn or () for path in one.paths)])
    return Rebuilt(merged, found, reproduced)
