"""Partitions: which samples are train, valid and test.

- GEO-Bench's own files by their name (`default`, `0.10x_train`).
- `stratified_0.10_draw2`: a share of train, the third of five draws of our own. Single labels: by class, as equal a
  share of each as whole images allow, at least one image of each class there is. Multi-label: iterative
  stratification (Sechidis et al. 2011), the rarest label first. Segmentation: whole groups in random order, the
  last one cut. Valid is drawn alike, down to the size of train; test stays.
- `spatial` (m-cashew-plant): chips that share no pixels; see `benchmark.data.spatial`.

A draw depends on dataset, share, draw and the sample names, on nothing else: images are ranked by sha256.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.atomic import write_atomically
from benchmark.data import spatial
from benchmark.data.dataset import Dataset
from benchmark.data.manifest import Stored
from benchmark.data.readers import SPLITS, Reader
from encoders.errors import UserError, nearest

FRACTIONS = ("0.01", "0.02", "0.05", "0.10", "0.20", "0.50")
DRAWS = 5
SPATIAL = "spatial"
SPATIAL_DATASETS = ("m-cashew-plant",)

_STRATIFIED = re.compile(r"stratified_(\d\.\d\d)_draw(\d)")


@dataclass(frozen=True)
class Partition:
    """A partition by name, before anything is ingested; `names` only where a file lists them."""

    dataset: Dataset
    name: str
    names: dict[str, tuple[str, ...]] | None = None


MOST = 1000
"""Images of valid or test in GEO-Bench's datasets, at most: its converters cut them off there."""
_SHARE = re.compile(r"(?:stratified_)?(\d\.\d\d)(?:x_train|_draw\d)")


def published_sizes(dataset: Dataset, partition: str) -> tuple[dict[str, int], bool]:
    """Images by split as far as a plan needs them where there are no data, and whether any of them is a guess.

    A split whose size isn't published is taken to be as large as GEO-Bench makes any, and no larger than train.

    Raises:
        UserError: not even the size of train is published.
    """
    known = {str(name): count for name, count in dataset.splits.items()}
    train = known.get("train")
    if train is None:
        raise UserError(f"{dataset.name}: how many images it has is not known; give its data with --data-root")
    sizes = {name: known.get(name) or min(MOST, train) for name in SPLITS}
    share = _SHARE.fullmatch(partition)
    if share:
        # At least one of each class is drawn.
        least = dataset.num_classes if dataset.task == "classification" else 1
        sizes["train"] = max(round(float(share[1]) * train), least)
    if partition.startswith("stratified"):
        sizes["valid"] = min(sizes["valid"], sizes["train"])
    return sizes, any(known.get(name) is None for name in SPLITS)


Pick = tuple[Stored, np.ndarray | None]
"""An ingested split and the rows taken from it; None for all, as they stand."""


def own_names(dataset: Dataset) -> list[str]:
    """The partitions that are not files: our draws, and `spatial` where there is one."""
    draws = [f"stratified_{fraction}_draw{draw}" for fraction in FRACTIONS for draw in range(DRAWS)]
    return draws + ([SPATIAL] if dataset.name in SPATIAL_DATASETS else [])


def find(dataset: Dataset, reader: Reader, name: str) -> Partition:
    """A partition by name.

    Raises:
        UserError: there is none, or its file is malformed.
    """
    if name in own_names(dataset):
        return Partition(dataset, name)
    if name == SPATIAL:
        raise UserError(
            f"{dataset.name} has no partition 'spatial': it is for {', '.join(SPATIAL_DATASETS)}, whose chips overlap; "
            f"choose from: {', '.join(reader.partitions())}"
        )
    if name.startswith("stratified"):
        raise UserError(f"{dataset.name} has no partition '{name}'; {nearest(name, own_names(dataset))}")
    return Partition(dataset, name, reader.names(name))


def picks(
    partition: Partition, stored: dict[str, Stored], cache: Path, *, read_pixels: bool = True
) -> dict[str, Pick] | None:
    """The rows of each split.

    Args:
        stored: the splits of the default partition, ingested.
        cache: where the outcome of comparing pixels is kept.
        read_pixels: without, None where pixels would have to be compared first.

    Raises:
        UserError: a file names samples of another split, or chips cannot be told apart.
    """
    if partition.name == SPATIAL:
        rows = _spatial_rows(partition.dataset, stored, cache, read_pixels)
        return None if rows is None else {name: (pool(stored, name), rows[name]) for name in SPLITS}
    if partition.names is not None:
        return {name: (stored[name], _rows(stored[name], partition.names[name], partition)) for name in SPLITS}
    return _draw(partition, stored)


def _rows(stored: Stored, chosen: tuple[str, ...], partition: Partition) -> np.ndarray | None:
    if chosen == stored.manifest.names:
        return None
    position = {name: row for row, name in enumerate(stored.manifest.names)}
    strangers = [name for name in chosen if name not in position]
    if strangers:
        raise UserError(
            f"{partition.dataset.name}, partition '{partition.name}': {strangers[0]} of its split "
            f"{stored.manifest.split} is not in that split of the default partition ({len(strangers)} such); "
            "choose a partition of the same release"
        )
    return np.array([position[name] for name in chosen], np.int64)


# --- draws of our own


def _draw(partition: Partition, stored: dict[str, Stored]) -> dict[str, Pick]:
    found = _STRATIFIED.fullmatch(partition.name)
    assert found is not None
    train, valid = stored["train"], stored["valid"]
    total = len(train.manifest.names)
    chosen = stratified(train, max(1, round(float(found[1]) * total)), partition.name)
    held = stratified(valid, min(len(chosen), len(valid.manifest.names)), partition.name, at_least_one=False)
    return {"train": (train, chosen), "valid": (valid, held), "test": (stored["test"], None)}


def stratified(stored: Stored, count: int, seed: str, *, at_least_one: bool = True) -> np.ndarray:
    """Rows of a stratified draw, ascending.

    Args:
        count: images wanted; more come where there are more classes and `at_least_one` is asked for.
        seed: what tells one draw from another, with the dataset and its sample names.
    """
    dataset, names = stored.dataset, stored.manifest.names
    order = ranked(names, f"{dataset.name} {seed}")
    labels = stored.array("labels.npy")
    if dataset.task == "segmentation":
        chosen = by_group(np.asarray(stored.array("groups.npy")), order, count)
    elif dataset.multilabel:
        chosen = by_rarest_label(np.asarray(labels), order, count, at_least_one)
    else:
        chosen = by_class(np.asarray(labels), order, count, at_least_one)
    return np.sort(np.array(chosen, np.int64))


def ranked(names: Sequence[str], seed: str) -> list[int]:
    """Rows in an order that depends on the seed and the set of names only, equal on every machine."""
    everyone = hashlib.sha256("\n".join([seed, *sorted(names)]).encode()).hexdigest()
    return sorted(range(len(names)), key=lambda row: hashlib.sha256(f"{everyone} {names[row]}".encode()).digest())


def by_class(labels: np.ndarray, order: list[int], count: int, at_least_one: bool) -> list[int]:
    """Equal shares of the classes, rests to the largest remainders; the first of each class in `order`."""
    sizes = np.bincount(labels)
    exact = sizes * count / len(labels)
    quota = np.floor(exact).astype(int)
    for number in np.argsort(quota - exact, kind="stable"):
        if quota.sum() < count and quota[number] < sizes[number]:
            quota[number] += 1
    if at_least_one:
        quota = np.maximum(quota, (sizes > 0).astype(int))
    # Classes raised to one are paid for by the largest.
    while quota.sum() > count and quota.max() > 1:
        quota[np.argmax(quota)] -= 1
    chosen, taken = [], np.zeros_like(quota)
    for row in order:
        if taken[labels[row]] < quota[labels[row]]:
            taken[labels[row]] += 1
            chosen.append(row)
    return chosen


def by_rarest_label(hot: np.ndarray, order: list[int], count: int, at_least_one: bool) -> list[int]:
    """Iterative stratification of (N, K) multi-hot labels into a draw of `count` images and the rest."""
    share = count / len(hot)
    wanted = hot.sum(0) * share
    if at_least_one:
        wanted = np.where(hot.sum(0) > 0, np.maximum(wanted, 1), 0)
    left: np.ndarray = hot.sum(0).astype(int)
    open_rows, chosen = np.ones(len(hot), bool), list[int]()
    rank = np.array(order)
    got = np.zeros(hot.shape[1])
    while (left > 0).any():
        rarest = int(np.argmin(np.where(left > 0, left, left.max() + 1)))
        for row in rank[(hot[rank, rarest] > 0) & open_rows[rank]]:
            open_rows[row] = False
            left -= hot[row]
            first = at_least_one and got[rarest] == 0
            if (len(chosen) < count or first) and wanted[rarest] - got[rarest] > 0.5 - 0.5 * first:
                chosen.append(int(row))
                got += hot[row]
    picked = set(chosen)
    return chosen + [row for row in order if row not in picked][: max(0, count - len(chosen))]


def by_group(groups: np.ndarray, order: list[int], count: int) -> list[int]:
    """Whole groups, in the order of their first image in `order`, until there are `count` images."""
    members: dict[int, list[int]] = {}
    for row in order:
        members.setdefault(int(groups[row]), []).append(row)
    return [row for rows in members.values() for row in rows][:count]


# --- samples of all three splits together


class Joined:
    """Arrays of equal row shape, one after another; indexed on the first axis by a number or numbers."""

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
        self.shape = (int(self._starts[-1]), *parts[0].shape[1:])
        self.dtype, self.ndim = parts[0].dtype, parts[0].ndim

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: Any) -> np.ndarray:
        first, *rest = index if isinstance(index, tuple) else (index,)
        rows = np.arange(len(self))[first]
        place = np.searchsorted(self._starts, rows, side="right") - 1
        if rows.ndim == 0:
            return self._parts[int(place)][(rows - self._starts[place], *rest)]
        found = [self._parts[p][(row - self._starts[p], *rest)] for p, row in zip(place, rows, strict=True)]
        return np.stack(found) if found else np.empty((0, *self.shape[1:]), self.dtype)


@dataclass(frozen=True)
class Pool(Stored):
    """All samples of a dataset as if they were one ingested split."""

    parts: tuple[Stored, ...] = ()

    def array(self, name: str) -> np.ndarray:
        """One array by file name; groups are numbered anew, equal keys alike."""
        arrays = [part.array(name) for part in self.parts]
        if name != "groups.npy":
            return Joined(arrays)  # type: ignore[return-value]
        keys = [part.manifest.group_keys[g] for part, of in zip(self.parts, arrays, strict=True) for g in of]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        return np.array([numbers[key] for key in keys], np.int32)


def pool(stored: dict[str, Stored], name: str) -> Pool:
    """Train, valid and test together, called by the name of the split that is taken from them."""
    parts = tuple(stored[split] for split in SPLITS)
    fingerprint = hashlib.sha256(" ".join(part.manifest.fingerprint for part in parts).encode()).hexdigest()
    names = tuple(sample for part in parts for sample in part.manifest.names)
    manifest = dataclasses.replace(parts[0].manifest, split=name, names=names, fingerprint=fingerprint)
    return Pool(parts[0].folder, manifest, parts[0].dataset, parts)


def _spatial_rows(
    dataset: Dataset, stored: dict[str, Stored], cache: Path, read_pixels: bool
) -> dict[str, np.ndarray] | None:
    together = pool(stored, "train")
    kept = cache / "spatial.json"
    try:
        found = json.loads(kept.read_text())
        if found["of"] == [spatial.VERSION, together.manifest.fingerprint]:
            return {name: np.array(found["rows"][name], np.int64) for name in SPLITS}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if not read_pixels:
        return None
    channels = [index for index, band in enumerate(dataset.main_bands) if band.unit is not None][:3]
    rows = spatial.split(dataset.name, together.array("images.npy"), together.array("groups.npy"), channels)
    content = {"of": [spatial.VERSION, together.manifest.fingerprint], "rows": {k: v.tolist() for k, v in rows.items()}}
    write_atomically(kept, json.dumps(content).encode())
    return rows
