"""What the official codes put out (README.md in each folder of recordings), and that all of it is compared.

Read from folders in `$PARITY_DIR` where that is set, else from the archives of the same names beside this file.
"""

import functools
import json
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from torch import Tensor

from encoders.checkpoints import load_tensors
from tests.parity import figures

ARCHIVES = Path(__file__).parent / "recordings"
TOLERANCE = 1e-5
"""Of the largest value of a tensor (README.md of the recordings)."""


@functools.cache
def _unpacked() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="recordings-")


@functools.cache
def unpacked(name: str) -> Path:
    """Where the files of recordings lie that are kept in one archive: `encoders/croma`, `satdifuser/fusers`."""
    given = os.environ.get("PARITY_DIR")
    if given:
        return Path(given) / name
    place = Path(_unpacked().name) / name
    with tarfile.open(ARCHIVES / f"{name}.tar.xz") as archive:
        archive.extractall(place.parent, filter="data")
    return place


def folder(name: str) -> Path:
    """Where the files of an encoder's recording lie."""
    return unpacked(f"encoders/{name}")


class Recording:
    """A recording's files, and which of its expected tensors nothing has compared yet."""

    def __init__(self, name: str) -> None:
        self.name, self.folder = name, folder(name)
        self.inputs = load_tensors(self.folder / "inputs.safetensors")
        self.expected = load_tensors(self.folder / "expected.safetensors")
        self.open = set(self.expected)
        self.worst = 0.0

    @property
    def config(self) -> dict[str, Any]:
        """The architecture."""
        content: dict[str, Any] = json.loads((self.folder / "config.json").read_text())
        return content

    @property
    def weights(self) -> dict[str, Tensor]:
        """By official name, float32."""
        return {key: tensor.float() for key, tensor in load_tensors(self.folder / "weights.safetensors").items()}

    def compare(self, key: str, actual: Tensor) -> None:
        """Fail where `actual` is further from what was recorded than `TOLERANCE`."""
        expected = self.expected[key]
        self.open.discard(key)
        assert actual.shape == expected.shape, f"{key}: {tuple(actual.shape)} for {tuple(expected.shape)}"
        error = ((actual - expected).abs().max() / expected.abs().max()).item()
        self.worst = max(self.worst, error)
        assert error <= TOLERANCE, f"{self.name} {key}: off by {error:.1e} of its largest value"
        # Value rules are recorded together; whose each is stands in front of its name.
        rules = self.name == "preprocess"
        whose, what = (key.partition("_")[0], "value rules") if rules else (self.name, "outputs")
        figures.note(whose, what, error, TOLERANCE, "of the largest value")

    def done(self) -> None:
        """Fail where a recorded tensor was not compared."""
        assert self.expected, f"{self.name}: nothing is recorded"
        assert not self.open, f"{self.name}: nothing compares {sorted(self.open)}"
        print(f"{self.name}: worst error {self.worst:.1e} of a tensor's largest value")
