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


def check(folder: Path, url: str, fetched: Fetched) -> None:
    """Record the content an address brought, or compare it with what it brought first.

    Raises:
        UserError: it is another content, or the record is damaged.
    """
    path = folder / NAME
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{NAME}.lock"):
        seen = validate_json(_Seen, path.read_bytes(), f"{path} (delete it)").sha256 if path.exists() else {}
        first = seen.get(url)
        if first is None:
            write_atomically(path, to_json(_Seen({**seen, url: fetched.sha256})))
        elif first != fetched.sha256:
            raise UserError(
                f"{url} brought sha256 {fetched.sha256[:12]}..., {first[:12]}... when it was first fetched: it was "
                f"replaced or damaged; if you trust the new one, delete its line in {path} and run the same command"
            )
