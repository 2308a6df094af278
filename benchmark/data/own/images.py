"""GeoTIFF, PNG and JPEG files with labels in paths, a table or masks, as `benchmark.data.readers.Reader`."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmark.data.dataset import Dataset
from benchmark.data.own import index, masks, rasters, shares
from benchmark.data.own.index import Entry
from benchmark.data.readers import Names, Sample
from encoders.errors import UserError


class ImageReader:
    """The images of a dataset of one's own."""

    remedy = "correct the file, or take its sample out"

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        """
        Args:
            folder: `files.root`.
        """
        assert dataset.files is not None
        self.dataset, self.files, self.folder = dataset, dataset.files, folder

    @cached_property
    def _index(self) -> index.Index:
        return index.build(self.dataset, self.folder)

    @cached_property
    def _names(self) -> Names:
        entries = self._index.entries
        return shares.complete(
            {name: entry.split for name, entry in entries.items()},
            shares.of(self.files),
            {name: self._drawn_with(entry) for name, entry in entries.items()},
            _classes(list(entries.values()), self.dataset.num_classes),
            f"{self.dataset.name} splits {self.files.draw}",
            self.dataset.file,
        )

    def _drawn_with(self, entry: Entry) -> str:
        """What keeps samples together where splits are drawn."""
        groups = self.dataset.groups
        if groups.by == "mask" and self.files.splits:
            raise UserError(
                f"{self.dataset.file}: groups by mask are known once masks are read, so splits can't be drawn around "
                "them; say the groups in the path or the table, or give the splits"
            )
        return entry.group or groups.of_name(entry.name)

    def partitions(self) -> list[str]:
        """The one that path, table and shares give."""
        return ["default"]

    def names(self, partition: str = "default") -> Names:
        """Samples by split, each split in the order of names.

        Raises:
            UserError: as `index.build` and `shares.complete`; or another partition is asked for.
        """
        shares.check_partition(self.dataset, partition)
        return self._names

    def is_indexed(self) -> bool:
        """Paths and a table say all."""
        return True

    def where(self, name: str) -> str:
        """The sample's image, or the first of them."""
        return str(self._index.entries[name].images[0])

    def stamps(self, names: Iterable[str]) -> Iterator[str]:
        """Sizes and times of each sample's files, and what path and table say of it.

        Raises:
            UserError: a file has gone.
        """
        for name in names:
            entry = self._index.entries[name]
            said = [str(entry.label), str(entry.group)]
            for path in (*entry.images, *([entry.mask] if entry.mask else ())):
                try:
                    stat = path.stat()
                except OSError as error:
                    raise UserError(f"{path}: {error.strerror}; restore it") from None
                said.append(f"{stat.st_size} {stat.st_mtime_ns}")
            yield " ".join(said)

    def read(self, name: str, bands: Sequence[str]) -> Sample:
        """One sample.

        Raises:
            UserError: as `rasters.read_image`, `rasters.read_mask` and `masks.numbered`.
        """
        entry, size, fill = self._index.entries[name], self.dataset.image_size, self.files.pixels_without_data
        if len(entry.images) == 1 and "{band}" not in self.files.images:
            listed = [band.name for band in self.dataset.bands]
            keep = [listed.index(band) for band in bands]
            pixels = rasters.read_image(entry.images[0], size, len(listed), keep, fill)
            found = dict(zip(bands, pixels, strict=True))
        else:
            ingested = [band.name for band in self.dataset.bands if band.ingest]
            paths = dict(zip(ingested, entry.images, strict=True))
            found = {band: rasters.read_image(paths[band], size, 1, [0], fill)[0] for band in bands}
        return Sample(found, self._label(entry), entry.group)

    def _label(self, entry: Entry) -> int | np.ndarray:
        if entry.mask is not None:
            mask = rasters.read_mask(entry.mask, self.dataset.image_size)
            return masks.numbered(mask, self.files.mask_values, str(entry.mask))
        assert entry.label is not None
        return entry.label if isinstance(entry.label, int) else np.array(entry.label, np.uint8)

    def group(self, name: str) -> str | None:
        """What path or table say."""
        return self._index.entries[name].group

    def class_names(self) -> tuple[str, ...] | None:
        """None: the YAML file names them, or nobody does."""
        return None

    def warnings(self) -> tuple[str, ...]:
        """How many images were left out."""
        left_out = self._index.without_row
        if not left_out:
            return ()
        return (f"{self.dataset.name}: {left_out} images have no row in {self.files.table} and are left out",)


def _classes(entries: Sequence[Entry], count: int) -> np.ndarray:
    """(N, K) bool, or a column of ones where labels are masks."""
    if not entries or entries[0].label is None:
        return np.ones((len(entries), 1), bool)
    if isinstance(entries[0].label, tuple):
        return np.array([entry.label for entry in entries], bool)
    found: np.ndarray = np.arange(count) == np.array([entry.label for entry in entries])[:, None]
    return found
