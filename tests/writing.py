"""Writes small datasets in GEO-Bench's layout, without the geobench package.

Pixels depend on the class, so probes have something to learn, and lie in the unit the catalogue declares, so
ingest's proofs hold. Metadata is pickled under geobench's class names: our reader and geobench both read it.
"""

import datetime
import json
import pickle
import sys
import types
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from benchmark.data import datasets
from benchmark.data.dataset import Dataset, StoredBand
from benchmark.data.synthetic_content import stored

DATED_BANDS = ("m-forestnet", "m-cashew-plant", "m-nz-cattle")
DATED_LABEL = ("m-nz-cattle",)
DATE = datetime.date(2017, 1, 1)
NAMES = {
    "m-brick-kiln": "examples_0_{0}",
    "m-forestnet": "-1.2{0:03}_103.4{0:03}_2014_05_03",
    "m-pv4ger": "50.1{0:03},8.2{0:03}",
    "m-pv4ger-seg": "50.1{0:03},8.2{0:03}",
    "m-cashew-plant": "sample_{0}",
    "m-chesapeake": "id_{0:06}",
    "m-NeonTree": "HARV_{0:03}_01_02",
    "m-nz-cattle": "{0}_Waikato_[2016-2017]_175.{0:03},-37.{0:03}",
    "m-SA-crop-type": "ref_south_africa_crops_competition_v1_train_labels_{0:04}_0",
}


def write_dataset(
    root: Path,
    name: str = "m-eurosat",
    n: tuple[int, int, int] = (20, 10, 10),
    seed: int = 0,
    signal: float = 1.0,
) -> Path:
    """Write a dataset of the catalogue, at its native size, with all its bands.

    Args:
        root: GEO-Bench's root; the dataset goes to `<root>/<benchmark>/<name>`.
        n: samples in train, valid and test; classes take turns.
        seed: of everything but the classes' looks, which depend on the name only.
        signal: how far the classes' looks differ; 0 for none.

    Returns:
        The dataset's folder.
    """
    dataset = datasets.dataset(name)
    folder = root / dataset.folder
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    names = [NAMES.get(name, "id_{0:04}").format(index) for index in range(sum(n))]
    stats: dict[str, list[np.ndarray]] = {}
    for index, sample in enumerate(names):
        bands, label = make_sample(dataset, index, rng, signal)
        write_sample(folder / f"{sample}.hdf5", dataset, bands, label)
        for band, pixels in bands.items():
            stats.setdefault(band, []).append(pixels)
        stats.setdefault("label", []).append(np.asarray(label))
    splits = {"train": names[: n[0]], "valid": names[n[0] : n[0] + n[1]], "test": names[n[0] + n[1] :]}
    write_partitions(folder, splits, rng)
    (folder / "band_stats.json").write_text(json.dumps({band: _stats(all_) for band, all_ in stats.items()}))
    (folder / "task_specs.pkl").write_bytes(task_specs(dataset))
    return folder


def write_partitions(folder: Path, splits: dict[str, list[str]], rng: np.random.Generator) -> None:
    """The default partition, and train subsets of a tenth, a half and all, drawn independently."""
    (folder / "default_partition.json").write_text(json.dumps(splits))
    for fraction in ("0.10", "0.50", "1.00"):
        count = max(1, round(float(fraction) * len(splits["train"])))
        chosen = [str(name) for name in rng.choice(splits["train"], count, replace=False)]
        path = folder / f"{fraction}x_train_partition.json"
        path.write_text(json.dumps({**splits, "train": chosen}))


def make_sample(
    dataset: Dataset, index: int, rng: np.random.Generator, signal: float
) -> tuple[dict[str, np.ndarray], int | np.ndarray]:
    """Bands by stored name, and the label, of the index-th sample."""
    height, width = dataset.image_size
    label, classes = _label(dataset, index, rng)
    looks = np.random.default_rng(zlib.crc32(dataset.name.encode()))
    texture = _texture(rng, height, width)
    reflectance: dict[str, np.ndarray] = {}
    for band in dataset.bands:
        look = looks.uniform(-1, 1, dataset.num_classes)
        value = 0.13 + 0.03 * texture + 0.05 * signal * (classes @ look)
        reflectance[band.band] = np.clip(value + 0.005 * rng.standard_normal((height, width)), 0.02, 0.9)
    if {"B08", "B8A"} <= reflectance.keys():
        reflectance["B8A"] = reflectance["B08"] + 0.002 * rng.standard_normal((height, width))
    return {band.name: stored(dataset, band, reflectance, rng) for band in dataset.bands}, label


def _label(dataset: Dataset, index: int, rng: np.random.Generator) -> tuple[int | np.ndarray, np.ndarray]:
    """The label, and the share of each class at every pixel, (H, W, K)."""
    count, (height, width) = dataset.num_classes, dataset.image_size
    if dataset.task == "segmentation":
        blocks = rng.integers(0, count, (4, 4))
        blocks[0, 0] = index % count
        mask = np.kron(blocks, np.ones((-(-height // 4), -(-width // 4)), int))[:height, :width]
        return mask.astype(dataset.masks or "u1"), np.eye(count)[mask]
    if dataset.multilabel:
        hot = np.zeros(count, np.int64)
        hot[[index % count, *rng.integers(0, count, 2)]] = 1
        return hot, np.broadcast_to(hot / hot.sum(), (height, width, count))
    return index % count, np.broadcast_to(np.eye(count)[index % count], (height, width, count))


def _texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    coarse = rng.standard_normal((height // 8 + 2, width // 8 + 2))
    return np.kron(coarse, np.ones((8, 8)))[:height, :width]


def write_sample(path: Path, dataset: Dataset, bands: dict[str, np.ndarray], label: int | np.ndarray) -> None:
    """One HDF5 file as geobench writes it."""
    date = DATE if dataset.name in DATED_BANDS else None
    metadata: dict[str, object] = {}
    with h5py.File(path, "w") as file:
        for band in dataset.bands:
            key = f"{band.name}_{date}" if date else band.name
            file[key] = bands[band.name]
            metadata[key] = _attributes(_band_info(band), date)
        if dataset.task == "segmentation":
            date = DATE if dataset.name in DATED_LABEL else None
            key = f"label_{date}" if date else "label"
            file[key] = label
            metadata[key] = _attributes(_label_info(dataset), date)
        metadata["bands_order"] = list(metadata)
        if dataset.task == "classification":
            metadata["label"] = label
        file.attrs["pickle"] = str(dumps(metadata))


def task_specs(dataset: Dataset) -> bytes:
    """The content of task_specs.pkl; class names as the catalogue has them."""
    specs = stub(
        "geobench.task",
        "TaskSpecifications",
        dataset_name=dataset.name,
        benchmark_name=dataset.benchmark,
        patch_size=dataset.image_size,
        n_time_steps=1,
        bands_info=[_band_info(band) for band in dataset.bands],
        bands_stats=None,
        label_type=_label_info(dataset),
        spatial_resolution=dataset.bands[0].gsd_m,
    )
    return dumps(specs)


def _attributes(info: object, date: datetime.date | None) -> dict[str, object]:
    blank = dict.fromkeys(("meta_info", "transform", "crs"))
    return {"date": date, "date_id": date, "spatial_resolution": 10, "band_info": info, **blank}


def _band_info(band: StoredBand) -> object:
    alt = (band.name.split(" ")[0], band.name.lower())
    common = {"name": band.name, "alt_names": alt, "spatial_resolution": band.gsd_m}
    if band.band == "CLOUD":
        return stub("geobench.dataset", "CloudProbability", **common)
    if band.band == "CHM":
        return stub("geobench.dataset", "ElevationBand", **common)
    if band.band == "NEON":
        return stub("geobench.dataset", "HyperSpectralBands", **common, n_bands=369, wavelength_range=None)
    kind = "Sentinel1" if band.unit in (None, "power") else "Sentinel2" if band.name[0].isdigit() else "SpectralBand"
    return stub("geobench.dataset", kind, **common, wavelength=band.wavelength_um)


def _label_info(dataset: Dataset) -> object:
    names = list(dataset.class_names or (f"label {index}" for index in range(dataset.num_classes)))
    if dataset.task == "segmentation":
        own = {"name": "label", "alt_names": (), "spatial_resolution": 10}
        return stub(
            "geobench.dataset",
            "SegmentationClasses",
            **own,
            n_classes=dataset.num_classes,
            _class_names=names,
        )
    if dataset.multilabel:
        return stub("geobench.label", "MultiLabelClassification", n_classes=dataset.num_classes, class_name=names)
    return stub("geobench.label", "Classification", n_classes=dataset.num_classes, _class_names=names)


_STUBS: dict[tuple[str, str], type] = {}


def stub(module: str, name: str, /, **state: object) -> object:
    """An object that pickles as `module.name` with this state, whether or not that module is installed."""
    cls = _STUBS.setdefault((module, name), type(name, (), {"__module__": module}))
    made = cls()
    made.__dict__.update(state)
    return made


def dumps(value: object, protocol: int = 4) -> bytes:
    """Pickle, with the stubs' modules stood in for while it runs."""
    with _stubs_in_place():
        return pickle.dumps(value, protocol=protocol)


@contextmanager
def _stubs_in_place() -> Iterator[None]:
    # Pickle imports the package before the module.
    needed = sorted({part for module, _ in _STUBS for part in (module, module.split(".")[0])})
    before = {module: sys.modules.get(module) for module in needed}
    try:
        for module in needed:
            sys.modules[module] = types.ModuleType(module)
        for (module, name), cls in _STUBS.items():
            setattr(sys.modules[module], name, cls)
        yield
    finally:
        for module, was in before.items():
            if was is None:
                del sys.modules[module]
            else:
                sys.modules[module] = was


def _stats(values: list[np.ndarray]) -> dict[str, float]:
    flat = np.concatenate([np.asarray(value, np.float64).ravel() for value in values])
    found = {
        "min": flat.min(),
        "max": flat.max(),
        "mean": flat.mean(),
        "std": flat.std(),
        "median": np.median(flat),
    }
    shares = {"0_1": 0.1, "1": 1, "5": 5, "95": 95, "99": 99, "99_9": 99.9}
    found |= {f"percentile_{key}": np.percentile(flat, share) for key, share in shares.items()}
    return {key: float(value) for key, value in found.items()}


if __name__ == "__main__":
    # python -m tests.writing ROOT DATASET TRAIN_SAMPLES: something to measure reading on.
    write_dataset(Path(sys.argv[1]), sys.argv[2], (int(sys.argv[3]), 10, 10))
