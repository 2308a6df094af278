"""Figures for papers and talks: PNG and PDF of every table's numbers and of the pictures kept beside the records.

`figures/index.md` says what each one shows, and of what: a caption to begin with. `catalogue.py` says which figures
there are, `painters.py` has one process or two draw them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reports import experiments
from reports.figures import style
from reports.figures.catalogue import look
from reports.figures.painters import FOLDER, Drawn, Painters
from reports.table import Table

if TYPE_CHECKING:
    from reports.merging import Merged


def write(merged: "Merged", tables: Sequence[Table], folder: Path) -> list[Drawn]:
    """Draw everything into `<folder>/figures/`, each file atomically; raises as `Painters.finish`.

    Args:
        tables: of the merged records.
    """
    with Painters(helped=False) as painters:
        painters.begin(merged.folders, tables, experiments.shown(merged.records), folder)
        return painters.finish()


def draw_looks(path: Path, output: Path) -> Path:
    """Draw one file of `evaluate.py preview` into `<output>/figures/`; returns the PNG's path.

    Raises:
        UserError: the file is damaged.
    """
    with style.drawing():
        drawn = look(path)
        return style.save(drawn.made, output / FOLDER, drawn.name)[0]
