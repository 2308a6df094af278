"""A miniature GEO-Bench root, written through the geobench package: for tests, and for trying things.

Folders, files, sample and band names, sizes, dtypes, units, dates and label types are those of the released data;
what the images show is made up (`benchmark.data.synthetic_content`), and learnable. Numbers on it mean nothing.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import progress
from benchmark.data import datasets, synthetic_content
from benchmark.data.dataset import Dataset, StoredBand
from benchmark.data.synthetic_content import Spot
from encoders.errors import UserError

SIZES = (24, 12, 12)
"""Samples of train, valid and test."""

FRACTIONS = ("0.01", "0.02", "0.05", "0.10", "0.20", "0.50", "1.00")
UNNAMED = ("m-cashew-plant", "m-chesapeake", "m-SA-crop-type")
"""Datasets whose task_specs.pkl names no classes."""

PIXELS = 1000
"""Of each image and band, for band_stats.json: as many as geobench takes."""


def write_root(
    folder: Path,
    names: Iterable[str] | None = None,
    sizes: tuple[int, int, int] = SIZES,
    seed: int = 0,
    signal: float = 1.0,
) -> list[Path]:
    """Write a GEO-Bench root.

    Args:
        folder: the root; created. A dataset that is there already is not touched.
        names: datasets; all twelve by default.
        sizes: samples of train, valid and test.
        signal: how far the classes' looks lie apart; 0 for pixels that say nothing of labels.

    Returns:
        The datasets' folders.

    Raises:
        UserError: Python before 3.12, no such dataset, a size below 1, or a dataset that is there already.
    """
    geobench = _geobench(folder)
    if min(sizes) < 1:
        raise UserError(f"sizes are {', '.join(map(str, sizes))}; each split needs at least one sample")
    chosen = [datasets.dataset(name) for name in names or datasets.select("all")]
    for dataset in chosen:
        if (folder / dataset.folder).exists():
            raise UserError(f"{folder / dataset.folder} exists; choose another folder, or delete it")
        if dataset.bundled:
            raise UserError(f"{dataset.name} comes with this package; choose from GEO-Bench's twelve")
    total = sum(sizes) * len(chosen)
    written = (_write(geobench, folder, dataset, sizes, seed, signal) for dataset in chosen)
    samples = (one for samples in written for one in samples)
    for _ in progress.track(samples, "writing samples", total):
        pass
    return [folder / dataset.folder for dataset in chosen]


def _geobench(folder: Path) -> Any:
    # On import geobench makes this folder, by default one in the user's home.
    os.environ.setdefault("GEO_BENCH_DIR", str(folder))
    try:
        import geobench
        import geobench.dataset
        import geobench.label
        import geobench.task
    except ImportError:
        raise UserError("a synthetic root is written by the geobench package, which needs Python 3.12") from None
    return geobench


def _write(
    geobench: Any, root: Path, dataset: Dataset, sizes: tuple[int, int, int], seed: int, signal: float
) -> Iterable[str]:
    """Write a dataset, yielding sample by sample; the partition, without which it is nothing, comes last."""
    folder = root / dataset.folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    label_type = _label_type(geobench, dataset)
    infos = [_band_info(geobench, dataset, band) for band in dataset.bands]
    values: dict[str, list[np.ndarray]] = {}
    splits: dict[str, list[str]] = {}
    labels: dict[str, int | np.ndarray] = {}
    for split, spots in zip(("train", "valid", "test"), synthetic_content.spots(dataset, sizes), strict=True):
        splits[split] = []
        for spot in spots:
            bands, label = synthetic_content.make(dataset, spot, seed, signal)
            name = spot.name(dataset)
            _write_sample(geobench, folder, dataset, spot, infos, bands, label, label_type)
            splits[split].append(name)
            labels[name] = label
            if split == "train":
                for band, pixels in (*bands.items(), ("label", np.asarray(label))):
                    values.setdefault(band, []).append(rng.choice(pixels.ravel(), min(PIXELS, pixels.size), False))
            yield name
    stats = {band: geobench.dataset.compute_stats(np.hstack(some)).to_dict() for band, some in values.items()}
    (folder / "band_stats.json").write_text(json.dumps(stats, indent=1))
    _write_label_file(folder, dataset, labels)
    geobench.task.TaskSpecifications(
        dataset_name=dataset.name,
        benchmark_name=dataset.benchmark,
        patch_size=dataset.image_size,
        n_time_steps=1,
        bands_info=infos,
        label_type=label_type,
        spatial_resolution=dataset.bands[0].gsd_m,
    ).save(str(folder))
    for fraction in FRACTIONS:
        count = max(1, round(float(fraction) * len(splits["train"])))
        part = {**splits, "train": [str(one) for one in rng.choice(splits["train"], count, replace=False)]}
        geobench.dataset.Partition(part).save(str(folder), f"{fraction}x_train")
    geobench.dataset.Partition(splits).save(str(folder), "default")


def _write_sample(
    geobench: Any,
    folder: Path,
    dataset: Dataset,
    spot: Spot,
    infos: list[Any],
    bands: dict[str, np.ndarray],
    label: int | np.ndarray,
    label_type: Any,
) -> None:
    band_class, day = geobench.dataset.Band, spot.day(dataset)
    stored = [
        band_class(bands[band.name], info, info.spatial_resolution, date=day)
        for band, info in zip(dataset.bands, infos, strict=True)
    ]
    if dataset.task == "segmentation":
        # Only m-nz-cattle dates its masks.
        label_day = day if dataset.name == "m-nz-cattle" else None
        label = band_class(label, label_type, label_type.spatial_resolution, date=label_day)
    sample = geobench.dataset.Sample(stored, label, spot.name(dataset))
    geobench.dataset.write_sample_hdf5(sample, str(folder))


def _write_label_file(folder: Path, dataset: Dataset, labels: dict[str, int | np.ndarray]) -> None:
    """label_map.json (names by class) for single labels; label_stats.json (multi-hot or class shares) elsewhere."""
    if dataset.task == "classification" and not dataset.multilabel:
        by_class: dict[str, list[str]] = {}
        for name, label in labels.items():
            by_class.setdefault(str(label), []).append(name)
        (folder / "label_map.json").write_text(json.dumps(by_class))
        return
    stats = {}
    for name, label in labels.items():
        found = np.asarray(label)
        shares = np.bincount(found.ravel(), minlength=dataset.num_classes) / found.size
        stats[name] = [float(one) for one in (found if dataset.multilabel else shares)]
    (folder / "label_stats.json").write_text(json.dumps(stats))


def _band_info(geobench: Any, dataset: Dataset, band: StoredBand) -> Any:
    """geobench's own description of a band where it has one, else one of the right class."""
    of = geobench.dataset
    known = {info.name: info for info in of.landsat8_9_bands}
    if dataset.sensor == "sentinel2":
        known = {info.name: info for info in of.sentinel2_13_bands}
    if band.name in known:
        return known[band.name]
    if band.band == "CLOUD":
        return of.CloudProbability(spatial_resolution=band.gsd_m)
    if band.band == "CHM":
        return of.ElevationBand(band.name, ("chm",), band.gsd_m)
    if band.band == "NEON":
        return of.HyperSpectralBands(band.name, (), band.gsd_m, n_bands=369)
    if dataset.sensor == "sentinel2":
        return of.Sentinel1(band.name, (band.name.split(" - ")[-1],), band.gsd_m)
    return of.SpectralBand(band.name, (band.name.lower(),), band.gsd_m, band.wavelength_um)


def _label_type(geobench: Any, dataset: Dataset) -> Any:
    count = dataset.num_classes
    named = list(dataset.class_names or (f"label {index}" for index in range(count)))
    names = None if dataset.name in UNNAMED else named
    if dataset.task == "segmentation":
        return geobench.dataset.SegmentationClasses("label", dataset.bands[0].gsd_m, count, names)
    kind = geobench.label.MultiLabelClassification if dataset.multilabel else geobench.label.Classification
    return kind(count, names)
