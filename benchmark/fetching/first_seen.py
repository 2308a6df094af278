"""Which content an address brought first: the check of files whose publisher gives no checksum.

One JSON in the folder that the files are fetched into; a later download of the same address must be the same. Of an
address whose content moves on (`resolve/main` on Hugging Face) the commit it brought first stands there too, and is
what later downloads ask for.
"""

from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from benchmark.atomic import write_atomically
from benchmark.fetching.download import Fetched
from encoders.errors import UserError, strict, to_json, validate_json

NAME = ".fetched.json"
_MOVING = "/resolve/main/"


@strict
@dataclass(frozen=True)
class _Seen:
    """sha256 by address, and the fixed address of each moving one."""

    sha256: dict[str, str]
    fixed: dict[str, str] = field(default_factory=dict)


def fixed(folder: Path, url: str) -> str:
    """What to ask for: of a moving address the commit that it brought first, once there is one; else the address.

    Raises:
        UserError: the record is damaged.
    """
    return _read(folder).fixed.get(url, url)


def compare(folder: Path, url: str, fetched: Fetched) -> None:
    """Refuse a file that is not what its address brought first, if that is known.

    Raises:
        UserError: it is another content, or the record is damaged.
    """
    first = _read(folder).sha256.get(url, fetched.sha256)
    if first != fetched.sha256:
        raise UserError(
            f"{url}: sha256 is {fetched.sha256[:12]}..., and was {first[:12]}... when it was first fetched, so it was "
            f"replaced or damaged; if you trust this one, delete the line in {folder / NAME} and run the same command"
        )


def record(folder: Path, url: str, fetched: Fetched) -> None:
    """Remember the content of an address that turned out well, unless an earlier one is remembered.

    Raises:
        UserError: the record is damaged.
    """
    with FileLock(folder / f"{NAME}.lock"):
        seen = _read(folder)
        if url not in seen.sha256:
            address = url.replace(_MOVING, f"/resolve/{fetched.revision}/") if fetched.revision else url
            both = dict.fromkeys((url, address), fetched.sha256)
            moved = {url: address} if address != url else {}
            write_atomically(folder / NAME, to_json(_Seen(seen.sha256 | both, seen.fixed | moved)))


def _read(folder: Path) -> _Seen:
    path = folder / NAME
    return validate_json(_Seen, path.read_bytes(), f"{path} (delete it)") if path.exists() else _Seen({})
