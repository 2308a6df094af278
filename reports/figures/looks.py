"""How an encoder sees a few training images, from the arrays of `evaluate.py preview` (`benchmark.pictures.looks`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.scoring.counts import Array
from reports.figures.mosaic import Picture, ends, mosaic, painted
from reports.figures.style import COLUMN, PAGE

MARK = (213, 94, 0)
"""Of a point: vermillion."""
HEAT = "inferno"
ATTENDED = 2
"""Images of an attention figure: each takes a line for every point."""


def features(arrays: Mapping[str, Array]) -> Any:
    """Images in a column each, below them their first three principal components at each scale as colours."""
    levels = [number for number in range(len(arrays["strides"])) if f"colours{number}" in arrays]
    images = arrays["images"]
    cells: list[list[Picture | None]] = [[Picture(image, smooth=True) for image in images]]
    cells += [[Picture(one) for one in arrays[f"colours{number}"]] for number in levels]
    titles = ["image", *(f"1/{arrays['strides'][number]}" for number in levels)]
    width = COLUMN if len(images) <= 4 else PAGE
    return mosaic(cells, columns=[""] * len(images), rows=titles, width=width)


def attention(arrays: Mapping[str, Array]) -> Any:
    """A line an image and point: the image with the point, then what it attends to, by scale and view."""
    levels = [number for number in range(len(arrays["strides"])) if f"attention{number}" in arrays]
    views = [str(view) for view in arrays["views"]]
    columns = ["image", *(f"1/{arrays['strides'][number]}, {view}" for number in levels for view in views)]
    cells: list[list[Picture | None]] = []
    for image, pixels in enumerate(arrays["images"][:ATTENDED]):
        for number, point in enumerate(arrays["points"]):
            line: list[Picture | None] = [Picture(_marked(pixels, point), smooth=True)]
            for level in levels:
                found = arrays[f"attention{level}"][image, number].astype(np.float32)
                line += [Picture(painted(one, HEAT, 0, float(one.max()))) for one in found]
            cells.append(line)
    return mosaic(cells, columns=columns, key=ends(HEAT, "0", "the most in its map"))


def _marked(image: Array, point: Array) -> Array:
    """The image with a ring around the point, white outside so that it shows on any ground."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(x + 0.5 - point[0] * width, y + 0.5 - point[1] * height) / max(height, width)
    marked: Array = image.copy()
    marked[(distance < 0.06) & (distance >= 0.045)] = 255
    marked[distance < 0.045] = MARK
    return marked
