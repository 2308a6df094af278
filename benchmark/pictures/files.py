"""What lies in the folder `pictures/` beside the records: plain arrays that reports draw, and no part of any number.

`<key>.npz` holds what a fuser looked at (`pictures.interpretation`), `<dataset>-<digits>.npz` a few test images
(`benchmark.pictures.examples`), `features-*.npz` and `attention-*.npz` what `evaluate.py preview` was asked for
(`benchmark.pictures.looks`).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmark.atomic import write_atomically
from benchmark.scoring import npz
from benchmark.scoring.counts import Array
from encoders.errors import UserError

FOLDER = "pictures"
MOST_BYTES = 1 << 28
"""What the arrays of a picture may take in memory."""


def fuser_path(output: Path, key: str) -> Path:
    """Where what a record's fuser looked at lies, or would lie."""
    return output / FOLDER / f"{key}.npz"


def examples_path(output: Path, dataset: str, fingerprint: str) -> Path:
    """Where examples of a dataset's test split lie, or would lie."""
    return output / FOLDER / f"{dataset}-{fingerprint[:8]}.npz"


def write(path: Path, arrays: Mapping[str, Array]) -> Path:
    """Write a picture's arrays atomically."""
    return write_atomically(path, npz.pack(arrays))


def read(path: Path) -> dict[str, Array] | None:
    """A picture's arrays; None where there is none.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return npz.read(path.read_bytes(), MOST_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}; delete it, what it shows is made again with its record") from None


def shrunk(masks: Array, size: tuple[int, int]) -> Array:
    """Masks (..., H, W) at a smaller size (h, w), each cell the pixel at its centre: classes are never mixed."""
    rows, columns = ((np.arange(to) + 0.5) * of / to for to, of in zip(size, masks.shape[-2:], strict=True))
    return masks[..., rows.astype(np.int64)[:, None], columns.astype(np.int64)]
