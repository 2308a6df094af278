"""Fuzz every reader in turn: `python -m tests.fuzz.all SECONDS`; ends at the first finding."""

import subprocess
import sys

from tests.fuzz.readers import READERS

for name in [name for name, reader in READERS.items() if not reader.native]:
    print(f"{name}: {sys.argv[1]} s", flush=True)
    subprocess.run([sys.executable, "-m", "tests.fuzz.guided", name, sys.argv[1]], check=True)
