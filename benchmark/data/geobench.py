"""GEO-Bench v1 as it lies on disk, read without executing anything from it.

A dataset is a folder: one HDF5 file a sample, `<name>_partition.json` for the splits, `task_specs.pkl` for
what the task is. Pixels are read with h5py, metadata with `benchmark.data.pickled`. Links, external storage and
virtual datasets are refused, so a file can only ever show its own bytes. Every damage ends in one sentence
that names the file and the band or field.
"""

import ast
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmark.data import pickled
from benchmark.data.pickled import REMEDY, Record
from benchmark.data.readers import SPLITS, Names, Sample
from encoders.errors import UserError, nearest

PARTITION_SUFFIX = "_partition.json"
MAX_SIDE, MAX_PIXELS = 16384, 2**25
"""A larger array is refused before memory is reserved for it, which a small compressed file could ask for."""
LONGEST_NAME = 240
"""Characters of a sample's; GEO-Bench's longest have some 60, and file systems take 255 with the ending."""

_DATE = re.compile(r"_\d{4}-\d{2}-\d{2}$")
_ATTRIBUTE = "pickle"
# What repr(bytes) writes and nothing else, so that literal_eval meets one bytes literal.
_BYTES_LITERAL = re.compile(
    r"""b'(?:[ !#-&(-\[\]-~"]|\\x[0-9a-f]{2}|\\[tnr'\\])*'|b"(?:[ !#-\[\]-~]|\\x[0-9a-f]{2}|\\[tnr\\])*\""""
)


@dataclass(frozen=True)
class TaskSpecs:
    """What a dataset's task_specs.pkl says of it; None or empty where it says nothing.

    Attributes:
        bands: stored band names, in order.
        label: class name of the label type (Classification, MultiLabelClassification, SegmentationClasses).
    """

    name: str
    n_classes: int | None = None
    class_names: tuple[str, ...] | None = None
    bands: tuple[str, ...] = ()
    label: str | None = None


class GeoBenchReader:
    """A dataset folder, as `benchmark.data.readers.Reader`."""

    remedy = REMEDY

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def partitions(self) -> list[str]:
        """See `partitions`."""
        return partitions(self.folder)

    def names(self, partition: str = "default") -> Names:
        """See `read_partition`."""
        return read_partition(self.folder, partition)

    def is_indexed(self) -> bool:
        """Its files list their samples."""
        return True

    def where(self, name: str) -> str:
        """The sample's file."""
        return str(sample_path(self.folder, name))

    def stamps(self, names: Iterable[str]) -> Iterator[str]:
        """Size and time of each sample's file.

        Raises:
            UserError: it is not there.
        """
        for name in names:
            path = sample_path(self.folder, name)
            try:
                stat = path.stat()
            except OSError as error:
                raise UserError(f"{path}: {error.strerror}; download the dataset again") from None
            yield f"{stat.st_size} {stat.st_mtime_ns}"

    def read(self, name: str, bands: Sequence[str]) -> Sample:
        """See `read_sample`."""
        return read_sample(sample_path(self.folder, name), bands)

    def group(self, name: str) -> str | None:
        """None: groups follow from names and masks."""
        return None

    def class_names(self) -> tuple[str, ...] | None:
        """Those of task_specs.pkl."""
        return read_task_specs(self.folder).class_names

    def warnings(self) -> tuple[str, ...]:
        """None: the release is taken as it is."""
        return ()


def partitions(folder: Path) -> list[str]:
    """Names of the partitions a dataset folder holds (`default`, `0.10x_train`, ...)."""
    found = (path for path in folder.glob(f"*{PARTITION_SUFFIX}") if path.is_file())
    return sorted(path.name.removesuffix(PARTITION_SUFFIX) for path in found)


def read_task_specs(folder: Path) -> TaskSpecs:
    """Read task_specs.pkl, tolerant of what is absent (the file too).

    Raises:
        UserError: the file is damaged, or more than data.
    """
    path = folder / "task_specs.pkl"
    if not path.is_file():
        return TaskSpecs(folder.name)
    root = pickled.read(_bytes(path), str(path))
    if not isinstance(root, Record) or root.name != "TaskSpecifications":
        raise UserError(f"{path}: holds no task specifications; {REMEDY}")
    bands = root.field("bands_info")
    label = root.field("label_type")
    if not isinstance(label, Record):
        return TaskSpecs(folder.name, bands=_band_names(bands))
    n_classes = pickled.integer(label.field("n_classes"))
    # MultiLabelClassification spells it class_name.
    names = label.field("_class_names") or label.field("class_name")
    complete = isinstance(names, list | tuple) and len(names) == n_classes and all(isinstance(n, str) for n in names)
    return TaskSpecs(folder.name, n_classes, tuple(names) if complete else None, _band_names(bands), label.name)


def read_partition(folder: Path, name: str = "default") -> Names:
    """Sample names by split, in the file's order, checked: no doubles, no overlap, every file there.

    Raises:
        UserError: unknown partition, malformed file, bad or double names, or missing samples.
    """
    path = folder / f"{name}{PARTITION_SUFFIX}"
    known = partitions(folder)
    if name not in known:
        remedy = nearest(name, known) if known else "it holds no partition file, so download the dataset again"
        raise UserError(f"{folder.name} has no partition '{name}'; {remedy}")
    try:
        content = json.loads(_bytes(path))
    except (ValueError, RecursionError):
        raise UserError(f"{path}: not valid JSON; {REMEDY}") from None
    if not isinstance(content, dict) or not set(SPLITS) <= content.keys():
        raise UserError(f"{path}: must hold the splits {', '.join(SPLITS)}; {REMEDY}")
    splits = {split: _sample_names(content[split], f"{path}: split {split}") for split in SPLITS}
    _check_disjoint(splits, path)
    _check_files(splits, folder)
    return splits


def _sample_names(names: object, where: str) -> tuple[str, ...]:
    if not isinstance(names, list) or not names:
        raise UserError(f"{where} is not a list of sample names; {REMEDY}")
    for name in names:
        if not isinstance(name, str) or not _is_sample_name(name):
            raise UserError(f"{where} holds {str(name)[:80]!r}, which is no sample name; {REMEDY}")
    if len(set(names)) < len(names):
        ((double, _),) = Counter(names).most_common(1)
        raise UserError(f"{where} names {double} twice; {REMEDY}")
    return tuple(names)


def _is_sample_name(name: str) -> bool:
    return 0 < len(name) <= LONGEST_NAME and ".." not in name and not set(name) & set("/\\\0\n\r")


def _check_disjoint(splits: Names, path: Path) -> None:
    for first, second in (("train", "valid"), ("train", "test"), ("valid", "test")):
        seen = set(splits[first])
        both = [name for name in splits[second] if name in seen]
        if both:
            raise UserError(f"{path}: {both[0]} is in {first} and in {second} ({len(both)} in both); {REMEDY}")


def _check_files(splits: Names, folder: Path) -> None:
    here = {entry.name for entry in os.scandir(folder) if _is_file(entry)}
    for split, names in splits.items():
        missing = [name for name in names if f"{name}.hdf5" not in here]
        if missing:
            raise UserError(
                f"{folder}: {len(missing)} of {len(names)} files of split {split} are missing, the first is "
                f"{missing[0]}.hdf5; download the dataset again"
            )


def _is_file(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a file, or leads to one: a pipe in its place would be waited for without end."""
    try:
        return entry.is_file()
    except OSError:
        return False


def sample_path(folder: Path, name: str) -> Path:
    """The file of a sample (names hold dots, so no suffix is ever parsed)."""
    return folder / f"{name}.hdf5"


def read_sample(path: Path, bands: Sequence[str] | None = None, with_label: bool = True) -> Sample:
    """Read one sample; only the bands asked for leave the disk.

    Args:
        bands: stored names without date; None for all, in the file's own order.

    Raises:
        UserError: the file is missing or damaged, lacks a band or its label, holds NaN or
            infinite values, or holds more than data. Nothing it says is executed.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            metadata = _metadata(file, path)
            keys: dict[str, list[str]] = {}
            for key in file:
                keys.setdefault(_DATE.sub("", key), []).append(key)
            wanted = _stored_order(metadata, keys, path) if bands is None else bands
            arrays = {band: _array(file, _find(band, keys, path), path) for band in wanted}
            return Sample(arrays, _label(file, metadata, keys, path) if with_label else None)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; download the dataset again") from None
    except PermissionError:
        raise UserError(f"{path}: may not be read; change its permissions") from None
    # h5py raises whatever its C library meets, in half a dozen types; the cause is the file each time.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        raise UserError(f"{path}: cannot be read as HDF5 ({_first_line(error)}); {REMEDY}") from None


def _metadata(file: h5py.File, path: Path) -> dict[str, Any]:
    where = f"{path}: attribute '{_ATTRIBUTE}'"
    if _ATTRIBUTE not in file.attrs:
        raise UserError(f"{where} is missing; {REMEDY}")
    attribute = h5py.h5a.open(file.id, _ATTRIBUTE.encode())
    if attribute.shape != () or not isinstance(attribute.get_type(), h5py.h5t.TypeStringID):
        raise UserError(f"{where} is not text; {REMEDY}")
    text = file.attrs[_ATTRIBUTE]
    text = text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)
    if len(text) > 4 * pickled.MAX_BYTES or not _BYTES_LITERAL.fullmatch(text):
        raise UserError(f"{where} is not the text of a bytes literal; {REMEDY}")
    metadata = pickled.read(ast.literal_eval(text), where)
    if not isinstance(metadata, dict):
        raise UserError(f"{where} holds no dictionary; {REMEDY}")
    return metadata


def _stored_order(metadata: dict[str, Any], keys: Iterable[str], path: Path) -> list[str]:
    # Old files lack bands_order.
    order = metadata.get("bands_order", list(keys))
    if not isinstance(order, list) or not all(isinstance(key, str) for key in order):
        raise UserError(f"{path}: field 'bands_order' is not a list of names; {REMEDY}")
    return [name for name in (_DATE.sub("", key) for key in order) if name != "label"]


def _find(name: str, keys: dict[str, list[str]], path: Path) -> str:
    found = keys.get(name, [])
    if not found:
        raise UserError(f"{path}: band '{name}' is missing; {REMEDY}")
    if len(found) > 1:
        raise UserError(f"{path}: band '{name}' is there at {len(found)} dates, one is expected; {REMEDY}")
    return found[0]


def _array(file: h5py.File, key: str, path: Path) -> np.ndarray:
    where = f"{path}: '{key}'"
    name = key.encode()
    # h5py's low level: a tenth of the time of file[key], and it shows what the high level follows silently.
    if file.id.links.get_info(name).type != h5py.h5l.TYPE_HARD:
        raise UserError(f"{where} is a link to elsewhere, which is not followed; {REMEDY}")
    stored = h5py.h5o.open(file.id, name)
    if not isinstance(stored, h5py.h5d.DatasetID):
        raise UserError(f"{where} is not an array; {REMEDY}")
    plan = stored.get_create_plist()
    if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
        raise UserError(f"{where} takes its pixels from other files, which are not opened; {REMEDY}")
    shape, dtype = stored.shape, stored.dtype
    if dtype.kind not in "iuf" or dtype.itemsize > 8 or dtype.metadata:
        raise UserError(f"{where} has dtype {dtype}, not a plain number; {REMEDY}")
    within = all(0 < side <= MAX_SIDE for side in shape) and math.prod(shape) <= MAX_PIXELS
    if len(shape) not in (2, 3) or not within:
        raise UserError(f"{where} has shape {shape}, not that of an image; {REMEDY}")
    pixels = np.empty(shape, dtype.newbyteorder("="))
    stored.read(h5py.h5s.ALL, h5py.h5s.ALL, pixels)
    if dtype.kind == "f" and not np.isfinite(pixels).all():
        bad = int(pixels.size - np.isfinite(pixels).sum())
        raise UserError(f"{where} holds {bad} pixels that are NaN or infinite; {REMEDY}")
    return pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def _label(file: h5py.File, metadata: dict[str, Any], keys: dict[str, list[str]], path: Path) -> int | np.ndarray:
    if "label" in keys:
        mask = _array(file, _find("label", keys, path), path)
        if mask.dtype.kind not in "iu" or mask.ndim != 2:
            raise UserError(f"{path}: 'label' is no integer mask but {mask.dtype} {mask.shape}; {REMEDY}")
        return mask
    stored = metadata.get("label")
    number, hot = pickled.integer(stored), pickled.array(stored)
    if number is not None:
        return number
    if hot is not None and hot.ndim == 1 and np.isin(hot, (0, 1)).all():
        return hot.astype(np.uint8)
    # A dictionary describes a mask, so the mask itself is what is missing.
    absent = "label" not in metadata or isinstance(stored, dict)
    state = "missing" if absent else "neither a class number nor a list of zeros and ones"
    raise UserError(f"{path}: field 'label' is {state}; {REMEDY}")


def _band_names(bands: object) -> tuple[str, ...]:
    records = [band for band in bands if isinstance(band, Record)] if isinstance(bands, list | tuple) else []
    return tuple(str(record.field("name")) for record in records)


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > pickled.MAX_BYTES:
            raise UserError(f"{path}: larger than {pickled.MAX_BYTES} bytes; {REMEDY}")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def _first_line(error: Exception) -> str:
    text = str(error).strip("'\"") or type(error).__name__
    return text.splitlines()[0][:160]
