"""An ingested split: its manifest, which says what the arrays beside it hold, and how it comes to be.

`open_split` is the one way in: it opens what is finished, builds what is missing or whose source has changed,
and lets only one process build at a time. The manifest holds content only; the signature of the source files,
which decides whether they have changed, lies beside it.
"""

import contextlib
import hashlib
import io
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import AcquireReturnProxy, FileLock, Timeout

from benchmark import progress
from benchmark.atomic import sync_folder, write_atomically
from benchmark.data import moments, proofs, samples, split_store
from benchmark.data.dataset import Dataset
from benchmark.data.moments import BandStatistics
from benchmark.data.proofs import Evidence
from benchmark.data.split_store import Source
from encoders.errors import UserError, strict, to_json, validate_json

MANIFEST, SIGNATURE = "manifest.json", "signature.txt"


@strict
@dataclass(frozen=True)
class Manifest:
    """What an ingested split holds.

    Attributes:
        bands: stored band names, in the order of `moments.npy`.
        arrays: (file name, dtype, shape).
        class_counts: images by class, or pixels by class for masks.
        blank_images: images that are constant in every band.
        group_keys: what the samples of each group have in common; empty where each sample is its own group.
        fingerprint: sha256 over the samples' digests, in order.
        statistics: over the split, by what a band really is.
    """

    dataset: str
    split: str
    names: tuple[str, ...]
    bands: tuple[str, ...]
    arrays: tuple[tuple[str, str, tuple[int, ...]], ...]
    class_counts: tuple[int, ...]
    blank_images: int
    groups: int
    group_keys: tuple[str, ...]
    fingerprint: str
    statistics: dict[str, BandStatistics]
    evidence: tuple[Evidence, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Stored:
    """A split's folder, opened: the manifest and its arrays as read-only memory maps."""

    folder: Path
    manifest: Manifest
    dataset: Dataset

    def array(self, name: str) -> np.ndarray:
        """One array by file name, memory-mapped.

        Raises:
            UserError: it is damaged.
        """
        path = self.folder / name
        try:
            found: np.ndarray = np.lib.format.open_memmap(path, mode="r")
        except (OSError, ValueError, EOFError):
            raise _damaged(path) from None
        expected = {file: (np.dtype(dtype), tuple(shape)) for file, dtype, shape in self.manifest.arrays}
        if (found.dtype, found.shape) != expected.get(name, (np.dtype(np.int32), (len(self.manifest.names),))):
            raise _damaged(path)
        return found

    def fingerprint(self, rows: np.ndarray | None = None) -> str:
        """sha256 over the digests of the rows chosen, in order; of all by default."""
        return self.manifest.fingerprint if rows is None else _fingerprint(self.array("digests.npy")[rows])

    def statistics(self, rows: np.ndarray | None = None) -> dict[str, BandStatistics]:
        """Exact statistics over the rows chosen, all by default, by what a band really is."""
        if rows is None:
            return self.manifest.statistics
        return _statistics(self.dataset, np.asarray(self.array("moments.npy")[rows]))


def find_split(source: Source, folder: Path) -> Stored | None:
    """The ingested split, if it is there, whole, and its source has not changed since."""
    try:
        if (folder / SIGNATURE).read_text() != source.signature():
            return None
        text = (folder / MANIFEST).read_bytes()
    except OSError:
        return None
    where = f"{folder / MANIFEST} (delete the folder and run the same command again)"
    return Stored(folder, validate_json(Manifest, text, where), source.dataset)


def open_split(source: Source, folder: Path) -> Stored:
    """The ingested split; ingests it on first use, alone among processes.

    Raises:
        UserError: damaged data, data that is not what the catalogue says, no room, or no permission.
    """
    found = find_split(source, folder)
    if found is not None:
        with contextlib.suppress(OSError):
            (folder / split_store.JOURNAL).unlink()  # of a process killed right before its last step
        return found
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f"{folder.name}.lock")
        with split_store.disk_full_is_a_user_error(source, folder), _alone(lock, source):
            # Whoever held the lock may have done it.
            return find_split(source, folder) or _ingest(source, folder)
    except OSError as error:
        where = error.filename or folder
        raise UserError(f"{where}: {error.strerror}; choose another folder with --ingest-dir") from None


def _alone(lock: FileLock, source: Source) -> AcquireReturnProxy:
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        progress.say(f"{source.dataset.name}: waiting for another process that ingests it")
        return lock.acquire()


def _ingest(source: Source, folder: Path) -> Stored:
    partial = folder.with_name(f"{folder.name}.partial")
    with split_store.none_left_of_bad_data(partial):
        plan = split_store.build(source, partial)
        keys = _group_keys(source, partial)
        _write_groups(partial / "groups.npy", keys)
        manifest = _manifest(source, partial, plan, keys)
    write_atomically(partial / MANIFEST, to_json(manifest))
    write_atomically(partial / SIGNATURE, plan.signature.encode())
    # An older ingest, of a source that has changed since; a process that has it open keeps it.
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    sync_folder(folder.parent)
    (folder / split_store.JOURNAL).unlink(missing_ok=True)
    return Stored(folder, manifest, source.dataset)


def _manifest(source: Source, folder: Path, plan: split_store.Plan, keys: list[str]) -> Manifest:
    dataset = source.dataset
    of_images = np.load(folder / "moments.npy", mmap_mode="r")
    images = np.load(folder / "images.npy", mmap_mode="r")
    statistics = _statistics(dataset, np.asarray(of_images))
    evidence = proofs.prove_ranges(dataset, source.split, statistics)
    found = [proofs.correlate(check, dataset.main_bands, images) for check in dataset.correlations]
    blank = _blank(dataset, of_images)
    warnings = [f"{dataset.name}, split {source.split}: {e.check}, found {e.value}" for e in found if not e.passed]
    strangers = sum(key == name for key, name in zip(keys, source.names, strict=True))
    if dataset.groups.by == "name" and strangers:
        warnings.append(
            f"{dataset.name}, split {source.split}: {strangers} sample names do not say their group, "
            f"so each stands alone"
        )
    if blank:
        warnings.append(f"{dataset.name}, split {source.split}: {blank} images are constant in every band")
    shared = [] if dataset.groups.by == "sample" else list(dict.fromkeys(keys))
    return Manifest(
        dataset=dataset.name,
        split=source.split,
        names=source.names,
        bands=tuple(plan.dtypes),
        arrays=plan.arrays,
        class_counts=_class_counts(dataset, np.load(folder / "labels.npy", mmap_mode="r")),
        blank_images=blank,
        groups=len(set(keys)),
        group_keys=tuple(shared),
        fingerprint=_fingerprint(np.load(folder / "digests.npy")),
        statistics=statistics,
        evidence=(*evidence, *found),
        warnings=tuple(warnings),
    )


def _statistics(dataset: Dataset, of_images: np.ndarray) -> dict[str, BandStatistics]:
    by_band = {}
    for index, band in enumerate(samples.ingested(dataset)):
        height, width = band.grid or dataset.image_size
        by_band[band.band] = moments.merge(of_images[:, index], height * width)
    return by_band


def _blank(dataset: Dataset, of_images: np.ndarray) -> int:
    main = [index for index, band in enumerate(samples.ingested(dataset)) if band.grid is None]
    return int((of_images[:, main, 2] == of_images[:, main, 3]).all(axis=1).sum())


def _class_counts(dataset: Dataset, labels: np.ndarray) -> tuple[int, ...]:
    if dataset.multilabel:
        return tuple(int(count) for count in np.asarray(labels).sum(axis=0, dtype=np.int64))
    counts = np.zeros(dataset.num_classes, np.int64)
    for row in labels if dataset.task == "segmentation" else [labels]:
        counts += np.bincount(np.asarray(row).ravel(), minlength=dataset.num_classes)
    return tuple(int(count) for count in counts)


def _group_keys(source: Source, folder: Path) -> list[str]:
    """What a sample shares with the others of its group, by the dataset's rule; its name where nothing is."""
    groups = source.dataset.groups
    if groups.by == "mask":
        masks = np.load(folder / "labels.npy", mmap_mode="r")
        return [hashlib.sha256(np.asarray(mask).tobytes()).hexdigest()[:16] for mask in masks]
    said = [source.reader.group(name) for name in source.names]
    return [group or groups.of_name(name) for group, name in zip(said, source.names, strict=True)]


def _write_groups(path: Path, keys: list[str]) -> None:
    """Number the groups in order of appearance, int32."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    content = io.BytesIO()  # saved to a file by numpy, a full disk would be an error without a number
    np.save(content, np.array([numbers[key] for key in keys], np.int32))
    write_atomically(path, content.getvalue())


def _fingerprint(digests: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(digests).tobytes()).hexdigest()


def _damaged(path: Path) -> UserError:
    return UserError(f"{path}: damaged; delete the folder {path.parent} and run the same command again")
