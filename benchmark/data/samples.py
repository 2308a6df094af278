"""What a sample must be to be ingested, and the digest that stands for its content."""

import hashlib
from collections.abc import Mapping

import numpy as np

from benchmark.data.dataset import Dataset, StoredBand
from benchmark.data.readers import Reader, Sample
from encoders.errors import UserError

DIGEST_BYTES = 32


def ingested(dataset: Dataset) -> tuple[StoredBand, ...]:
    """The bands that are read, in the catalogue's order."""
    return tuple(band for band in dataset.bands if band.ingest)


def read(dataset: Dataset, reader: Reader, name: str) -> tuple[Sample, np.ndarray]:
    """A sample's bands as stored, and its label as `checked_label` gives it.

    Raises:
        UserError: the file is damaged, or its label is not one of the dataset's.
    """
    sample = reader.read(name, [band.name for band in ingested(dataset)])
    return sample, checked_label(sample.label, dataset, reader.where(name), reader.remedy)


def look(dataset: Dataset, reader: Reader, name: str) -> tuple[dict[str, str], np.ndarray]:
    """The dtype of each band of a sample by stored name, and its label: what every other must agree with.

    Raises:
        UserError: as `read` and `check_bands`.
    """
    sample, label = read(dataset, reader, name)
    dtypes = {band: pixels.dtype.str for band, pixels in sample.bands.items()}
    check_bands(sample, dataset, dtypes, reader.where(name), reader.remedy)
    return dtypes, label


def digest(name: str, sample: Sample, label: np.ndarray) -> np.ndarray:
    """sha256 of a sample's content: name, then band names, dtypes, shapes and bytes, then the label's, then its group.

    Returns:
        (32,) uint8.
    """
    seen = hashlib.sha256(f"{name}\n".encode())
    for band, pixels in (*sample.bands.items(), ("label", label)):
        little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
        seen.update(f"{band}|{little.dtype.str}|{little.shape}\n".encode())
        seen.update(little.tobytes())
    if sample.group is not None:
        seen.update(f"group|{sample.group}\n".encode())
    return np.frombuffer(seen.digest(), np.uint8)


def checked_label(label: int | np.ndarray | None, dataset: Dataset, path: str, remedy: str) -> np.ndarray:
    """A label as it is stored: int64 (), uint8 (K,) multi-hot or uint8 (H, W) mask.

    Raises:
        UserError: it is of another kind or size, or out of range.
    """
    where = f"{path}: label"
    if dataset.task == "segmentation":
        if not isinstance(label, np.ndarray) or label.shape != dataset.image_size:
            found = f"of {label.shape} pixels" if isinstance(label, np.ndarray) else "no mask"
            raise UserError(f"{where} is {found}, the image has {dataset.image_size}; {remedy}")
        low, high = int(label.min()), int(label.max())
    elif dataset.multilabel:
        if not isinstance(label, np.ndarray) or label.shape != (dataset.num_classes,):
            found = f"an array of shape {label.shape}" if isinstance(label, np.ndarray) else repr(label)
            raise UserError(f"{where} is {found}, expected {dataset.num_classes} zeros and ones; {remedy}")
        return label.astype(np.uint8)
    else:
        if not isinstance(label, int):
            raise UserError(f"{where} is an array, expected one class number; {remedy}")
        low = high = label
    if low < 0 or high >= dataset.num_classes:
        wrong = low if low < 0 else high
        raise UserError(f"{where} holds {wrong}, outside 0..{dataset.num_classes - 1} of {dataset.name}; {remedy}")
    return label.astype(np.uint8) if isinstance(label, np.ndarray) else np.asarray(label, np.int64)


def check_bands(sample: Sample, dataset: Dataset, dtypes: Mapping[str, str], path: str, remedy: str) -> None:
    """Check sizes against the dataset's description and dtypes against its first sample's.

    Raises:
        UserError: names the band, what it has and what is expected.
    """
    for band in ingested(dataset):
        pixels = sample.bands[band.name]
        size = band.grid or dataset.image_size
        if pixels.shape != size:
            raise UserError(
                f"{path}: band '{band.name}' has {pixels.shape} pixels, {dataset.name} has {size}; {remedy}"
            )
        if pixels.dtype.str != dtypes[band.name]:
            other = np.dtype(dtypes[band.name])
            raise UserError(
                f"{path}: band '{band.name}' is {pixels.dtype}, in the first sample it is {other}; {remedy}"
            )
