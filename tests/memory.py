"""Whether memory stays flat however many images there are: `python -m tests.memory 1000 20000`.

For each number of images a dataset in m-eurosat's layout is written, ingested, encoded by imagestats and scored with the
linear probe, in a process of its own. The most private memory (RssAnon) is looked up twenty times a second.
"""

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

from tests.writing import write_dataset, write_partitions

DISTINCT = 200
"""Images that are written; the others are the same files under other names."""
EVERY = 0.05
"""Seconds between two looks."""


def write(root: Path, images: int) -> None:
    """A dataset of so many images, four fifths of them in train."""
    few = min(DISTINCT, images)
    folder = write_dataset(root, "m-eurosat", (few, 0, 0))
    names = [f"id_{number:04}" for number in range(images)]
    for number in range(few, images):
        os.link(folder / f"{names[number % few]}.hdf5", folder / f"{names[number]}.hdf5")
    train, valid = images * 8 // 10, images * 9 // 10
    splits = {"train": names[:train], "valid": names[train:valid], "test": names[valid:]}
    write_partitions(folder, splits, np.random.default_rng(0))


def watched(root: Path, home: Path) -> int:
    """Evaluate in this process; the most private memory it took, in bytes."""
    import evaluate
    from benchmark.profiling.timing import private_bytes

    most, ended = [0], threading.Event()

    def look() -> None:
        while not ended.wait(EVERY):
            most[0] = max(most[0], private_bytes())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        asked = ["--encoder", "imagestats", "--dataset", "m-eurosat", "--protocol", "smoke", "--device", "cpu"]
        places = ["--data-root", str(root), "--output", str(home / "results")]
        assert evaluate.main([*asked, *places]) == 0
    finally:
        ended.set()
        thread.join()
    return most[0]


def main() -> None:
    """Each number of images in a process of its own."""
    if sys.argv[1] == "--watched":
        print(watched(Path(sys.argv[2]), Path(sys.argv[3])))
        return
    for images in map(int, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            root, home = Path(folder, "geobench"), Path(folder, "home")
            write(root, images)
            command = [sys.executable, "-m", "tests.memory", "--watched", str(root), str(home)]
            environment = {**os.environ, "SATDIFUSER_BENCH_HOME": str(home)}
            said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
            print(f"{images:,} images: {int(said.split()[-1]) / 1e6:,.0f} MB of private memory at most", flush=True)


if __name__ == "__main__":
    main()
