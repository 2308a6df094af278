"""Which content an address brought first: the check of files whose publisher gives no checksum.

One JSON in the folder that the files are fetched into; a later download of the same address must be the same.
"""

from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from benchmark.atomic import write_atomically
from benchmark.download import Fetched
from encoders.errors import UserError, strict, to_json, validate_json

NAME = ".fetched.json"


@strict
@dataclass(frozen=True)
class _Seen:
    """sha256 by address."""

    sha256: dict[str, str]


def compare(folder: Path, url: str, fetched: Fetched) -> None:
    """Refuse a file that is not what its address brought first, if that is known.

    Raises:
        UserError: it is another content, or the record is damaged.
    """
    first = _read(folder).get(url, fetched.sha256)
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
        if url not in seen:
            write_atomically(folder / NAME, to_json(_Seen({**seen, url: fetched.sha256})))


def _read(folder: Path) -> dict[str, str]:
    path = folder / NAME
    return validate_json(_Seen, path.read_bytes(), f"{path} (delete it)").sha256 if path.exists() else {}
