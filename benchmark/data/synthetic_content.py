"""What a synthetic dataset shows: pixels that depend on the label, in the unit and dtype of the real files.

A band's reflectance is a texture plus what a class looks like in that band; `signal` scales how far the classes'
looks lie apart. At 0 pixels say nothing of labels. Everything follows from dataset, seed and index.
"""

import datetime
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from benchmark.data.dataset import Dataset, StoredBand

NEVER_LABELLED = {"m-chesapeake": 1}
"""The lowest mask value that occurs: m-chesapeake's 0 does not, in the tiles seen."""

DATES_A_PLACE = {"m-forestnet": 2, "m-SA-crop-type": 3, "m-cashew-plant": 4}
"""Samples of one place that are not independent, of one split; the real sets hold several, up to 5, and 25."""

CHIP, STRIDE, COLUMNS = 256, 128, 2
"""m-cashew-plant: chips cut with overlap from one raster, which is so many chips wide."""

NAMES = {
    "m-brick-kiln": "examples_0_{index}",
    "m-forestnet": "-1.2{place:03}_103.4{place:03}_{year}_05_03",
    "m-pv4ger": "50.1{index:03},8.2{index:03}",
    "m-pv4ger-seg": "50.1{index:03},8.2{index:03}",
    "m-cashew-plant": "sample_{index}",
    "m-chesapeake": "id_{index:06}",
    "m-NeonTree": "HARV_{index:03}_01_02",
    "m-nz-cattle": "{index}_Waikato_[2016-2017]_175.{index:03},-37.{index:03}",
    "m-SA-crop-type": "ref_south_africa_crops_competition_v1_train_labels_{place:04}_{date}",
}


@dataclass(frozen=True)
class Spot:
    """Which sample it is: number, place, number of the date at that place; and how many places there are."""

    index: int
    place: int
    date: int
    places: int

    def name(self, dataset: Dataset) -> str:
        """The sample's name, in the manner of the real ones."""
        template = NAMES.get(dataset.name, "id_{index:04}")
        return template.format(index=self.index, place=self.place, date=self.date, year=2014 + self.date)

    def day(self, dataset: Dataset) -> datetime.date | None:
        """The date in the names of its bands, where they carry one."""
        if dataset.name == "m-forestnet":
            return datetime.date(2014 + self.date, 5, 3)
        if dataset.name == "m-cashew-plant":
            return datetime.date(2019, 11, 5) + datetime.timedelta(days=5 * self.date)
        return datetime.date(2017, 1, 1) if dataset.name == "m-nz-cattle" else None


def spots(dataset: Dataset, sizes: tuple[int, int, int]) -> tuple[list[Spot], list[Spot], list[Spot]]:
    """The samples of train, valid and test; no place is in two of them."""
    dates = DATES_A_PLACE.get(dataset.name, 1)
    places = sum(-(-size // dates) for size in sizes)
    index = place = 0
    splits: list[list[Spot]] = []
    for size in sizes:
        splits.append([Spot(index + i, place + i // dates, i % dates, places) for i in range(size)])
        index, place = index + size, place - (-size // dates)
    return splits[0], splits[1], splits[2]


def make(dataset: Dataset, spot: Spot, seed: int, signal: float) -> tuple[dict[str, np.ndarray], int | np.ndarray]:
    """Bands by stored name, and the label: an integer, a multi-hot int64 (K,) or a mask (H, W)."""
    if dataset.name == "m-cashew-plant":
        return _chip(dataset, spot, seed, signal)
    rng = _rng(dataset, seed, 1, spot.index)
    label = _label(dataset, spot, _rng(dataset, seed, 0, spot.place))
    return _bands(dataset, label, dataset.image_size, rng, signal), label


def _chip(dataset: Dataset, spot: Spot, seed: int, signal: float) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A window of the raster; which, is drawn, as the real split is: neighbours lie in different splits."""
    number = int(_rng(dataset, seed, 2, 0).permutation(spot.places)[spot.place])
    top, left = STRIDE * (number // COLUMNS), STRIDE * (number % COLUMNS)
    bands, mask = _raster(dataset, spot.date, spot.places, seed, signal)
    window = (slice(top, top + CHIP), slice(left, left + CHIP))
    return {name: pixels[window] for name, pixels in bands.items()}, mask[window]


@lru_cache(maxsize=4)
def _raster_of(name: str, date: int, places: int, seed: int, signal: float) -> tuple[dict[str, np.ndarray], np.ndarray]:
    from benchmark.data import datasets

    dataset = datasets.dataset(name)
    height, width = STRIDE * (-(-places // COLUMNS) - 1) + CHIP, STRIDE * (COLUMNS - 1) + CHIP
    blocks = _rng(dataset, seed, 0, 0).integers(0, dataset.num_classes, (height // 64, width // 64))
    mask = np.kron(blocks, np.ones((64, 64), int)).astype(dataset.masks)
    return _bands(dataset, mask, (height, width), _rng(dataset, seed, 1, date), signal), mask


def _raster(
    dataset: Dataset, date: int, places: int, seed: int, signal: float
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    return _raster_of(dataset.name, date, places, seed, signal)


def _label(dataset: Dataset, spot: Spot, rng: np.random.Generator) -> int | np.ndarray:
    """Classes take turns, so every split has each as far as it goes."""
    count, (height, width) = dataset.num_classes, dataset.image_size
    if dataset.task == "segmentation":
        low = NEVER_LABELLED.get(dataset.name, 0)
        blocks = rng.integers(low, count, (4, 4))
        blocks[0, 0] = low + spot.place % (count - low)
        mask = np.kron(blocks, np.ones((-(-height // 4), -(-width // 4)), int))[:height, :width]
        return mask.astype(dataset.masks or "u1")
    if dataset.multilabel:
        hot = np.zeros(count, np.int64)
        hot[[spot.place % count, *rng.integers(0, count, 2)]] = 1
        return hot
    return spot.place % count


def _bands(
    dataset: Dataset, label: int | np.ndarray, size: tuple[int, int], rng: np.random.Generator, signal: float
) -> dict[str, np.ndarray]:
    height, width = size
    coarse = rng.standard_normal((height // 8 + 2, width // 8 + 2))
    texture = np.kron(coarse, np.ones((8, 8)))[:height, :width]
    reflectance: dict[str, np.ndarray] = {}
    for number, band in enumerate(dataset.bands):
        value = 0.15 + 0.02 * texture + 0.05 * signal * _look(dataset, number, label)
        reflectance[band.band] = np.clip(value + 0.005 * rng.standard_normal(size), 0.02, 0.9)
    if {"B08", "B8A"} <= reflectance.keys():
        reflectance["B8A"] = reflectance["B08"] + 0.002 * rng.standard_normal(size)
    return {band.name: stored(dataset, band, reflectance, rng) for band in dataset.bands}


def _look(dataset: Dataset, band: int, label: int | np.ndarray) -> float | np.ndarray:
    """What a label looks like in a band: classes evenly spaced in -1..1, in another order in each band."""
    looks = np.linspace(-1, 1, dataset.num_classes)
    looks = looks[np.random.default_rng([zlib.crc32(dataset.name.encode()), band]).permutation(dataset.num_classes)]
    if dataset.multilabel:
        hot = np.asarray(label)
        return float(2 * (hot @ looks) / hot.sum())
    shown: np.ndarray = looks[label]
    return shown


def stored(
    dataset: Dataset, band: StoredBand, reflectance: dict[str, np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """A band's pixels in its unit and dtype, from reflectances (H, W) by what a band really is."""
    if band.band == "NEON":
        return rng.integers(0, 10000, (40, 40, 369)).astype("i2")
    if band.band == "CHM":
        return rng.uniform(0, 30, (40, 40, 1)).astype("f4")
    value = reflectance[band.band]
    if band.band == "CLOUD":
        value = np.zeros(value.shape)
    elif band.band == "B10":
        value = 12 + 20 * value
    elif band.band.startswith("TCI_"):
        source = {"R": "B04", "G": "B03", "B": "B02"}[band.band[-1]]
        value = np.clip(reflectance[source] * 1020, 0, 255)
    elif band.unit == "power":
        value = value * rng.exponential(size=value.shape)
    elif band.unit is None:
        value = rng.normal(0, value)
    else:
        scale = {"dn": 10000, "reflectance": 1, "byte": 255, "dn8": 255, "unit": 1}[band.unit]
        value = np.clip(value * scale, 0, scale)
    return value.astype(dataset.pixels or "u1")


def _rng(dataset: Dataset, seed: int, purpose: int, number: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(dataset.name.encode()), seed, purpose, number])
