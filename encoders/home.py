"""Where this project keeps what it makes and fetches on a machine, unless it is told otherwise."""

import os
from pathlib import Path

from encoders.errors import UserError

HOME_VARIABLE = "SATDIFUSER_BENCH_HOME"


def folder(given: str | Path) -> Path:
    """A folder as a user names it, `~` filled in.

    Raises:
        UserError: it can be no folder's name.
    """
    if "\0" in str(given):
        raise UserError(f"{given}: holds a zero byte, which no folder's name does; give another folder")
    try:
        return Path(given).expanduser()
    except RuntimeError:
        raise UserError(f"{given}: there is no user of that name; give the folder's whole path") from None


def home() -> Path:
    """`$SATDIFUSER_BENCH_HOME`, or the user's cache folder."""
    from platformdirs import user_cache_path

    given = os.environ.get(HOME_VARIABLE)
    return folder(given) if given else user_cache_path("satdifuser-bench")


def weights_folder() -> Path:
    """Where released weights are looked for, and fetched to."""
    return home() / "weights"
