"""From GEO-Bench's files to arrays: `open_dataset` gives the three splits of a dataset, ready to be encoded.

On first use a split is read sample by sample, checked, and written as one contiguous array, which later runs
memory-map. Partitions (`0.10x_train`, see `benchmark.data.partitions`) are rows of the default one. A split's
fingerprint is that of its content, never of dates or paths, so equal data has equal fingerprints on every machine.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data import manifest, partitions, roots, samples
from benchmark.data.dataset import Dataset, StoredBand
from benchmark.data.geobench import GeoBenchReader
from benchmark.data.manifest import Stored
from benchmark.data.moments import BandStatistics
from benchmark.data.partitions import Pick
from benchmark.data.readers import SPLITS, Reader
from benchmark.data.split_store import Source, grids
from encoders.errors import UserError

__all__ = [
    "BandStatistics",
    "OpenDataset",
    "Rows",
    "Split",
    "fingerprints_if_ingested",
    "open_dataset",
    "sizes_if_known",
]

BUNDLED = Path(__file__).parents[1] / "sample"
PUBLISHED = "the Hugging Face dataset recursix/geo-bench-1.0"


class Rows:
    """Chosen rows of a memory-mapped array, in order, read only when indexed.

    Has `shape`, `dtype`, `len` and numpy indexing on the first axis; `np.asarray` reads all.
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray) -> None:
        self._array, self._rows = array, rows
        self.shape = (len(rows), *array.shape[1:])
        self.dtype = array.dtype
        self.ndim = array.ndim

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        first, *rest = index if isinstance(index, tuple) else (index,)
        return self._array[(self._rows[first], *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._array[self._rows], dtype)


@dataclass(frozen=True)
class Split:
    """One split of one partition.

    Attributes:
        images: (N, C, H, W) at native size, memory-mapped, stored dtype and values.
        bands: the channels of `images`, in order.
        labels: int64 (N,), uint8 multi-hot (N, K), or uint8 masks (N, H, W).
        groups: int32 (N,); samples of equal number are not independent of one another.
        fingerprint: sha256 over the content of the samples, in order.
        rows: where the samples stand in the default partition's split.
        default_fingerprint: that of the default partition's split, of which this one is rows.
        other_grids: arrays of bands at another size, with their bands.
    """

    dataset: Dataset
    name: str
    samples: tuple[str, ...]
    images: np.ndarray | Rows
    bands: tuple[StoredBand, ...]
    labels: np.ndarray
    groups: np.ndarray
    fingerprint: str
    rows: np.ndarray
    default_fingerprint: str
    other_grids: tuple[tuple[np.ndarray | Rows, tuple[StoredBand, ...]], ...] = ()


@dataclass(frozen=True)
class OpenDataset:
    """A dataset, opened.

    Attributes:
        splits: train, valid, test.
        statistics: exact, over the partition's own train samples, by what a band really is.
        warnings: what a reader of a number must know of the data, a sentence each.
    """

    dataset: Dataset
    partition: str
    splits: dict[str, Split]
    statistics: dict[str, BandStatistics]
    class_names: tuple[str, ...]
    warnings: tuple[str, ...]


def open_dataset(dataset: Dataset, data_root: Path | None, ingest_dir: Path, partition: str = "default") -> OpenDataset:
    """Open a dataset, ingesting it on first use.

    Args:
        data_root: GEO-Bench's root; not needed for what is bundled.
        ingest_dir: where arrays are kept; created.
        partition: name of a partition file, without `_partition.json`, or of one of `partitions.own_names`.

    Raises:
        UserError: no such data, damaged data, data that is not what the catalogue says, or no room.
    """
    folder = source_folder(dataset, data_root)
    target = ingest_folder(dataset, folder, ingest_dir)
    reader = _reader(dataset, folder, target)
    chosen = partitions.find(dataset, reader, partition)
    stored = {name: manifest.open_split(source, target / name) for name, source in _sources(dataset, reader).items()}
    picks = partitions.picks(chosen, stored, target)
    assert picks is not None
    class_names, unnamed = _class_names(dataset, reader)
    return OpenDataset(
        dataset=dataset,
        partition=partition,
        splits={name: _split(*picks[name]) for name in SPLITS},
        statistics=picks["train"][0].statistics(picks["train"][1]),
        class_names=class_names,
        warnings=(*unnamed, *reader.warnings(), *_warnings(dataset, stored, partition, picks)),
    )


def train_statistics(dataset: Dataset, data_root: Path | None, ingest_dir: Path) -> dict[str, BandStatistics]:
    """Exact statistics of the default train split, by what a band really is; raises as `open_dataset`.

    The split is ingested on first use, the others are not.
    """
    folder = source_folder(dataset, data_root)
    target = ingest_folder(dataset, folder, ingest_dir)
    reader = _reader(dataset, folder, target)
    return manifest.open_split(_sources(dataset, reader)["train"], target / "train").statistics(None)


def fingerprints_if_ingested(
    dataset: Dataset, data_root: Path | None, ingest_dir: Path, partition: str = "default"
) -> dict[str, str] | None:
    """Fingerprints by split, without reading a pixel; None unless all is ingested and unchanged since."""
    picks = _picks_if_ingested(dataset, data_root, ingest_dir, partition)
    return None if picks is None else {name: of.fingerprint(rows) for name, (of, rows) in picks.items()}


def sizes_if_known(
    dataset: Dataset, data_root: Path | None, ingest_dir: Path, partition: str = "default"
) -> dict[str, int] | None:
    """Images by split, without reading a pixel; None where neither a partition's file nor what is ingested says."""
    picks = _picks_if_ingested(dataset, data_root, ingest_dir, partition)
    if picks is not None:
        return {name: len(of.manifest.names if rows is None else rows) for name, (of, rows) in picks.items()}
    try:
        folder = source_folder(dataset, data_root)
        reader = _reader(dataset, folder, ingest_folder(dataset, folder, ingest_dir))
        listed = partitions.find(dataset, reader, partition).names if reader.is_indexed() else None
    except UserError:
        return None
    return None if listed is None else {name: len(listed[name]) for name in SPLITS}


def look(dataset: Dataset, data_root: Path | None, ingest_dir: Path) -> dict[str, int]:
    """Images by split, once the first of them has been read and checked; nothing is ingested.

    Raises:
        UserError: as `open_dataset`, as far as names and one image tell.
    """
    folder = source_folder(dataset, data_root)
    reader = _reader(dataset, folder, ingest_folder(dataset, folder, ingest_dir))
    names = reader.names()
    samples.look(dataset, reader, names["train"][0])
    return {split: len(names[split]) for split in SPLITS}


def _picks_if_ingested(
    dataset: Dataset, data_root: Path | None, ingest_dir: Path, partition: str
) -> dict[str, Pick] | None:
    try:
        folder = source_folder(dataset, data_root)
        target = ingest_folder(dataset, folder, ingest_dir)
        reader = _reader(dataset, folder, target)
        if not reader.is_indexed():
            return None
        chosen = partitions.find(dataset, reader, partition)
        stored: dict[str, Stored] = {}
        for name, source in _sources(dataset, reader).items():
            found = manifest.find_split(source, target / name)
            if found is None:
                return None
            stored[name] = found
        return partitions.picks(chosen, stored, target, read_pixels=False)
    except UserError:
        # The run itself says what is wrong; planning only has to know that nothing is there.
        return None


def source_folder(dataset: Dataset, data_root: Path | None) -> Path:
    """The folder a dataset's files lie in.

    Raises:
        UserError: it isn't there; says where it was looked for and how to get it.
    """
    if dataset.bundled:
        return BUNDLED / dataset.folder
    if dataset.files is not None:
        folder = Path(dataset.file).parent / dataset.files.root
        if not folder.is_dir():
            raise UserError(f"{dataset.name}: there is no folder {folder}; correct 'files.root' in {dataset.file}")
        return folder
    command = f"`evaluate.py fetch dataset {dataset.name} --data-root {data_root or 'FOLDER'}`"
    how = f" ({command} brings it from {PUBLISHED})" if dataset.archive else ""
    remedy = f"give GEO-Bench's root with --data-root or $GEO_BENCH_DIR{how}, or try --demo, which needs no download"
    if data_root is None:
        raise UserError(f"{dataset.name}: no folder to look for {dataset.folder} in; {remedy}")
    folder = data_root / dataset.folder
    if not folder.is_dir():
        meant = roots.nearby(data_root)
        told = f"the root seems to be {meant}: give --data-root={meant}" if meant else remedy
        raise UserError(f"{dataset.name}: there is no folder {folder}; {told}")
    return folder


def ingest_folder(dataset: Dataset, folder: Path, ingest_dir: Path) -> Path:
    """Where a dataset's arrays lie: one place for each folder they come from, and each file that describes them."""
    origin = f"{folder.resolve()}{dataset.file}"
    return ingest_dir / f"{dataset.name}-{hashlib.sha256(origin.encode()).hexdigest()[:8]}"


def _reader(dataset: Dataset, folder: Path, target: Path) -> Reader:
    """What reads the dataset's files.

    Args:
        target: where its arrays lie or will lie.
    """
    if dataset.files is None:
        return GeoBenchReader(folder)
    if dataset.files.reader == "images":
        from benchmark.data.own.images import ImageReader

        return ImageReader(dataset, folder)
    from benchmark.data.own.torchgeo_samples import TorchGeoReader

    return TorchGeoReader(dataset, folder, target)


def _sources(dataset: Dataset, reader: Reader) -> dict[str, Source]:
    """The splits of the default partition."""
    default = reader.names()
    return {name: Source(dataset, reader, name, default[name]) for name in SPLITS}


def _split(stored: Stored, rows: np.ndarray | None) -> Split:
    found = stored.manifest
    every = rows is None
    index = np.arange(len(found.names)) if rows is None else rows

    def images(file: str) -> np.ndarray | Rows:
        array = stored.array(file)
        return array if every else Rows(array, index)

    labels, groups = stored.array("labels.npy"), stored.array("groups.npy")
    (main, bands), *others = grids(stored.dataset).items()
    return Split(
        dataset=stored.dataset,
        name=found.split,
        samples=tuple(found.names[row] for row in index),
        images=images(main),
        bands=bands,
        labels=labels if every else np.asarray(labels[index]),
        groups=np.asarray(groups[index]),
        fingerprint=stored.fingerprint(rows),
        rows=index,
        default_fingerprint=found.fingerprint,
        other_grids=tuple((images(file), on_grid) for file, on_grid in others),
    )


def _class_names(dataset: Dataset, reader: Reader) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Class names in label order, the catalogue's or the dataset's own; a warning if neither has them."""
    if dataset.class_names is not None:
        return dataset.class_names, ()
    names = reader.class_names()
    if names is not None and len(names) == dataset.num_classes:
        return names, ()
    numbered = tuple(f"class {number}" for number in range(dataset.num_classes))
    return numbered, (f"{dataset.name}: its task_specs.pkl does not name the {dataset.num_classes} classes",)


def _warnings(dataset: Dataset, stored: dict[str, Stored], partition: str, picks: dict[str, Pick]) -> list[str]:
    found = [warning for split in stored.values() for warning in split.manifest.warnings]
    for name, split in stored.items():
        published, here = dataset.splits.get(name), len(split.manifest.names)  # type: ignore[call-overload]
        if published is not None and published != here:
            found.append(f"{dataset.name}, split {name}: {here} samples, {published} are published")
    if partition == partitions.SPATIAL:
        total = sum(len(split.manifest.names) for split in stored.values())
        kept = sum(len(rows) for _, rows in picks.values() if rows is not None)
        left_out = f"{total - kept} of {total} images are left out, as they overlap two splits"
        return [*found, f"{dataset.name}, partition spatial: {left_out}"]
    seen = Counter(stored["train"].manifest.group_keys)
    shared = sum(key in seen for key in stored["test"].manifest.group_keys)
    if shared:
        total = stored["test"].manifest.groups
        reason = f" ({dataset.groups.reason})" if dataset.groups.reason else ""
        found.append(f"{dataset.name}: {shared} of {total} test groups{reason} are in train too")
    if dataset.files is not None:
        from benchmark.data.own import repeats

        if repeated := repeats.count(stored["train"], stored["test"]):
            found.append(f"{dataset.name}: {repeated} test images are in train too, pixel for pixel")
    return found
