"""GEO-Bench's pickled metadata, read as data: nothing a file says is ever imported, called or restored.

A pickle is a small program. Two locks keep this one from running: `encoders.pickles.scan` admits only the
instructions that describe data, and `_InertUnpickler` answers every name the format uses with a `Record` that
merely remembers what it was given; any other name is refused. What we need (a date, an integer, a plain array) is
decoded from records here, by us.
"""

import io
import math
import pickle
from functools import cache
from typing import Any, ClassVar

import numpy as np

from encoders.errors import UserError
from encoders.pickles import DATA, RefusedError, scan

REMEDY = "it is damaged or not GEO-Bench's; download it again"
MAX_BYTES = 8 * 2**20
"""Larger metadata is refused unread; a task_specs.pkl that lists every sample stays below 2 MB."""

_GEOBENCH_MODULES = {
    f"{package}{part}" for package in ("geobench.", "geobench.io.", "ccb.io.") for part in ("dataset", "label", "task")
}
_GEOBENCH_NAMES = {
    *("BandInfo", "SpectralBand", "Sentinel1", "Sentinel2", "Landsat8", "Mask", "ElevationBand", "MultiBand"),
    *(
        "HyperSpectralBands",
        "CloudProbability",
        "SegmentationClasses",
        "Classification",
        "SemanticSegmentation",
    ),
    *(
        "MultiLabelClassification",
        "TaskSpecifications",
        "SegmentationAccuracy",
        "Accuracy",
        "MultilabelAccuracy",
    ),
}
_OTHER_NAMES = {
    *(("affine", "Affine"), ("rasterio.crs", "CRS"), ("datetime", "date"), ("datetime", "datetime")),
    *(("numpy", "ndarray"), ("numpy", "dtype")),
    # NumPy 1 writes numpy.core, NumPy 2 numpy._core.
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


class Record:
    """What a pickle says of one object: the name of its class, the arguments it was made with, its state."""

    __slots__ = ("arguments", "state")
    name: ClassVar[str] = ""

    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any) -> "Record":
        record = super().__new__(cls)
        record.arguments = arguments
        record.state = None
        return record

    def __setstate__(self, state: object) -> None:
        self.state = state

    def field(self, name: str) -> Any:
        """One entry of a state that is a dictionary; None where there is none."""
        return self.state.get(name) if isinstance(self.state, dict) else None


@cache
def _record_class(name: str) -> type[Record]:
    return type(name, (Record,), {"__slots__": (), "name": name})


class _InertUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[Record]:
        if (module in _GEOBENCH_MODULES and name in _GEOBENCH_NAMES) or (module, name) in _OTHER_NAMES:
            return _record_class(name)
        raise RefusedError(f"it asks for {_short(f'{module}.{name}')}, which the format does not use")


def read(data: bytes, where: str) -> Any:
    """Decode pickled metadata to plain Python (dict, list, tuple, str, bytes, numbers, None) and `Record`s.

    Args:
        where: file and field, the beginning of an error.

    Raises:
        UserError: damaged, too large, or more than data; nothing of it has been executed.
    """
    try:
        if len(data) > MAX_BYTES:
            raise RefusedError(f"it holds {len(data)} bytes of metadata, more than {MAX_BYTES}")
        stream = io.BytesIO(data)
        scan(stream, DATA)
        if stream.tell() != len(data):
            raise RefusedError("something follows its end")
        return _InertUnpickler(io.BytesIO(data)).load()
    except RefusedError as error:
        raise UserError(f"{where}: refused, nothing in it was executed: {error}; {REMEDY}") from None
    # Whatever else the unpickler stumbles over is the file's fault, whichever exception it chooses.
    except Exception as error:
        raise UserError(f"{where}: unreadable metadata ({type(error).__name__}); {REMEDY}") from None


def integer(value: object) -> int | None:
    """An integer, Python's or NumPy's, or None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Record) and value.name == "scalar" and len(value.arguments) == 2:
        found = _from_bytes(value.arguments[1], value.arguments[0], ())
        return int(found[()]) if found is not None and found.dtype.kind in "iu" else None
    return None


def array(value: object) -> np.ndarray | None:
    """A plain numeric array of at most two dimensions; None for anything else, object arrays above all."""
    if not isinstance(value, Record):
        return None
    if value.name == "_reconstruct" and isinstance(value.state, tuple) and len(value.state) == 5:
        _, shape, dtype, fortran, raw = value.state
        return _from_bytes(raw, dtype, shape, "F" if fortran is True else "C")
    if value.name == "_frombuffer" and len(value.arguments) == 4:
        raw, dtype, shape, order = value.arguments
        return _from_bytes(raw, dtype, shape, "F" if order == "F" else "C")
    return None


def _from_bytes(raw: object, dtype: object, shape: object, order: Any = "C") -> np.ndarray | None:
    kind = _dtype(dtype)
    if kind is None or not isinstance(raw, bytes | bytearray) or not isinstance(shape, tuple) or len(shape) > 2:
        return None
    if not all(type(side) is int and 0 <= side <= len(raw) for side in shape):
        return None
    if math.prod(shape) * kind.itemsize != len(raw):
        return None
    return np.frombuffer(bytes(raw), kind).reshape(shape, order=order)


def _dtype(value: object) -> np.dtype[Any] | None:
    if not isinstance(value, Record) or value.name != "dtype" or not value.arguments:
        return None
    code = value.arguments[0]
    state = value.state if isinstance(value.state, tuple) and len(value.state) > 1 else (3, "|")
    if code not in {f"{kind}{size}" for kind in "iuf" for size in (1, 2, 4, 8)} - {"f1"} or state[1] not in (
        "<",
        ">",
        "|",
    ):
        return None
    return np.dtype(("" if state[1] == "|" else state[1]) + code)


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
