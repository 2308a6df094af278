"""Fetch what a plan of `fetching.fetch` names: weights to their place, datasets into the GEO-Bench root's layout.

An archive is unpacked, proven by the checksums in it, and then removed.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from benchmark.data import datasets
from benchmark.fetching import archives, first_seen
from benchmark.fetching.archives import Entry, Limits
from benchmark.fetching.download import PATIENT, FreeBytes, Patience, alone, download, free_bytes, need_room, show_bytes
from benchmark.fetching.fetch import Item, Plan
from benchmark.places import Places
from encoders.errors import UserError

PARTITION = "default_partition.json"
"""The file every dataset's folder holds."""
WHOLE_SHA256 = 64
"""Hexadecimal digits; of some files only the first ones are published."""
MOST = Limits(entries=200_000, bytes=120 * 10**9)
"""m-bigearthnet, the most numerous, has 22,000 samples; all of GEO-Bench unpacks to 57 GB."""


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
    need_room_for(plan, keep_archive, free)
    for item in plan.items:
        yield _bring(item, keep_archive, patience, free)
        if ingest and item.folder and not item.wanted:
            yield _ingest(item.name, places)


def need_room_for(plan: Plan, keep_archive: bool, free: FreeBytes) -> None:
    """Refuse to begin what the disk can't hold, as far as sizes are known; a zip goes before the next one comes.

    Raises:
        UserError: too few bytes are free.
    """
    for root in {item.root for item in plan.items}:
        missing = [item for item in plan.items if item.root == root and not item.is_there]
        zips = [max(0, item.bytes - item.begun) for item in missing if item.folder]
        files = [max(0, item.bytes - item.begun) for item in missing if not item.folder]
        unpacked = sum(item.unpacked for item in missing)
        needed = sum(files) + unpacked + (sum(zips) if keep_archive else max(zips, default=0))
        if needed > 0:
            need_room(root, needed, free)


def _bring(item: Item, keep_archive: bool, patience: Patience, free: FreeBytes) -> str:
    get = partial(download, item.remote, item.target, patience=patience, free=free)
    seen = (item.root, item.remote.url)
    if len(item.remote.sha256) < WHOLE_SHA256:
        get = partial(get, approve=partial(first_seen.compare, *seen))
    if item.folder is None:
        fetched = get()
        if fetched.new:
            first_seen.record(*seen, fetched)
        did = "fetched" if fetched.new else "was there, whole"
        told = f", revision {fetched.revision[:12]}..." if fetched.revision else ""
        return f"{item.name}: {item.target} {did} ({show_bytes(fetched.bytes)}, sha256 {fetched.sha256[:12]}...{told})"
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
    from benchmark.data import ingest

    opened = ingest.open_dataset(datasets.dataset(name), places.data_root, places.ingest_dir)
    sizes = ", ".join(f"{len(split.samples)} {split.name}" for split in opened.splits.values())
    return f"{name}: ingested into {places.ingest_dir} ({sizes})"
