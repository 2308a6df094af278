"""Where this project keeps what it makes and fetches on a machine, unless it is told otherwise."""

import os
from pathlib import Path

HOME_VARIABLE = "SATDIFUSER_BENCH_HOME"


def home() -> Path:
    """`$SATDIFUSER_BENCH_HOME`, or the user's cache folder."""
    from platformdirs import user_cache_path

    given = os.environ.get(HOME_VARIABLE)
    return Path(given).expanduser() if given else user_cache_path("satdifuser-bench")


def weights_folder() -> Path:
    """Where released weights are looked for, and fetched to."""
    return home() / "weights"
