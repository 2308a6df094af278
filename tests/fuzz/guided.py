"""Feed a reader what coverage says it hasn't met: `python -m tests.fuzz.guided READER SECONDS`, with atheris installed.

It ends with exit code 0 when the time is up, and else with the finding and the file that holds it.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["benchmark", "encoders", "pickletools", "yaml", "zipfile", "csv", "json"]):
    from tests.fuzz import readers


def main(name: str, seconds: str) -> None:
    """Fuzz one reader for some seconds."""
    reader = readers.READERS[name]
    readers.without_waiting()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    (place := folder / "place").mkdir()
    (corpus := folder / "corpus").mkdir()
    for number, seed in enumerate(reader.seeds()):
        (corpus / str(number)).write_bytes(seed)
        # What it imports late is no part of the first input's time.
        reader(seed, place)
    options = [f"-max_total_time={seconds}", "-max_len=20000", "-timeout=20", "-rss_limit_mb=4096", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/", str(corpus)], lambda data: reader(data, place))
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
