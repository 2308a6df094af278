"""What can be fetched, from where, how big and under which licence; and the fetching of it, item by item.

Addresses stand in `configs/encoder/*.yaml` (`weights.urls`, `weights.archives`) and `configs/dataset/*.yaml`
(`archive`). A dataset's zip is unpacked into the GEO-Bench root's layout and then removed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import encoders
from benchmark import archives, datasets, first_seen
from benchmark.archives import Entry, Limits
from benchmark.download import (
    PATIENT,
    FreeBytes,
    Patience,
    Remote,
    alone,
    download,
    free_bytes,
    need_room,
    part_of,
    show_bytes,
)
from benchmark.places import DATA_VARIABLE, Places
from encoders import checkpoints
from encoders.errors import UserError
from encoders.spec import EncoderCard

SIZES = (256, 512)
"""Sides in pixels that encoders are fed at and `{size}` in a weights path stands for."""
PARTITION = "default_partition.json"
"""The file every dataset's folder holds."""
MOST = Limits(entries=200_000, bytes=120 * 10**9)
"""m-bigearthnet, the most numerous, has 22,000 samples; all of GEO-Bench unpacks to 57 GB."""


@dataclass(frozen=True)
class Item:
    """One file to fetch.

    Attributes:
        name: of the encoder or dataset.
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

    def row(self) -> list[str]:
        """Name, place, size, licence, address and state, for people."""
        part = part_of(self.target)
        state = "there" if self.is_there else "missing"
        if not self.is_there and part.exists():
            state = f"{show_bytes(part.stat().st_size)} there"
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
    items = {item.target: item for part in parts for item in part.items}
    return Plan(tuple(items.values()), tuple(sentence for part in parts for sentence in part.left_out))


def carry_out(
    plan: Plan,
    places: Places,
    *,
    ingest: bool = False,
    keep_archive: bool = False,
    patience: Patience = PATIENT,
    free: FreeBytes = free_bytes,
) -> Iterator[str]:
    """Fetch the items one after the other, yielding a line on each.

    Args:
        ingest: also make each dataset's arrays.
        keep_archive: keep a zip beside what was unpacked from it.

    Raises:
        UserError: no room for all that is missing, or whatever stops an item; those before it are finished.
    """
    _need_room(plan, keep_archive, free)
    for item in plan.items:
        yield _bring(item, keep_archive, patience, free)
        if ingest and item.folder and not item.wanted:
            yield _ingest(item.name, places)


def write_synthetic(what: str, folder: str, seed: int, signal: float) -> str:
    """Write made-up datasets in GEO-Bench's layout; a line on what to do with them.

    Raises:
        UserError: asked for anything but datasets, or what `synthetic.write_root` refuses.
    """
    from benchmark import synthetic

    if what != "dataset":
        raise UserError(f"only datasets can be made up: `fetch dataset --synthetic {folder}`")
    written = synthetic.write_root(Path(folder), seed=seed, signal=signal)
    return f"{len(written)} made-up datasets in GEO-Bench's layout: give --data-root {folder}"


def _encoders(names: str, places: Places, sizes: Sequence[int]) -> Plan:
    every = names == "all"
    chosen = encoders.names() if every else [name.strip() for name in names.split(",") if name.strip()]
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
    remote = Remote(url, weights.sha256.get(path, ""), weights.bytes.get(path))
    alone_there = len(weights.urls) == 1
    return Item(card.name, remote, root, root / path, card.licence, weights.gigabytes if alone_there else None)


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
            left_out.append(f"{name} comes with this package")
            continue
        remote = Remote(found.archive.url, found.archive.sha256, found.archive.bytes)
        folder = places.data_root / found.folder
        zipped, unpacked = folder.with_name(f"{folder.name}.zip"), round((found.size_gb or 0) * 1e9)
        about = found.archive.gigabytes
        items.append(Item(name, remote, places.data_root, zipped, found.licence, about, folder, unpacked=unpacked))
    return Plan(tuple(items), tuple(left_out))


def _need_room(plan: Plan, keep_archive: bool, free: FreeBytes) -> None:
    """Refuse to begin what the disk can't hold, as far as sizes are known; zips go before the next one comes."""
    for root in {item.root for item in plan.items}:
        missing = [item for item in plan.items if item.root == root and not item.is_there]
        zips = [item.bytes for item in missing if item.folder]
        files = sum(item.bytes for item in missing if not item.folder) + sum(item.unpacked for item in missing)
        parts = [part_of(item.target) for item in missing]
        already = sum(part.stat().st_size for part in parts if part.exists())
        needed = files + (sum(zips) if keep_archive else max(zips, default=0)) - already
        if needed > 0:
            need_room(root, needed, free)


def _bring(item: Item, keep_archive: bool, patience: Patience, free: FreeBytes) -> str:
    get = partial(download, item.remote, item.target, patience=patience, free=free)
    seen = (item.root, item.remote.url)
    if not item.remote.sha256:
        get = partial(get, approve=partial(first_seen.compare, *seen))
    if item.folder is None:
        fetched = get()
        if fetched.new:
            first_seen.record(*seen, fetched)
        did = "fetched" if fetched.new else "was there, whole"
        return f"{item.name}: {item.target} {did} ({show_bytes(fetched.bytes)}, sha256 {fetched.sha256[:12]}...)"
    item.folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(item.folder):
        if item.is_there:
            _refuse_incomplete(item, item.folder)
            return f"{item.name}: {item.folder} was there"
        fetched = get()
        limits = Limits(MOST.entries, 3 * item.unpacked or MOST.bytes)
        choose = partial(_only_wanted, item) if item.wanted else partial(_whole_folder, item)
        archives.unpack(item.target, item.folder, limits, choose, free)
        # Not before: an archive that can't be unpacked is no measure for others.
        first_seen.record(*seen, fetched)
        if not keep_archive:
            item.target.unlink()
    return f"{item.name}: fetched and unpacked as {item.folder}"


def _refuse_incomplete(item: Item, folder: Path) -> None:
    needed = [paths for paths, required in item.wanted if required] or [(PurePosixPath(PARTITION),)]
    missing = [paths[0] for paths in needed if not any((folder / path).is_file() for path in paths)]
    if missing:
        raise UserError(
            f"{item.name}: {folder} is there but lacks {missing[0]}; move or delete the folder and run the same command"
        )


def _whole_folder(item: Item, entries: Sequence[Entry]) -> list[tuple[Entry, PurePosixPath]]:
    """All that lies beside the archive's default partition."""
    roots = {entry.path.parent for entry in entries if entry.path.name == PARTITION}
    if len(roots) != 1:
        raise UserError(
            f"{item.target}: holds {len(roots)} folders with a {PARTITION} where one dataset is expected; "
            f"{archives.REMEDY}, or unpack it by hand as {item.folder}"
        )
    (root,) = roots
    return [(entry, entry.path.relative_to(root)) for entry in entries if entry.path.is_relative_to(root)]


def _only_wanted(item: Item, entries: Sequence[Entry]) -> list[tuple[Entry, PurePosixPath]]:
    """The card's files, below the one folder of the archive that holds them all."""
    found = {entry.path: entry for entry in entries}
    complete = []
    for root in {parent for path in found for parent in path.parents}:
        chosen = [next((path for path in paths if root / path in found), None) for paths, _ in item.wanted]
        if all(path or not required for path, (_, required) in zip(chosen, item.wanted, strict=True)):
            complete.append([(found[root / path], path) for path in chosen if path])
    if len(complete) != 1:
        raise UserError(
            f"{item.target}: holds {len(complete)} folders with {item.wanted[0][0][-1]} and the other files of "
            f"{item.name} where one is expected; unpack it by hand as {item.folder}"
        )
    return complete[0]


def _ingest(name: str, places: Places) -> str:
    from benchmark import ingest

    opened = ingest.open_dataset(datasets.dataset(name), places.data_root, places.ingest_dir)
    sizes = ", ".join(f"{len(split.samples)} {split.name}" for split in opened.splits.values())
    return f"{name}: ingested into {places.ingest_dir} ({sizes})"
