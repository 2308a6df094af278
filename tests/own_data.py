"""Writes small datasets of one's own: the files of docs/add-your-dataset.md, and images of every kind."""

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from benchmark.data import datasets, ingest
from benchmark.data.ingest import OpenDataset
from encoders.errors import UserError

PAGE = Path(__file__).parent.parent / "docs" / "add-your-dataset.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
RGB = [{"band": band, "unit": "byte"} for band in ("red", "green", "blue")]
PLAIN: dict[str, Any] = {
    "name": "mine",
    "task": "classification",
    "class_names": ["crop", "town"],
    "image_size": 8,
    "sensor": "aerial",
    "bands": RGB,
    "files": {"images": "{split}/{label}/{name}.png"},
}
"""A dataset by folders; `write` has images for it."""


def write_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's files under the names in their first lines, its table as `labels.csv`, and its images, made by it."""
    for kind, text in BLOCKS:
        if named := re.match(r"# ([\w.]+)\n", text):
            (folder / named[1]).write_text(text)
        elif kind == "csv":
            (folder / "labels.csv").write_text(text)
    monkeypatch.chdir(folder)
    runpy.run_path("make_images.py")


def described(folder: Path, plain: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A YAML file, `PLAIN` by default, with some keys changed; None takes one out."""
    whole = (PLAIN if plain is None else plain) | changes
    path = folder / f"{whole['name']}.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in whole.items() if value is not None}))
    return path


def picture(path: Path, pixels: Any) -> Path:
    """An image file of pixels (H, W) or (H, W, C); a GeoTIFF where its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.asarray(pixels)
    if path.suffix in (".tif", ".tiff"):
        return tiff(path, np.atleast_3d(array))
    Image.fromarray(array).save(path)
    return path


def tiff(path: Path, pixels: np.ndarray, **profile: Any) -> Path:
    """A GeoTIFF of pixels (H, W, C)."""
    import rasterio
    from rasterio.transform import from_origin

    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, count = pixels.shape
    whole = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": pixels.dtype}
    where = {"transform": from_origin(500_000, 5_000_000, 10, 10), "crs": "EPSG:32632"}
    with rasterio.open(path, "w", **(whole | where | profile)) as file:
        file.write(np.moveaxis(pixels, 2, 0))
    return path


def colours(number: int, side: int = 8) -> np.ndarray:
    """The pixels of image `number`, (side, side, 3) uint8, unlike those of any other."""
    return np.random.default_rng(number).integers(1, 255, (side, side, 3), np.uint8)


def write(folder: Path, sizes: tuple[int, int, int] = (6, 4, 4), suffix: str = ".png") -> Path:
    """Images for `PLAIN`, classes in turn, named `s00`, `s01`, ... over all splits."""
    number = 0
    for split, size in zip(("train", "valid", "test"), sizes, strict=True):
        for _ in range(size):
            picture(folder / split / ("crop", "town")[number % 2] / f"s{number:02}{suffix}", colours(number))
            number += 1
    return folder


def opened(path: Path, partition: str = "default") -> OpenDataset:
    """The dataset of a YAML file, ingested beside it."""
    return ingest.open_dataset(datasets.dataset(str(path)), None, path.parent / "ingest", partition)


def refused(path: Path) -> str:
    """Why it is not taken, in one sentence."""
    with pytest.raises(UserError) as caught:
        opened(path)
    return str(caught.value)
