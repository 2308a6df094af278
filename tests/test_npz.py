"""Predictions files from anywhere: arrays as numpy wrote them, or one clause; memory is bounded whatever they claim."""

import io
import tracemalloc
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

from benchmark.scoring import npz

PLAIN = {
    "scores": np.arange(6, dtype=np.float32).reshape(2, 3),
    "masks": np.asfortranarray(np.arange(24, dtype=np.uint8).reshape(2, 3, 4)),
    "samples": np.array(["a", "longer", "ü"]),
    "none": np.zeros((0, 4), np.int64),
    "one": np.array(3.5),
}


def packed(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as held:
        held.writestr("scores.npy", content)
    return buffer.getvalue()


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read_as_numpy_reads_it(save: Callable[..., None]) -> None:
    buffer = io.BytesIO()
    save(buffer, **PLAIN)
    found = npz.read(buffer.getvalue(), 1e6)
    assert found.keys() == PLAIN.keys()
    for name, array in PLAIN.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_more_than_its_record_counts_is_never_unpacked() -> None:
    content = packed(scores=np.zeros(10_000_000, np.uint8))
    tracemalloc.start()
    with pytest.raises(ValueError, match="unpacks to 10 MB, where what its record counts takes no more than 5 MB"):
        npz.read(content, 5e6)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_member_that_lies_about_its_size_is_not_inflated() -> None:
    content = packed(scores=np.zeros(50_000_000, np.uint8))
    size = (50_000_000 + 128).to_bytes(4, "little")
    assert content.count(size) >= 1
    lying = content.replace(size, (1000).to_bytes(4, "little"))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"no \.npz file of plain arrays"):
        npz.read(lying, 5e6)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def _encrypted() -> bytes:
    content = bytearray(packed(scores=np.zeros(3)))
    central = content.rindex(b"PK\x01\x02")
    for place in (6, central + 8):
        content[place] |= 1
    return bytes(content)


REFUSED = {
    "objects": packed(scores=np.array([print], dtype=object)),
    "nothing": b"",
    "no zip": b"nothing of the kind",
    "no array": zipped(b"text"),
    "half an array": zipped(saved(np.zeros(100))[:300]),
    "half a header": zipped(saved(np.zeros(100))[:20]),
    "a larger shape": zipped(saved(np.zeros(100)).replace(b"(100,), }   ", b"(10000000),}")),
    "a negative shape": zipped(saved(np.zeros(100)).replace(b"(100,), }    ", b"(-1,-100), }")),
    "no header": zipped(saved(np.zeros(100)).replace(b"(100,)", b"(((((,")),
    "more than its shape": zipped(saved(np.zeros(100)) + b"more"),
    "a format to come": zipped(b"\x93NUMPY\x09\x00" + saved(np.zeros(3))[8:]),
    "lzma": zipped(saved(np.zeros(3)), zipfile.ZIP_LZMA),
    "encrypted": _encrypted(),
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_anything_else_is_one_clause(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"no \.npz file of plain arrays"):
        npz.read(content, 1e9)
