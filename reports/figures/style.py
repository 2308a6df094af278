"""How every figure looks: sizes of a two-column paper, colours that colour-blind readers tell apart, and files that are
the same bytes for the same records.

A row has one colour and one marker in all figures; what a colour says is said by a marker, a label or a place too, so
that a greyscale print loses nothing.
"""

import contextlib
import io
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmark.atomic import write_atomically
from encoders.errors import printable
from reports import paper
from reports.figures.fonts import figure_font
from reports.table import Row, Table

COLUMN, PAGE = 3.25, 7.0
"""Widths in inches: a column and the page of a two-column paper."""
SMALL, TEXT = 5.5, 6.5
"""Points: what stands in a panel, and its labels."""
DPI = 200
LABEL_CHARACTERS = 34
"""Of a row's label before it is folded."""
CHARACTER = 0.0081
"""Inches of one for each point of its size, on the wide side."""

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#882255", "#999933")
"""Okabe and Ito's ("Color Universal Design", 2008) without black and yellow, and two of Paul Tol's muted scheme."""
MARKERS = ("o", "s", "^", "D", "v", "p", "h", "<", ">", "P", "X")
FILLS: dict[str, Literal["full", "none", "left", "right", "bottom", "top"]] = {
    "none": "none", "gw": "full", "lw": "left", "moe": "right", "mean": "bottom", "concat": "top",
}  # fmt: skip
"""Part of a marker that is filled, by fuser."""
GREYS = ("#5A5A5A", "#9A9A9A")
"""Floors: no model, so no colour."""
INK, FAINT = "#222222", "#D9D9D9"
WRONG = "#D55E00"
EDGE = "#BBBBBB"
"""Of a photograph, which may be as white as its paper."""
SHADES, SEQUENTIAL = "Blues", "cividis"
"""Colour maps that darken or brighten evenly: of matrices on white paper, and of maps beside photographs."""

RC: dict[str, Any] = {
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": TEXT,
    "legend.fontsize": TEXT,
    "axes.linewidth": 0.5,
    "axes.edgecolor": "#777777",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2,
    "ytick.major.size": 2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.4,
    "hatch.linewidth": 0.4,
    "lines.linewidth": 1.0,
    "lines.markersize": 4,
    "legend.frameon": False,
    # A name with two dollar signs is a name.
    "text.parse_math": False,
    # Text stays text in a PDF, so that it can be searched and set in another font.
    "pdf.fonttype": 42,
    "pdf.compression": 6,
}


@dataclass(frozen=True)
class Look:
    """How a row is drawn: colour and marker are its encoder's, the filled part of a marker is its fuser's."""

    colour: str
    marker: str
    fill: Literal["full", "none", "left", "right", "bottom", "top"] = "full"

    def points(self, **changed: Any) -> dict[str, Any]:
        """Options of a plot of points."""
        style = {"color": self.colour, "marker": self.marker, "fillstyle": self.fill, "markerfacecoloralt": "white"}
        return {**style, "markeredgewidth": 0.7, **changed}


Looks = dict[str, Look]


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Within it figures look alike, whatever a matplotlibrc says or another library has set."""
    import matplotlib as mpl

    with figure_font() as family, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC | {"font.family": family})
        yield


def label(row: Row) -> str:
    """A row's name in figures: its title, its fuser as tables call it, a dagger where its weights are drawn."""
    # No-break spaces, so that neither stands alone where a label is folded.
    fused = "" if row.fusion == "none" else f" +\u00a0{printable(paper.FUSERS.get(row.fusion, row.fusion))}"
    return printable(row.title) + fused + ("\u00a0†" if row.random else "")


def folded(text: str, characters: int = LABEL_CHARACTERS) -> str:
    """A label on as many lines as it takes."""
    return "\n".join(textwrap.wrap(text, characters, break_long_words=True)) or text


def cut(text: str, characters: int) -> str:
    """A name of somebody's, no longer than that."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def width_of(labels: Iterable[str], points: float = TEXT) -> float:
    """Inches that folded labels take, about."""
    longest = max((len(line) for one in labels for line in one.split("\n")), default=0)
    return 0.1 + CHARACTER * points * longest


def looks(tables: Iterable[Table]) -> Looks:
    """The look of each row, by its label, the same in every table: colours go by the encoder's name."""
    rows = {label(row): row for table in tables for row in table.rows}
    models = sorted({row.encoder for row in rows.values() if row.section != "floors"}, key=str.lower)
    floors = sorted({row.encoder for row in rows.values() if row.section == "floors"}, key=str.lower)
    found: Looks = {}
    for name, row in rows.items():
        colours, of = (GREYS, floors) if row.section == "floors" else (PALETTE, models)
        number = of.index(row.encoder)
        fill = FILLS.get(row.fusion.split("-")[0], "full")
        found[name] = Look(colours[number % len(colours)], MARKERS[number % len(MARKERS)], fill)
    return found


def figure(width: float, height: float) -> Any:
    """An empty figure of that many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(made)
    return made


def save(made: Any, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and PDF, atomically; neither says when or by what it was made."""
    paths = []
    for kind, metadata in {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }.items():
        buffer = io.BytesIO()
        packed = {"pil_kwargs": {"compress_level": 3}} if kind == "png" else {}
        made.savefig(buffer, format=kind, dpi=DPI, metadata=metadata, **packed)
        paths.append(write_atomically(folder / f"{name}.{kind}", buffer.getvalue()))
    return paths
