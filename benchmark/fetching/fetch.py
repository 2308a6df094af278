"""What can be fetched, from where, how big and under which licence; `benchmark.fetching.bring` then fetches it.

Addresses stand in `configs/encoder/*.yaml` (`weights.urls`, `weights.archives`) and `configs/dataset/*.yaml`
(`archive`). Nothing here touches the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import encoders
from benchmark.data import datasets, families
from benchmark.fetching import first_seen
from benchmark.fetching.download import Remote, part_of, show_bytes
from benchmark.places import DATA_VARIABLE, Places
from encoders import checkpoints
from encoders.errors import UserError
from encoders.spec import EncoderCard

SIZES = (256, 512)
"""Sides in pixels that encoders are fed at and `{size}` in a weights path stands for."""


@dataclass(frozen=True)
class Item:
    """One file to fetch.

    Attributes:
        name: of the encoders or the dataset it is for.
        root: the folder whose record of first-seen content it belongs to.
        target: where the file goes.
        gigabytes: about, where the exact size isn't published; None if not known.
        folder: for archives, what it is unpacked as.
        wanted: for archives of weights, alternatives of each file that is unpacked, and whether it is required.
        unpacked: for archives, bytes about; 0 if not known.
    """

    name: str
    remote: Remote
    root: Path
    target: Path
    licence: str
    gigabytes: float | None = None
    folder: Path | None = None
    wanted: tuple[tuple[tuple[PurePosixPath, ...], bool], ...] = ()
    unpacked: int = 0

    @property
    def bytes(self) -> int:
        """Size of the file, as far as known; else 0."""
        return self.remote.bytes or round((self.gigabytes or 0) * 1e9)

    @property
    def is_there(self) -> bool:
        """Whether nothing is left to do."""
        return (self.folder or self.target).exists()

    @property
    def begun(self) -> int:
        """Bytes of the file that are there, of all or a part of it."""
        paths = (self.target, part_of(self.target))
        return max(path.stat().st_size if path.is_file() else 0 for path in paths)

    def row(self) -> list[str]:
        """Name, place, size, licence, address and state, for people."""
        state = "there" if self.is_there else f"{show_bytes(self.begun)} there" if self.begun else "missing"
        about = "" if self.remote.bytes else "about "
        size = f"{about}{show_bytes(self.bytes)}" if self.bytes else "?"
        unpacked = f", {show_bytes(self.unpacked)} unpacked" if self.unpacked else ""
        return [self.name, str(self.folder or self.target), size + unpacked, self.licence, self.remote.url, state]


@dataclass(frozen=True)
class Plan:
    """Items to fetch, and a sentence for each thing that is left out."""

    items: tuple[Item, ...]
    left_out: tuple[str, ...]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows."""
        return ["what", "goes to", "size", "licence", "from", "state"], [item.row() for item in self.items]


def plan(what: str, names: str | None, places: Places, sizes: Sequence[int] = SIZES) -> Plan:
    """What a `fetch` command means.

    Args:
        what: encoder, dataset or all.
        names: `NAME,...` or `all`; for datasets also a task.
        sizes: sides in pixels of the images that weights are wanted for.

    Raises:
        UserError: unknown name, no GEO-Bench root, or a named encoder that has no address.
    """
    if what == "all":
        if names:
            raise UserError(f"fetch all takes no names; say `fetch encoder {names}` or `fetch dataset {names}`")
        parts = [_encoders("all", places, sizes), _datasets("all", places)]
    elif not names:
        raise UserError(f"say which {what}: `fetch {what} NAME,...` or `fetch {what} all`; `list {what}s` shows them")
    else:
        parts = [_encoders(names, places, sizes) if what == "encoder" else _datasets(names, places)]
    items: dict[Path, Item] = {}
    for item in (item for part in parts for item in part.items):
        known = items.get(item.target)
        items[item.target] = replace(known, name=f"{known.name}, {item.name}") if known else item
    return Plan(tuple(items.values()), tuple(sentence for part in parts for sentence in part.left_out))


def write_synthetic(what: str, folder: str, seed: int, signal: float) -> str:
    """Write made-up datasets in GEO-Bench's layout; a line on what to do with them.

    Raises:
        UserError: asked for anything but datasets, or what `synthetic.write_root` refuses.
    """
    from benchmark.data import synthetic

    if what != "dataset":
        raise UserError(f"only datasets can be made up: `fetch dataset --synthetic {folder}`")
    written = synthetic.write_root(Path(folder), seed=seed, signal=signal)
    return f"{len(written)} made-up datasets in GEO-Bench's layout: give --data-root {folder}"


def _encoders(names: str, places: Places, sizes: Sequence[int]) -> Plan:
    every = names == "all"
    given = [name.strip() for name in names.split(",")]
    chosen = encoders.names() if every else list(dict.fromkeys(one for name in given for one in families.members(name)))
    items: list[Item] = []
    left_out: list[str] = []
    for card in map(encoders.card, chosen):
        if not card.weights.files:
            left_out += [] if every else [f"{card.name} needs no weights"]
            continue
        found, by_hand = _weights(card, places.weights_dir, sizes)
        items += found
        if not found and not by_hand:
            left_out.append(f"{card.name}: its weights are there, and have no address here")
        if by_hand:
            remedy = checkpoints.how_to_get(card, places.weights_dir, by_hand[0])
            sentence = f"{card.name}: not all of its weights have an address here; {remedy}"
            if not every:
                raise UserError(sentence)
            left_out.append(sentence)
    return Plan(tuple(items), tuple(left_out))


def _weights(card: EncoderCard, root: Path, sizes: Sequence[int]) -> tuple[list[Item], list[int]]:
    """The files of an encoder that have an address, and the image sizes for which some that is missing has none."""
    targets: dict[str, Item] = {}
    by_hand = []
    for size in sizes:
        files = checkpoints.wanted(card, size)
        for paths, required in files:
            there = next((path for path in paths if (root / path).is_file()), None)
            found = checkpoints.address(card, [there] if there else paths)
            if found is None:
                by_hand += [size] if required and not there else []
            elif found[0] in card.weights.archives:
                targets.setdefault(found[0], _weights_archive(card, root, *found, files))
            else:
                targets.setdefault(found[0], _weights_file(card, root, *found))
    return list(targets.values()), by_hand


def _weights_file(card: EncoderCard, root: Path, path: str, url: str) -> Item:
    weights = card.weights
    remote = Remote(first_seen.fixed(root, url), weights.sha256.get(path, ""), weights.bytes.get(path))
    gigabytes = weights.gigabytes if len(weights.files) == 1 else None
    return Item(card.name, remote, root, root / path, card.licence, gigabytes)


def _weights_archive(
    card: EncoderCard, root: Path, folder: str, url: str, files: Sequence[tuple[list[str], bool]]
) -> Item:
    below = [
        (tuple(PurePosixPath(path).relative_to(folder) for path in paths), required)
        for paths, required in files
        if paths[0].startswith(f"{folder}/")
    ]
    target = (root / folder).with_name(Path(folder).name + ".zip")
    return Item(card.name, Remote(url), root, target, card.licence, folder=root / folder, wanted=tuple(below))


def _datasets(choice: str, places: Places) -> Plan:
    if places.data_root is None:
        raise UserError(f"say where the GEO-Bench root is to be: --data-root DIR or ${DATA_VARIABLE}")
    items: list[Item] = []
    left_out: list[str] = []
    for name in datasets.select(choice):
        found = datasets.dataset(name)
        if found.archive is None:
            own = f"{found.name} is yours: its files lie where {found.file} says"
            left_out.append(own if found.file else f"{name} comes with this package")
            continue
        remote = Remote(found.archive.url, found.archive.sha256, found.archive.bytes)
        folder = places.data_root / found.folder
        zipped, unpacked = folder.with_name(f"{folder.name}.zip"), round((found.size_gb or 0) * 1e9)
        about = found.archive.gigabytes
        items.append(Item(name, remote, places.data_root, zipped, found.licence, about, folder, unpacked=unpacked))
    return Plan(tuple(items), tuple(left_out))
