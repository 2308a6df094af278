"""Test images with what was predicted: image, truth, prediction and error of masks; image and answers of labels.

The images are those that `benchmark.pictures.examples` kept: chosen by their labels before anything was predicted.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.pictures.files import shrunk
from benchmark.scoring.counts import THRESHOLD, Array
from encoders.errors import printable
from reports.figures.mosaic import Marked, Picture, bytes_of, mosaic
from reports.figures.style import EDGE, PAGE, SMALL, WRONG, figure, folded, label
from reports.table import Row

ROWS = 5
"""Rows of a dataset that are shown, see `choice.best`."""
MASKS = 3
"""Images of a segmentation."""
CLASS_COLOURS = (
    "#E3E3E3", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442", "#882255", "#999933",
    "#332288", "#44AA99", "#AA4499", "#117733", "#661100", "#6699CC", "#888888", "#DDCC77", "#CC6677", "#222222",
)  # fmt: skip
"""Okabe and Ito's and Paul Tol's muted colours without that of errors; class 0, mostly background, is pale."""

Predicted = Sequence[tuple[Row, Mapping[str, Array]]]
"""Rows with the predictions of their first seed."""


def masks(shown: Mapping[str, Array], predicted: Predicted, no_data: int | None) -> Any:
    """For each image two lines: itself and what each row says; the truth and where each row is wrong."""
    classes = [printable(str(name)) for name in shown["classes"]]
    truths, images = shown["truth"][:MASKS], shown["images"][:MASKS]
    cells: list[list[Picture | None]] = []
    for number, (image, truth) in enumerate(zip(images, truths, strict=True)):
        answers: list[Picture | None] = []
        errors: list[Picture | None] = []
        for _, arrays in predicted:
            answer = _answer(arrays, str(shown["samples"][number]), truth.shape)
            answers.append(None if answer is None else Picture(_coloured(answer)))
            errors.append(None if answer is None else Picture(_errors(image, truth, answer, no_data)))
        cells += [[Picture(image, smooth=True), *answers], [Picture(_coloured(truth)), *errors]]
    columns = ["image, truth", *(folded(label(row), 20) for row, _ in predicted)]
    seen = np.unique(np.concatenate([truths.ravel(), *[_seen(arrays, shown) for _, arrays in predicted]]))
    key = [Marked(_colour(int(one)), classes[one] if one < len(classes) else str(one)) for one in seen]
    return mosaic(cells, columns=columns, rows=["image,\nprediction", "truth,\nerror"] * len(truths),
                  key=[*key, Marked(WRONG, "wrong")])  # fmt: skip


def labels(shown: Mapping[str, Array], predicted: Predicted) -> Any:
    """Images in a line, their truth below, then each row's answer: right, or what it says instead."""
    from matplotlib.patches import Rectangle

    images, truths = shown["images"], shown["truth"]
    classes = [printable(str(name)) for name in shown["classes"]]
    side, count = 0.95, len(images)
    names = [folded(label(row), 20) for row, _ in predicted]
    pitch = (PAGE - side) / count
    several = truths.ndim == 2
    truth_lines = 1 if several else max(_short(classes[int(one)], count).count("\n") + 1 for one in truths)
    line = 0.3
    height = pitch + 0.06 + 0.1 * truth_lines + 0.05 + line * len(names)
    made = figure(PAGE, height)
    ax = made.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, PAGE), ylim=(height, 0))
    ax.set_axis_off()
    below = pitch + 0.04
    ax.text(side - 0.08, below + 0.05 * truth_lines, "truth", ha="right", va="center", fontsize=SMALL)
    for number, (image, truth) in enumerate(zip(images, truths, strict=True)):
        x = side + number * pitch
        ax.imshow(image, extent=(x, x + pitch - 0.04, pitch - 0.04, 0), interpolation="antialiased", aspect="auto")
        edge = Rectangle((x, 0.01), pitch - 0.04, pitch - 0.05, fill=False, edgecolor=EDGE, linewidth=0.4)
        ax.add_patch(edge)
        text = f"{int(truth.sum())} labels" if several else _short(classes[int(truth)], count)
        ax.text(
            x + pitch / 2, below + 0.05 * truth_lines, text, ha="center", va="center", fontsize=SMALL, linespacing=1.0
        )
    ax.set(xlim=(0, PAGE), ylim=(height, 0))
    for place, ((_, arrays), name) in enumerate(zip(predicted, names, strict=True)):
        y = below + 0.1 * truth_lines + 0.08 + place * line
        ax.axhline(y - 0.03, color="#E5E5E5", linewidth=0.4)
        ax.text(side - 0.08, y + line / 2 - 0.03, name, ha="right", va="center", fontsize=SMALL, linespacing=1.0)
        for number, truth in enumerate(truths):
            text, right = _said(arrays, str(shown["samples"][number]), truth, classes, count)
            ax.text(
                side + (number + 0.5) * pitch, y + line / 2 - 0.03, text, ha="center", va="center", fontsize=SMALL,
                color="#666666" if right else WRONG, linespacing=1.0,
            )  # fmt: skip
    return made


def _said(arrays: Mapping[str, Array], sample: str, truth: Array, classes: list[str], count: int) -> tuple[str, bool]:
    """A classifier's answer in a few words, and whether it is right."""
    found = np.flatnonzero(arrays["samples"] == sample)
    if not len(found):
        return "–", True
    scores = arrays["scores"][found[0]]
    if truth.ndim:
        said, has = scores > THRESHOLD, truth > 0
        return f"{int((said & has).sum())} right\n{int((said & ~has).sum())} too many", bool((said == has).all())
    answer = int(scores.argmax())
    return ("✓", True) if answer == int(truth) else (_short(classes[answer], count), False)


def _short(name: str, count: int) -> str:
    """A class on two lines at most, folded between words, CamelCase too."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return "\n".join(folded(words, max(8, 128 // count)).split("\n")[:2])


def _answer(arrays: Mapping[str, Array], sample: str, size: tuple[int, int]) -> Array | None:
    found = np.flatnonzero(arrays["samples"] == sample)
    return shrunk(arrays["masks"][found[0]], size) if len(found) else None


def _seen(arrays: Mapping[str, Array], shown: Mapping[str, Array]) -> Array:
    found = np.flatnonzero(np.isin(arrays["samples"], shown["samples"][:MASKS]))
    return np.unique(arrays["masks"][found]) if len(found) else np.empty(0, np.uint8)


def _colour(one: int) -> str:
    return CLASS_COLOURS[one % len(CLASS_COLOURS)]


def _coloured(mask: Array) -> Array:
    table = np.array([bytes_of(_colour(one)) for one in range(256)], np.uint8)
    coloured: Array = table[mask]
    return coloured


def _errors(image: Array, truth: Array, answer: Array, no_data: int | None) -> Array:
    """The image, pale and grey, with what is wrong on it; unlabelled pixels can't be wrong."""
    grey = 150 + 0.4 * image.mean(axis=2, keepdims=True)
    shown = np.repeat(grey, 3, axis=2).clip(0, 255).astype(np.uint8)
    wrong = answer != truth
    if no_data is not None:
        wrong &= truth != no_data
    shown[wrong] = bytes_of(WRONG)
    return shown
