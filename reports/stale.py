"""Files of an earlier report that a new one did not make again: they would go on telling of records that are gone.

Only names that a report writes are known here, and figures only as its own index lists them: what else lies in the
folder is somebody's.
"""

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

from reports import leaderboard, paper_cells, reproduction
from reports.figures.painters import FOLDER, INDEX

_LISTED = re.compile(r"^- `([^`/\\]+)`: ", re.MULTILINE)


def of_earlier(output: Path, draws: bool) -> set[Path]:
    """What an earlier report may have left in a folder; to be asked before a new one is written.

    Args:
        draws: whether the new one is a whole report. One without figures is made after each sweep, and leaves them and
            what was set beside a paper.
    """
    found = {output / leaderboard.GEOBENCH}
    if draws:
        found.update(path for name in paper_cells.names() for path in reproduction.paths(name, output).values())
        with contextlib.suppress(OSError, UnicodeDecodeError):
            listed = _LISTED.findall((output / FOLDER / INDEX).read_text(encoding="utf-8"))
            found.update(output / FOLDER / f"{name}.{kind}" for name in listed for kind in ("png", "pdf"))
    return found


def remove(earlier: Iterable[Path], written: Iterable[Path]) -> None:
    """Remove what was not written again, once all is."""
    for path in set(earlier) - set(written):
        path.unlink(missing_ok=True)
