"""A few test images of each dataset, shown in reports beside what was predicted (`pictures/<dataset>-<digits>.npz`).

They are chosen by their labels alone, before anything is predicted, so that no encoder's pictures are hand-picked.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.data.ingest import OpenDataset, Split
from benchmark.data.input_card import spread
from benchmark.pictures import files
from benchmark.scoring.counts import Array

MASKS, CLASSES = 4, 8
"""Images shown of a segmentation and of a classification."""
CANDIDATES = 64
"""Masks looked at, evenly spread over the split."""
SIDE = 256
"""Pixels at most: a figure's column is an inch wide."""
STRETCH = (1.0, 99.0)
"""Percentiles shown as black and white, over all images of a band."""
COLOURS = (0.665, 0.56, 0.49)
"""Red, green and blue, um: Sentinel-2's B04, B03, B02."""


def choose(test: Split) -> Array:
    """Rows (S,) int64 of the split that are shown, ascending.

    Of masks, the candidates whose classes are most evenly mixed (highest entropy of the truth); of labels, images of
    as many classes as there are places.
    """
    if test.dataset.task == "segmentation":
        rows = spread(len(test.samples), CANDIDATES)
        mixed = [_entropy(np.asarray(test.labels[row]), test.dataset.num_classes) for row in rows]
        return np.sort(rows[np.argsort(mixed, kind="stable")[::-1][:MASKS]])
    labels = np.asarray(test.labels)
    if labels.ndim == 2:
        return spread(len(labels), CLASSES)
    by_class = [np.flatnonzero(labels == one) for one in np.unique(labels)]
    # First one image a class, then a second one, until all places are taken.
    turns = [rows[turn] for turn in range(CLASSES) for rows in by_class if turn < len(rows)]
    return np.sort(np.array(turns[:CLASSES], np.int64))


def keep(data: OpenDataset, output: Path) -> None:
    """Write a dataset's examples, unless they are there.

    The file holds `images` (S, h, w, 3) uint8 colours at most `SIDE` pixels high, `truth` (S, h, w) uint8 masks at
    that size or (S, ...) labels, `samples` (S,) names, `classes` (K,) names.
    """
    test = data.splits["test"]
    path = files.examples_path(output, data.dataset.name, test.fingerprint)
    if path.exists():
        return
    rows = choose(test)
    images, truth = _colours(test, rows), np.asarray(test.labels[rows])
    size = tuple(max(1, round(side * min(1.0, SIDE / max(images.shape[1:3])))) for side in images.shape[1:3])
    shown = [np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BOX)) for image in images]
    arrays = {
        "images": np.stack(shown),
        "truth": files.shrunk(truth, (size[0], size[1])) if truth.ndim == 3 else truth,
        "samples": np.array([test.samples[row] for row in rows]),
        "classes": np.array(data.class_names),
    }
    files.write(path, arrays)


def _colours(test: Split, rows: Array) -> Array:
    """Images (S, H, W, 3) uint8 in natural colours, as near as the bands come."""
    wavelengths = [band.identity("corrected").wavelength_um for band in test.bands]
    known = np.array([np.inf if one is None else one for one in wavelengths])
    channels = [int(np.argmin(np.abs(known - colour))) for colour in COLOURS]
    native = np.asarray(test.images[rows])[:, channels].astype(np.float32)
    low, high = np.percentile(native, STRETCH, axis=(0, 2, 3), keepdims=True)
    scaled = np.clip((native - low) / np.maximum(high - low, 1e-12), 0, 1)
    shown: Array = (255 * scaled).round().astype(np.uint8).transpose(0, 2, 3, 1)
    return shown


def _entropy(mask: Array, classes: int) -> float:
    share = np.bincount(mask.ravel(), minlength=classes) / mask.size
    return float(-(share[share > 0] * np.log(share[share > 0])).sum())
