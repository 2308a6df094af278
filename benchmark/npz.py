"""Arrays as .npz files: the same bytes for the same arrays, and nothing in one is ever unpickled."""

import io
import zlib
from collections.abc import Mapping
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt


def pack(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The arrays as a compressed .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz file.

    Raises:
        ValueError: it is no .npz file of plain arrays.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (AttributeError, EOFError, KeyError, MemoryError, OSError, ValueError, BadZipFile, zlib.error) as error:
        raise ValueError(f"no .npz file of plain arrays ({error})") from None
