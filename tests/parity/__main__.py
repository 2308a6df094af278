"""`python -m tests.parity > docs/parity.json` runs every comparison and writes how near they came."""

import contextlib
import json
import os
import sys
from pathlib import Path

import pytest

from tests.parity import figures

HERE = Path(__file__).parent

if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        code = pytest.main([*(sys.argv[1:] or [str(HERE)]), "-n0"])
    if code:
        sys.exit(f"parity fails, so there are no figures (pytest ended with {code})")
    import torch  # after the tests, which settle its threads before it is first imported

    device = os.environ.get("SATDIFUSER_BENCH_PARITY_DEVICE", "cpu")
    written = {"command": "python -m tests.parity > docs/parity.json", "device": device, "dtype": "float32"}
    print(json.dumps(written | {"torch": torch.__version__, "figures": figures.found()}, indent=1))
