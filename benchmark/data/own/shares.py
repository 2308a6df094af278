"""Splits that are drawn: shares of the samples, stratified by class, with dependent samples kept together.

Iterative stratification (Sechidis et al. 2011) of whole groups: the class with the fewest samples left comes first, and
each of its groups goes where most of that class is wanted still. A draw depends on the dataset's name, its samples'
names and the number of the draw, so every machine draws the same.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmark.data.dataset import Dataset, Files
from benchmark.data.partitions import ranked
from benchmark.data.readers import SPLITS
from encoders.errors import UserError


def of(files: Files) -> dict[str, float]:
    """The shares that a dataset's file gives, by split."""
    return {split: share for split, share in files.splits.items() if isinstance(share, float)}


def check_partition(dataset: Dataset, partition: str) -> None:
    """Check that a partition is the one that files and shares give.

    Raises:
        UserError: it is another.
    """
    if partition != "default":
        raise UserError(
            f"{dataset.name} has no partition '{partition}'; it has default, and draws like stratified_0.10_draw0"
        )


def draw(
    names: Sequence[str], groups: Sequence[str], classes: np.ndarray, shares: Mapping[str, float], seed: str
) -> dict[str, str]:
    """The split of each sample.

    Args:
        groups: of each sample; those of one group go to one split.
        classes: (N, K) bool, which classes each sample is of; a single column of ones where none counts.
        shares: by split, adding up to 1.
        seed: what tells this draw from others.

    Raises:
        UserError: a split gets no sample.
    """
    members: dict[str, list[int]] = {}
    for row in ranked(names, seed):
        members.setdefault(groups[row], []).append(row)
    counts = np.array([classes[rows].sum(axis=0) for rows in members.values()], np.float64)
    sizes = np.array([len(rows) for rows in members.values()], np.float64)
    where = _distribute(counts, sizes, np.array(list(shares.values())))
    splits = list(shares)
    for number, split in enumerate(splits):
        if number not in where:
            raise UserError(
                f"{len(names)} samples in {len(members)} groups are too few: none is left for {split}; "
                "give it a larger share under 'files.splits', or add images"
            )
    return {names[row]: splits[to] for rows, to in zip(members.values(), where, strict=True) for row in rows}


def _distribute(counts: np.ndarray, sizes: np.ndarray, shares: np.ndarray) -> list[int]:
    """The split of each group, given its samples by class (G, K), its size (G,) and the shares (S,)."""
    wanted = np.outer(shares, counts.sum(axis=0))
    room = shares * sizes.sum()
    left, to = counts.sum(axis=0), np.full(len(counts), -1)
    got = np.zeros_like(wanted)
    while (left > 0).any():
        rarest = int(np.argmin(np.where(left > 0, left, np.inf)))
        for group in np.flatnonzero((counts[:, rarest] > 0) & (to < 0)):
            # A split without any sample of a class wants one, however small its share.
            need = np.where(got[:, rarest] == 0, np.maximum(wanted[:, rarest], 1.0), wanted[:, rarest])
            best = np.flatnonzero(need == need.max())
            to[group] = chosen = int(best[np.argmax(room[best])])
            wanted[chosen] -= counts[group]
            got[chosen] += counts[group]
            room[chosen] -= sizes[group]
            left -= counts[group]
    # Samples of no class at all.
    for group in np.flatnonzero(to < 0):
        to[group] = int(np.argmax(room))
        room[to[group]] -= sizes[group]
    return [int(one) for one in to]


def in_order(by_name: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Names by split, in the order they are given."""
    return {split: tuple(name for name, where in by_name.items() if where == split) for split in SPLITS}


def complete(
    told: Mapping[str, str | None],
    shares: Mapping[str, float],
    groups: Mapping[str, str],
    classes: np.ndarray,
    seed: str,
    where: str,
) -> dict[str, tuple[str, ...]]:
    """Names by split: as the files say, and drawn where they are silent.

    Args:
        told: by sample name, the split the files name.
        shares: of all samples, or for valid alone of train's.
        groups: by sample name.
        classes: (N, K), in the order of `told`.
        where: the dataset's file, for a sentence.

    Raises:
        UserError: files and shares don't give three splits together, or two of them share a group by name.
    """
    said = {split for split in told.values() if split}
    names = list(told)
    if not said:
        if len(shares) < len(SPLITS):
            raise UserError(
                f"{where}: nothing says which split an image is of; write `{{split}}` for the folder that does, a "
                "column 'split' in the table, or `splits: {train: 0.6, valid: 0.2, test: 0.2}` under 'files'"
            )
        drawn = draw(names, [groups[name] for name in names], classes, _ordered(shares), seed)
        return in_order({name: drawn[name] for name in names})
    lacking = [split for split in SPLITS if split not in said]
    if lacking == ["valid"] and list(shares) == ["valid"]:
        rows = [row for row, name in enumerate(names) if told[name] == "train"]
        some = [names[row] for row in rows]
        parts = {"train": 1 - shares["valid"], "valid": shares["valid"]}
        drawn = draw(some, [groups[name] for name in some], classes[rows], parts, seed)
        return in_order({name: drawn.get(name, str(told[name])) for name in names})
    if lacking:
        remedy = "`splits: {valid: 0.2}` under 'files' draws it from train" if lacking == ["valid"] else "add them"
        raise UserError(f"{where}: the files name no {' or '.join(lacking)}; {remedy}")
    if shares:
        raise UserError(f"{where}: the files name all three splits, so 'files.splits' is not needed; leave it out")
    return in_order({name: str(told[name]) for name in names})


def _ordered(shares: Mapping[str, float]) -> dict[str, float]:
    return {split: shares[split] for split in SPLITS}
