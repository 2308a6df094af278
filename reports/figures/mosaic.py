"""Grids of pictures: composed as one picture of equal cells, with text between them, so a page is drawn at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from benchmark.scoring.counts import Array
from reports.figures.style import DPI, EDGE, PAGE, SMALL, TEXT, figure, width_of

GAP = 3
"""Pixels between cells."""
LARGEST = 1.15
"""Inches of a cell at most."""


@dataclass(frozen=True)
class Picture:
    """An (h, w, 3) uint8 picture; `smooth` for photographs, whose cells are no pixels of their own."""

    pixels: Array
    smooth: bool = False


@dataclass(frozen=True)
class Marked:
    """A colour and what it stands for."""

    colour: str
    name: str


def mosaic(
    cells: Sequence[Sequence[Picture | None]],
    *,
    columns: Sequence[str],
    rows: Sequence[str] = (),
    key: Sequence[Marked] = (),
    width: float = PAGE,
) -> Any:
    """A figure of pictures in rows and columns.

    Args:
        cells: rows of equal length; None leaves a place empty.
        columns, rows: titles above and beside; none for no rows.
        key: colours explained below.
        width: inches at most.
    """
    side = width_of(rows, SMALL) if any(rows) else 0.02
    head = 0.05 + 0.11 * max((title.count("\n") + 1 for title in columns if title), default=0)
    across, down = len(columns), len(cells)
    pitch = min((width - side) / across, LARGEST)
    width = side + across * pitch
    pixels = round(pitch * DPI) - GAP
    foot = _key_height(key, width)
    height = head + down * pitch + foot
    sheet = np.full((down * (pixels + GAP), across * (pixels + GAP), 3), 255, np.uint8)
    for line, row in enumerate(cells):
        for place, cell in enumerate(row):
            if cell is not None:
                top, left = line * (pixels + GAP), place * (pixels + GAP)
                shown = _fitted(cell, pixels)
                sheet[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    made = figure(width, height)
    ax = made.add_axes((side / width, foot / height, (width - side) / width, down * pitch / height))
    ax.imshow(sheet, interpolation="nearest", aspect="auto")
    ax.set_axis_off()
    for place, title in enumerate(columns):
        x = (side + (place + 0.5) * pitch - GAP / DPI / 2) / width
        made.text(x, 1 - (head - 0.03) / height, title, ha="center", va="bottom", fontsize=TEXT, linespacing=1.0)
    for line, title in enumerate(rows):
        y = (foot + (down - line - 0.5) * pitch) / height
        made.text((side - 0.04) / width, y, title, ha="right", va="center", fontsize=SMALL, linespacing=1.1)
    _explain(made, key)
    return made


def _fitted(cell: Picture, pixels: int) -> Array:
    """The picture with its longer side at `pixels`, a photograph with an edge around it."""
    height, width = cell.pixels.shape[:2]
    scale = pixels / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = Image.Resampling.BICUBIC if cell.smooth else Image.Resampling.NEAREST
    shown = np.array(Image.fromarray(cell.pixels).resize(size, how))
    if cell.smooth:
        shown[[0, -1]] = shown[:, [0, -1]] = bytes_of(EDGE)
    return shown


def bytes_of(colour: str) -> list[int]:
    """`#BBBBBB` as red, green and blue, 0 to 255."""
    return list(bytes.fromhex(colour[1:]))


def _across(key: Sequence[Marked], width: float) -> int:
    longest = max((len(one.name) for one in key), default=0)
    return max(1, min(len(key), int(width / (0.3 + 0.05 * longest))))


def _key_height(key: Sequence[Marked], width: float) -> float:
    return 0.08 + 0.12 * -(-len(key) // _across(key, width)) if key else 0.02


def _explain(made: Any, key: Sequence[Marked]) -> None:
    from matplotlib.patches import Patch

    if key:
        made.legend(
            handles=[Patch(facecolor=one.colour, edgecolor="#777777", linewidth=0.3, label=one.name) for one in key],
            loc="lower center", ncols=_across(key, made.get_figwidth()), handlelength=1, handleheight=0.8,
            handletextpad=0.4, columnspacing=1.2, labelspacing=0.25, borderaxespad=0.1, fontsize=SMALL,
        )  # fmt: skip


def ends(colourmap: str, low: str, high: str) -> list[Marked]:
    """A key of a colour map: what its two ends stand for."""
    first, last = painted(np.array([[0.0, 1.0]]), colourmap, 0, 1)[0]
    return [Marked(f"#{first.tobytes().hex()}", low), Marked(f"#{last.tobytes().hex()}", high)]


def painted(values: Array, colourmap: str, low: float, high: float) -> Array:
    """Numbers (h, w), `low` to `high`, as colours (h, w, 3) uint8."""
    from matplotlib import colormaps

    shown: Array = (255 * colormaps[colourmap](np.clip((values - low) / max(high - low, 1e-12), 0, 1))[..., :3]).round()
    return shown.astype(np.uint8)
