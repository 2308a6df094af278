"""`evaluate.py preview --features --attention X,Y`: how an encoder sees a few training images, as arrays to be drawn.

Test images are never looked at here.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark.data import ingest
from benchmark.data.input_card import colours, spread
from benchmark.evaluation import frozen, pick_device
from benchmark.grid.cells import Cell, plan_inputs
from benchmark.pictures import files
from benchmark.places import Places
from benchmark.scoring.counts import Array
from encoders.attention import Point, attention_maps
from encoders.base import Encoder
from encoders.errors import UserError

IMAGES = 4
POSITIONS = 2048
"""Places in the images that the principal components are found from, evenly spread: enough for three."""
STRETCH = (1.0, 99.0)


def look(cell: Cell, places: Places, features: bool, points: Sequence[Point]) -> list[Path]:
    """Run a cell's encoder on a few training images and write what was asked for to `<output>/pictures/`.

    Every file holds `encoder`, `dataset`, `images` (S, h, w, 3) uint8 as the encoder is fed them, `views` (V,) and,
    by level, `strides` (L,). With `features`, a file with `colours<level>` (S, H, W, 3) uint8. With points, one with
    `points` (P, 2) and `attention<level>` (S, P, V, H, W) float16.

    Raises:
        UserError: data or weights are missing, or the encoder has no self-attention to show.
    """
    plan = plan_inputs(cell)
    data = ingest.open_dataset(cell.dataset, places.data_root, places.ingest_dir, cell.settings.partition)
    train = data.splits["train"]
    encoder, transform = frozen(cell, plan, data, pick_device(cell.settings.device), places)
    fed = transform(np.asarray(train.images[spread(len(train.samples), IMAGES)]))
    shared = {
        "encoder": np.array(cell.card.title),
        "dataset": np.array(cell.dataset.name),
        "images": (255 * colours(plan, fed.numpy())).round().astype(np.uint8),
        "views": np.array(encoder.views),
        "strides": np.array([level.stride for level in encoder.levels], np.int64),
    }
    folder, name = places.output / files.FOLDER, f"{cell.card.name}-{cell.dataset.name}-{cell.settings.bands}.npz"
    fed = fed.to(encoder.device)
    written = []
    if features:
        written.append(files.write(folder / f"features-{name}", shared | feature_colours(encoder, fed)))
    if points:
        maps = {
            f"attention{level}": one.half().cpu().numpy() for level, one in attention_maps(encoder, fed, points).items()
        }
        written.append(files.write(folder / f"attention-{name}", shared | {"points": np.array(points)} | maps))
    return written


def parse_point(text: str) -> Point:
    """`0.5,0.25` as a point.

    Raises:
        UserError: it isn't two fractions of the image.
    """
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = -1.0
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise UserError(f"--attention '{text}': give a point as X,Y, fractions of the image such as 0.5,0.25")
    return x, y


def feature_colours(encoder: Encoder, images: Tensor) -> dict[str, Array]:
    """The first three principal components of a level's modules and views, over all images, as red, green, blue."""
    maps = encoder(images).maps
    return {f"colours{number}": _components(level.float()) for number, level in enumerate(maps)}


def _components(level_map: Tensor) -> Array:
    """(S, V, C, H, W) -> (S, H, W, 3) uint8."""
    images, *_, height, width = level_map.shape
    rows = level_map.flatten(1, 2).permute(0, 2, 3, 1).flatten(0, 2)
    rows = rows - rows.mean(0)
    some = rows[torch.from_numpy(spread(len(rows), POSITIONS)).to(rows.device)].double()
    # The smaller of two symmetric matrices with the same principal axes.
    if some.shape[0] < some.shape[1]:
        axes = some.T @ torch.linalg.eigh(some @ some.T).eigenvectors[:, -3:].flip(1)
    else:
        axes = torch.linalg.eigh(some.T @ some).eigenvectors[:, -3:].flip(1)
    # An axis has no direction of its own; the largest weight decides.
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    axes = torch.nn.functional.normalize(axes, dim=0)
    found = (rows @ axes.float()).cpu().numpy()
    found = np.pad(found, ((0, 0), (0, 3 - found.shape[1])))
    low, high = np.percentile(found, STRETCH, axis=0)
    shown = np.clip((found - low) / np.maximum(high - low, 1e-12), 0, 1)
    coloured: Array = (255 * shown).round().astype(np.uint8).reshape(images, height, width, 3)
    return coloured
