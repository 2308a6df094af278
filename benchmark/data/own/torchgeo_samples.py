"""A NonGeoDataset of torchgeo's as `benchmark.data.readers.Reader`: its code runs as the YAML file names it.

Nothing is downloaded. What its splits hold is asked once and kept beside the ingested arrays, so that planning imports
no framework.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import progress
from benchmark.atomic import write_atomically
from benchmark.data.dataset import Dataset
from benchmark.data.own import masks, shares
from benchmark.data.own.description import TORCHGEO
from benchmark.data.readers import SPLITS, Names, Sample
from encoders.errors import UserError, nearest

INDEX = "index.json"
WHOLE = "all"
"""What samples are numbered by where splits are drawn from one dataset."""


class TorchGeoReader:
    """The samples of a dataset of torchgeo's, named by split and number (`train-000012`)."""

    remedy = "see whether torchgeo reads its files, and that the YAML file describes them"

    def __init__(self, dataset: Dataset, folder: Path, target: Path) -> None:
        """
        Args:
            folder: `files.root`.
            target: where arrays and index go.
        """
        assert dataset.files is not None
        self.dataset, self.files, self.folder, self.target = dataset, dataset.files, folder, target
        self.name = dataset.files.reader.removeprefix(TORCHGEO)
        self._opened: dict[str, Any] = {}

    # --- what there is

    @cached_property
    def _names(self) -> Names:
        kept = self._kept()
        if kept is not None:
            return kept
        found = self._asked()
        # Only now: opening it may have unpacked its files.
        self.__dict__.pop("_stamp", None)
        content = json.dumps({"of": self._identity(), "names": found})
        write_atomically(self.target / INDEX, content.encode())
        return found

    def _asked(self) -> Names:
        counts = {part: self._length(part) for part in self._parts()}
        told: dict[str, str | None] = {}
        for part, count in counts.items():
            told |= {_name(part, number): None if part == WHOLE else part for number in range(count)}
        drawn = shares.of(self.files)
        classes = self._classes(told) if drawn else np.ones((len(told), 1), bool)
        seed = f"{self.dataset.name} splits {self.files.draw}"
        return shares.complete(told, drawn, {name: name for name in told}, classes, seed, self.dataset.file)

    def _parts(self) -> list[str]:
        """The splits that have arguments of their own; else the whole dataset."""
        given = [split for split in SPLITS if isinstance(self.files.splits.get(split), dict)]
        return given or [WHOLE]

    def _length(self, part: str) -> int:
        count = len(self._open(part))
        if not count:
            raise UserError(
                f"{self.dataset.file}: torchgeo's {self.name} holds no sample for {part}; correct its arguments"
            )
        return count

    def _classes(self, names: Iterable[str]) -> np.ndarray:
        """(N, K) bool: what splits are stratified by; a column of ones where labels are masks."""
        listed = list(names)
        if self.dataset.task == "segmentation":
            return np.ones((len(listed), 1), bool)
        every = np.arange(self.dataset.num_classes)
        rows = []
        for name in progress.track(listed, f"{self.dataset.name}: reading labels", len(listed), stage="ingest"):
            label = self.read(name, ()).label
            rows.append(every == label if isinstance(label, int) else np.asarray(label, bool))
        if any(row.shape != every.shape for row in rows):
            raise UserError(f"{self.dataset.file}: labels of torchgeo's {self.name} are not of {len(every)} classes")
        return np.stack(rows)

    def _kept(self) -> Names | None:
        try:
            kept = json.loads((self.target / INDEX).read_bytes())
            if kept["of"] != self._identity():
                return None
            return {split: tuple(map(str, kept["names"][split])) for split in SPLITS}
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _identity(self) -> list[object]:
        described = [self.name, self.dataset.task, self.dataset.num_classes, self.files.draw]
        return [*described, json.dumps([self.files.arguments, self.files.splits], sort_keys=True), self._stamp]

    @cached_property
    def _stamp(self) -> str:
        """torchgeo's version, and names, sizes and times of all files below the root."""
        try:
            seen = [version("torchgeo")]
        except PackageNotFoundError:
            seen = ["none"]
        for folder, inner, names in os.walk(self.folder):
            inner.sort()
            for name in sorted(names):
                try:
                    stat = (Path(folder) / name).stat()
                except OSError:
                    continue
                seen.append(f"{Path(folder, name).relative_to(self.folder)} {stat.st_size} {stat.st_mtime_ns}")
        return _digest(seen)

    # --- its code

    def _open(self, part: str) -> Any:
        if part not in self._opened:
            own = self.files.splits.get(part)
            self._opened[part] = self._made(self.files.arguments | (own if isinstance(own, dict) else {}))
        return self._opened[part]

    def _made(self, arguments: dict[str, object]) -> Any:
        where = f"{self.dataset.file}: torchgeo's {self.name}"
        try:
            from torchgeo import datasets
        except ImportError as error:
            raise UserError(
                f"{where} needs the extra `torchgeo` (`uv run --extra torchgeo ...`); it cannot be imported ({error})"
            ) from None
        base = datasets.NonGeoDataset
        known = [one for one, cls in vars(datasets).items() if isinstance(cls, type) and issubclass(cls, base)]
        if self.name not in known:
            raise UserError(
                f"{where} is no NonGeoDataset of torchgeo {version('torchgeo')}; {nearest(self.name, known)}"
            )
        try:
            return getattr(datasets, self.name)(root=str(self.folder), **arguments)
        except datasets.DatasetNotFoundError:
            how = f"torchgeo.datasets.{self.name}(root={str(self.folder)!r}, download=True)"
            raise UserError(f"{where} is not in {self.folder}; put it there, or have `{how}` bring it") from None
        except Exception as error:  # its code can raise anything
            raise UserError(f"{where}, with {arguments}, says {_said(error)}; correct 'files'") from None

    # --- see `benchmark.data.readers.Reader`

    def partitions(self) -> list[str]:
        """The one that arguments and shares give."""
        return ["default"]

    def names(self, partition: str = "default") -> Names:
        """Samples by split, in torchgeo's order or, where drawn, by number.

        Raises:
            UserError: torchgeo is not installed, has no such dataset or doesn't take the arguments; or splits are not
                whole.
        """
        shares.check_partition(self.dataset, partition)
        return self._names

    def is_indexed(self) -> bool:
        """Whether it was asked before, about the same files."""
        return "_names" in self.__dict__ or self._kept() is not None

    def where(self, name: str) -> str:
        """Class and number."""
        part, number = _parts_of(name)
        return f"torchgeo's {self.name}, sample {number}" + ("" if part == WHOLE else f" of {part}")

    def stamps(self, names: Iterable[str]) -> Iterator[str]:
        """One for all samples: which files are whose, torchgeo doesn't say."""
        yield self._stamp

    def read(self, name: str, bands: Sequence[str]) -> Sample:
        """One sample.

        Raises:
            UserError: torchgeo can't read it, or it holds no image with the bands described, or no label.
        """
        where = self.where(name)
        part, number = _parts_of(name)
        try:
            found = self._open(part)[number]
        except UserError:
            raise
        except Exception as error:  # its code can raise anything
            raise UserError(f"{where}: torchgeo cannot read it, and says {_said(error)}; {self.remedy}") from None
        if not isinstance(found, dict):
            raise UserError(f"{where}: holds no dictionary; {self.remedy}")
        return Sample(self._bands(found, bands, where) if bands else {}, self._label(found, where))

    def group(self, name: str) -> str | None:
        """None: torchgeo doesn't say."""
        return None

    def class_names(self) -> tuple[str, ...] | None:
        """None: the YAML file names them, or nobody does."""
        return None

    def warnings(self) -> tuple[str, ...]:
        """None: all samples are taken."""
        return ()

    def _bands(self, found: dict[str, Any], bands: Sequence[str], where: str) -> dict[str, np.ndarray]:
        image = _array(found, "image", where)
        listed = [band.name for band in self.dataset.bands]
        expected = (len(listed), *self.dataset.image_size)
        if image.shape != expected:
            raise UserError(
                f"{where}: its image is {image.shape}, 'bands' and 'image_size' say {expected}; list every channel"
            )
        if image.dtype.kind not in "iuf":
            raise UserError(f"{where}: its image holds {image.dtype}, not plain numbers; {self.remedy}")
        chosen = {band: image[listed.index(band)] for band in bands}
        for band, pixels in chosen.items():
            if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
                raise UserError(
                    f"{where}: band '{band}' holds pixels that are NaN or infinite; leave it out with `ingest: false`"
                )
        return chosen

    def _label(self, found: dict[str, Any], where: str) -> int | np.ndarray:
        is_mask = self.dataset.task == "segmentation"
        label = _array(found, "mask" if is_mask else "label", where)
        label = label[0] if is_mask and label.ndim == 3 and len(label) == 1 else label
        if label.dtype.kind not in "iub":
            raise UserError(f"{where}: its label holds {label.dtype}, not whole numbers; choose a dataset with classes")
        if not is_mask:
            return int(label) if label.ndim == 0 else label.astype(np.uint8)
        return masks.numbered(label, self.files.mask_values, where)


def _array(found: dict[str, Any], key: str, where: str) -> np.ndarray:
    if key not in found:
        raise UserError(f"{where}: has no '{key}', only {', '.join(map(str, found))}; is the 'task' the right one?")
    return np.asarray(found[key])


def _name(part: str, number: int) -> str:
    return f"{part}-{number:06}"


def _parts_of(name: str) -> tuple[str, int]:
    part, _, number = name.rpartition("-")
    return part, int(number)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _digest(texts: Iterable[str]) -> str:
    import hashlib

    return hashlib.sha256("\n".join(texts).encode("utf-8", "surrogateescape")).hexdigest()
