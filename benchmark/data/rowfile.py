"""Growing .npy files: rows are appended with ordinary writes, the header already tells the final shape.

A memory map would be simpler, but on a full disk it ends in a crash of the process where a write raises.
"""

import io
import os
from pathlib import Path

import numpy as np


class RowFile:
    """One .npy file of shape (N, ...), written row by row and opened again at any row.

    Args:
        done: rows to keep; whatever follows them is cut off. 0 starts anew.
    """

    def __init__(self, path: Path, dtype: np.dtype, shape: tuple[int, ...], done: int) -> None:
        self.dtype, self.shape = dtype, shape
        header = _header(dtype, shape)
        self.file = path.open("r+b" if done else "w+b")
        if not done:
            self.file.write(header)
        self.file.seek(len(header) + done * self.row_bytes)
        self.file.truncate()

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=int))

    def __enter__(self) -> "RowFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def append(self, row: np.ndarray) -> None:
        """Write the next row; it must have the file's dtype and shape."""
        if row.shape != self.shape[1:] or row.dtype != self.dtype:
            raise ValueError(f"row of {row.dtype} {row.shape}, expected {self.dtype} {self.shape[1:]}")
        self.file.write(np.ascontiguousarray(row).tobytes())

    def sync(self) -> None:
        """Bring all rows written so far to the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())


def holds(path: Path, dtype: np.dtype, shape: tuple[int, ...], rows: int) -> bool:
    """Whether a file has the header of this dtype and shape, and at least so many rows."""
    header = _header(dtype, shape)
    row_bytes = dtype.itemsize * int(np.prod(shape[1:], dtype=int))
    if not path.is_file() or path.stat().st_size < len(header) + rows * row_bytes:
        return False
    with path.open("rb") as file:
        return file.read(len(header)) == header


def _header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()
