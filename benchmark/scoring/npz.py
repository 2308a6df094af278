"""Arrays as .npz files, the same bytes for the same arrays. One that is read may come from anybody: plain arrays
alone, and never more bytes than it may hold.

numpy's own reader takes a file's word for how much memory it needs, and parses every header anew.
"""

import functools
import io
import math
import struct
import tokenize
import zlib
from collections.abc import Mapping
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from benchmark.scoring.counts import Array

_HEADER = {(1, 0): (2, np.lib.format.read_array_header_1_0), (2, 0): (4, np.lib.format.read_array_header_2_0)}
"""By format version: bytes of the header's length, and who reads it."""
_HEADERS_KEPT = 1024
LOCAL_HEADER, ENCRYPTED = 30, 1
"""Of the zip format: bytes before a member's name, the last four the lengths of name and extra field; a flag."""
_DAMAGE = (
    EOFError, MemoryError, OSError, RuntimeError, ValueError, BadZipFile, struct.error, tokenize.TokenError, zlib.error
)  # fmt: skip


def pack(arrays: Mapping[str, Array]) -> bytes:
    """The arrays as a compressed .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def read(content: bytes, most: float) -> dict[str, Array]:
    """The arrays of an .npz file by name; an object in it is never unpickled.

    Args:
        most: bytes that all arrays together may take.

    Raises:
        ValueError: it is no .npz file of plain arrays, or it says or turns out to hold more than `most`.
    """
    try:
        with ZipFile(io.BytesIO(content)) as held:
            members = held.infolist()
            claimed = sum(member.file_size for member in members)
            if claimed <= most:
                return {member.filename.removesuffix(".npy"): _array(_unpacked(content, member)) for member in members}
    except _DAMAGE as error:
        raise ValueError(f"no .npz file of plain arrays ({error})") from None
    raise ValueError(f"unpacks to {_size(claimed)}, where what its record counts takes no more than {_size(most)}")


def _unpacked(content: bytes, member: ZipInfo) -> bytes:
    """A member's bytes, as many as it says and no more inflated, however many it holds."""
    if member.flag_bits & ENCRYPTED or member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise ValueError("packed in another way than numpy does")
    name, extra = struct.unpack_from("<HH", content, member.header_offset + LOCAL_HEADER - 4)
    start = member.header_offset + LOCAL_HEADER + name + extra
    stored = content[start : start + member.compress_size]
    if member.compress_type == ZIP_DEFLATED:
        stored = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, member.file_size + 1)
    if len(stored) != member.file_size or zlib.crc32(stored) != member.CRC:
        raise ValueError(f"{member.filename} is damaged")
    return stored


def _array(stored: bytes) -> Array:
    version = np.lib.format.read_magic(io.BytesIO(stored[: np.lib.format.MAGIC_LEN]))
    if version not in _HEADER:
        raise ValueError(f"array format {version}")
    start, width = np.lib.format.MAGIC_LEN, _HEADER[version][0]
    end = start + width + int.from_bytes(stored[start : start + width], "little")
    shape, by_column, dtype = _header(version, stored[start:end])
    if dtype.hasobject:
        raise ValueError("it holds objects")
    if math.prod(shape) * dtype.itemsize != len(stored) - end:
        raise ValueError(f"{len(stored) - end} bytes for an array {shape} of {dtype}")
    return np.frombuffer(stored, dtype, offset=end).reshape(shape, order="F" if by_column else "C")


@functools.lru_cache(_HEADERS_KEPT)
def _header(version: tuple[int, int], text: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and dtype; records of one dataset have the same ones."""
    shape, by_column, dtype = _HEADER[version][1](io.BytesIO(text))
    return shape, by_column, dtype


def _size(count: float) -> str:
    return f"{count / 1e6:,.0f} MB"
