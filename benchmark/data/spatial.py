"""A split of overlapping chips into train, valid and test that share no pixels, found from the pixels alone.

m-cashew-plant's chips were cut from one raster, 256 pixels at a stride of 128, once a date; neither names nor
metadata say where. Chips of one date that overlap hold the same numbers there: a corner of one is looked up in all
others, and a hit is confirmed on the whole overlap. That gives displacements, hence places; a mask, which is the
same at every date, ties the dates together. Along the longer side of each connected area two cuts separate train,
valid and test, and chips that straddle a cut are left out. An overlap of resampled pixels is not seen.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from encoders.errors import UserError

VERSION = 1
"""Raised when the same chips would be split otherwise."""

SHARES = {"train": 0.6, "valid": 0.2, "test": 0.2}
BLOCK = 3
"""Side of the corner that is looked up."""

Place = tuple[int, int]


class Images(Protocol):
    """(N, C, H, W), indexed by row and channels."""

    shape: tuple[int, ...]

    def __len__(self) -> int: ...
    def __getitem__(self, index: tuple[int, list[int]]) -> np.ndarray: ...


def split(name: str, images: Images, masks: np.ndarray, channels: Sequence[int]) -> dict[str, np.ndarray]:
    """Rows of train, valid and test, ascending; no pixel of one is in another.

    Args:
        name: the dataset's.
        masks: (N,) numbers; images of equal number have equal masks.
        channels: the bands compared.

    Raises:
        UserError: no two chips share pixels, so nothing can be vouched for, or no cut leaves all three splits.
    """
    neighbours = overlaps(images, channels)
    if not neighbours:
        raise UserError(
            f"{name}, partition 'spatial': no two chips share pixels, though its chips were cut with overlap, so the "
            "files are not as GEO-Bench released them; use partition=default"
        )
    areas = _tie(name, _walk(neighbours, len(images)), masks)
    coordinate, side = _coordinates(areas, len(images), images.shape[-2:])
    return _cut(name, coordinate, side)


def overlaps(images: Images, channels: Sequence[int]) -> dict[int, dict[int, Place]]:
    """For each row, the rows whose chip overlaps it, and their displacement (down, right) in pixels."""
    corners: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    height, width = images.shape[-2:]
    ends = [(y, x) for y in (0, height - BLOCK) for x in (0, width - BLOCK)]
    for row in range(len(images)):
        pixels = images[row, list(channels)]
        keys = _keys(pixels)
        for y, x in ends:
            block = pixels[:, y : y + BLOCK, x : x + BLOCK]
            # A constant corner (no data, saturated cloud) is everywhere.
            if (block != block[:, :1, :1]).any():
                corners[int(keys[y, x])].append((row, y, x))
    table = np.sort(np.array(list(corners), np.uint64))
    found: dict[int, dict[int, Place]] = defaultdict(dict)
    for row in range(len(images)) if len(table) else ():
        pixels = images[row, list(channels)]
        keys = _keys(pixels)
        nearest = table[np.minimum(np.searchsorted(table, keys.ravel()), len(table) - 1)].reshape(keys.shape)
        for y, x in np.argwhere(nearest == keys):
            for other, own_y, own_x in corners[int(keys[y, x])]:
                shift = (int(y) - own_y, int(x) - own_x)
                if other != row and other not in found[row] and _equal(pixels, images[other, list(channels)], shift):
                    found[row][other] = shift
                    found[other][row] = (-shift[0], -shift[1])
    return {row: others for row, others in found.items() if others}


def _keys(pixels: np.ndarray) -> np.ndarray:
    """A 64-bit number for every 3 x 3 block of (C, H, W): (H - 2, W - 2); equal blocks have equal numbers."""
    kind = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[pixels.dtype.itemsize]
    bits = np.ascontiguousarray(pixels).view(kind).astype(np.uint64)
    # Odd constants of splitmix64; arithmetic is modulo 2^64.
    one, two = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
    mixed: np.ndarray = np.zeros(bits.shape[1:], np.uint64)
    for band in bits:
        mixed = (mixed ^ band) * one
        mixed ^= mixed >> np.uint64(29)
    height, width = mixed.shape[0] - BLOCK + 1, mixed.shape[1] - BLOCK + 1
    keys = np.zeros((height, width), np.uint64)
    for y in range(BLOCK):
        for x in range(BLOCK):
            keys = keys * two + mixed[y : y + height, x : x + width]
    return keys


def _equal(first: np.ndarray, second: np.ndarray, shift: Place) -> bool:
    """Whether `second`, displaced by `shift`, equals `first` wherever both are."""
    down, right = shift
    height, width = first.shape[-2:]
    mine = first[:, max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    theirs = second[:, max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)]
    return bool(np.array_equal(mine, theirs))


def _walk(neighbours: dict[int, dict[int, Place]], count: int) -> list[dict[int, Place]]:
    """Connected areas: the place of each row, relative to the area's first."""
    areas: list[dict[int, Place]] = []
    seen: set[int] = set()
    for start in range(count):
        if start in seen:
            continue
        area, todo = {start: (0, 0)}, [start]
        while todo:
            row = todo.pop()
            for other, (down, right) in neighbours.get(row, {}).items():
                if other not in area:
                    area[other] = (area[row][0] + down, area[row][1] + right)
                    todo.append(other)
        seen |= area.keys()
        areas.append(area)
    return areas


def _tie(name: str, areas: list[dict[int, Place]], masks: np.ndarray) -> list[dict[int, Place]]:
    """Join areas that show the same masks (other dates of the same ground), by the masks that occur at one place."""
    repeated = set()
    for area in areas:
        places: dict[int, Place] = {}
        for row, place in area.items():
            if places.setdefault(int(masks[row]), place) != place:
                repeated.add(int(masks[row]))
    joined: list[dict[int, Place]] = []
    for area in sorted(areas, key=len, reverse=True):
        merged = area
        for known in list(joined):
            at = {int(masks[row]): place for row, place in known.items() if int(masks[row]) not in repeated}
            # A single chip may be tied by a repeated mask to nothing: it stands alone.
            shifts = {
                (at[mask][0] - place[0], at[mask][1] - place[1])
                for mask, place in ((int(masks[row]), place) for row, place in merged.items())
                if mask in at
            }
            if len(shifts) > 1:
                raise UserError(
                    f"{name}, partition 'spatial': equal masks lie at different places, so dates cannot be laid over "
                    "one another; use partition=default"
                )
            for down, right in shifts:
                joined.remove(known)
                merged = known | {row: (y + down, x + right) for row, (y, x) in merged.items()}
        joined.append(merged)
    # Same place or not, equal masks may be the same ground: areas that share a repeated mask are refused a cut between
    # them by leaving those single chips out.
    alone = [area for area in joined if all(int(masks[row]) in repeated for row in area)]
    return [area for area in joined if area not in alone]


def _coordinates(areas: list[dict[int, Place]], count: int, size: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """Each row's place along one line (-1: left out), areas laid end to end along their longer side."""
    side = max(size)
    coordinate = np.full(count, -1, np.int64)
    start = 0
    for area in sorted(areas, key=min):
        places = np.array(list(area.values()))
        extent: np.ndarray = np.ptp(places, axis=0)
        along = places[:, int(np.argmax(extent))]
        coordinate[list(area)] = start + along - along.min()
        start += int(extent.max()) + side
    return coordinate, side


def _cut(name: str, coordinate: np.ndarray, side: int) -> dict[str, np.ndarray]:
    """Two cuts that maximise the sum of share x log(images): `SHARES` of what is kept, and much of it kept."""
    ordered = np.sort(coordinate[coordinate >= 0])
    starts = np.unique(ordered)

    def before(limit: int) -> int:
        return int(np.searchsorted(ordered, limit, side="left"))

    best: tuple[float, int, int] | None = None
    for first in starts:
        for second in starts[starts >= first + side]:
            counts = (
                before(first - side + 1),
                before(second - side + 1) - before(first),
                len(ordered) - before(second),
            )
            if min(counts) > 0:
                score = sum(share * float(np.log(n)) for share, n in zip(SHARES.values(), counts, strict=True))
                if best is None or score > best[0] + 1e-12:
                    best = (score, int(first), int(second))
    if best is None:
        raise UserError(
            f"{name}, partition 'spatial': its chips all share pixels with one another, directly or through others, "
            "in so small an area that no two cuts leave a train, a valid and a test split; use partition=default"
        )
    _, first, second = best
    end = coordinate + side
    return {
        "train": np.flatnonzero((coordinate >= 0) & (end <= first)),
        "valid": np.flatnonzero((coordinate >= first) & (end <= second)),
        "test": np.flatnonzero(coordinate >= second),
    }
