"""Names and shapes of every tensor of the encoders' released files (data/README.md)."""

import functools
import json
import tarfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ARCHIVE = Path(__file__).parent / "data" / "manifests.tar.xz"
WHOLE = ("relative_position_index", "num_batches_tracked")
"""Ends of the names whose tensors are int64; all others are float32 (README.md of the archive)."""


@functools.cache
def _read() -> dict[str, Any]:
    with tarfile.open(ARCHIVE) as archive:
        members = {Path(member.name).stem: archive.extractfile(member) for member in archive if member.isfile()}
        return {stem: json.load(file) for stem, file in members.items() if file is not None and stem != "README"}


def index() -> dict[str, dict[str, Any]]:
    """By manifest: the released file, where it is published, its digest, and how sure the list is."""
    return dict(_read()["INDEX"])


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    """Tensor name -> shape of a released file; `/` joins the names of nested dictionaries."""
    return {key: tuple(shape) for key, shape in _read()[name].items()}


def tensors(name: str) -> dict[str, Tensor]:
    """A released file's tensors without memory: on the meta device."""
    return {
        key: torch.empty(shape, dtype=torch.int64 if key.endswith(WHOLE) else torch.float32, device="meta")
        for key, shape in manifest(name).items()
    }
