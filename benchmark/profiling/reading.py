"""How fast samples are read, beside the geobench package reading the same files (`profile --against geobench`)."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.commands.catalogue import Rows
from benchmark.data import datasets, ingest
from benchmark.data.dataset import Dataset
from benchmark.places import Places
from encoders.errors import UserError


def reading(dataset_name: str, places: Places, samples: int) -> Rows:
    """Samples per second in random order, all bands, as float32: page cache emptied first (cold), then warm.

    Raises:
        UserError: no data, or no geobench package on this Python.
    """
    dataset = datasets.dataset(dataset_name)
    if dataset.file:
        raise UserError(
            f"{dataset.name} is a dataset of your own, which geobench can't read; profile one of GEO-Bench's"
        )
    train = ingest.open_dataset(dataset, places.data_root, places.ingest_dir).splits["train"]
    order = np.random.default_rng(0).permutation(len(train.samples))[:samples]
    if not isinstance(train.images, np.memmap) or train.images.filename is None or places.data_root is None:
        raise UserError(f"{dataset_name} is bundled; profile a dataset of a GEO-Bench root given with --data-root")
    sources = [places.data_root / dataset.folder / f"{name}.hdf5" for name in train.samples]
    images = train.images
    ours = _rates(lambda: _read_array(images, order), len(order), [Path(train.images.filename)])
    theirs = _rates(_geobench_reader(places.data_root, dataset, order), len(order), sources)
    rows = [
        [state, f"{ours[state]:,.0f}", f"{theirs[state]:,.0f}", f"{ours[state] / theirs[state]:.1f}"]
        for state in ("cold", "warm")
    ]
    return ["page cache", "ours, samples/s", "geobench, samples/s", "ratio"], rows


def _rates(read: Callable[[], None], count: int, files: list[Path]) -> dict[str, float]:
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    rates = {}
    for state in ("cold", "warm"):
        start = time.perf_counter()
        read()
        rates[state] = count / (time.perf_counter() - start)
    return rates


def _read_array(images: np.ndarray, order: np.ndarray) -> None:
    for index in order:
        images[index].astype(np.float32)


def _geobench_reader(root: Path, dataset: Dataset, order: np.ndarray) -> Callable[[], None]:
    os.environ["GEO_BENCH_DIR"] = str(root)
    try:
        import geobench
    except ImportError:
        raise UserError("--against geobench needs the geobench package, which needs Python 3.12") from None
    task = geobench.load_task_specs(root / dataset.folder)
    split = task.get_dataset(split="train", band_names=[band.name for band in dataset.main_bands])

    def read() -> None:
        for index in order:
            split[int(index)].pack_to_3d(band_names=None)[0].astype(np.float32)

    return read
