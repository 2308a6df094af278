"""GEO-Bench's pickled metadata, read as data: nothing a file says is ever imported, called or restored.

A pickle is a small program. Two locks keep this one from running: `_scan` admits only the instructions that
describe data, and `_InertUnpickler` answers every name the format uses with a `Record` that merely remembers
what it was given; any other name is refused. What we need (a date, an integer, a plain array) is decoded from
records here, by us.
"""

import io
import math
import pickle
import pickletools
from functools import cache
from typing import Any, ClassVar

import numpy as np

from encoders.errors import UserError

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
_PUTS = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GETS = {"BINGET", "LONG_BINGET"}
_ATOMS = {
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
}
_SETTERS = {"SETITEM", "SETITEMS"}
_INSTRUCTIONS = {
    *("PROTO", "FRAME", "STOP", "MARK", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "APPEND", "APPENDS"),
    *_SETTERS,
    *("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "BYTEARRAY8"),
    *("GLOBAL", "STACK_GLOBAL", "NEWOBJ", "REDUCE", "BUILD"),
    *(_PUTS | _GETS | _ATOMS),
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


class _RefusedError(Exception):
    """Why a pickle is not read, as the end of a sentence."""


@cache
def _record_class(name: str) -> type[Record]:
    return type(name, (Record,), {"__slots__": (), "name": name})


class _InertUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[Record]:
        if (module in _GEOBENCH_MODULES and name in _GEOBENCH_NAMES) or (module, name) in _OTHER_NAMES:
            return _record_class(name)
        raise _RefusedError(f"it asks for {_short(f'{module}.{name}')}, which the format does not use")


def read(data: bytes, where: str) -> Any:
    """Decode pickled metadata to plain Python (dict, list, tuple, str, bytes, numbers, None) and `Record`s.

    Args:
        where: file and field, the beginning of an error.

    Raises:
        UserError: damaged, too large, or more than data; nothing of it has been executed.
    """
    try:
        if len(data) > MAX_BYTES:
            raise _RefusedError(f"it holds {len(data)} bytes of metadata, more than {MAX_BYTES}")
        _scan(data)
        return _InertUnpickler(io.BytesIO(data)).load()
    except _RefusedError as error:
        raise UserError(f"{where}: refused, nothing in it was executed: {error}; {REMEDY}") from None
    # Whatever else the unpickler stumbles over is the file's fault, whichever exception it chooses.
    except Exception as error:
        raise UserError(f"{where}: unreadable metadata ({type(error).__name__}); {REMEDY}") from None


def _scan(data: bytes) -> None:
    """Follow a pickle without obeying it: admit only instructions that describe data.

    Each object on the stack is known by the instruction that made it. Dictionary keys must be atoms, because
    hashing nested tuples can take for ever or overflow the stack; memo slots must be near, because a slot's
    number makes the unpickler reserve as much memory.
    """
    stack: list[str] = []
    marks: list[int] = []
    memo: dict[int, str] = {}
    for opcode, argument, position in pickletools.genops(data):
        name = opcode.name
        if name not in _INSTRUCTIONS:
            raise _RefusedError(f"it uses the pickle instruction {name}, which the format does not use")
        if name == "MARK":
            marks.append(len(stack))
        elif name in _PUTS:
            slot = len(memo) if argument is None else int(argument)
            if slot > len(data) or len(stack) <= (marks[-1] if marks else 0):
                raise _RefusedError(f"it misuses memo slot {slot}")
            memo[slot] = stack[-1]
        elif name in _GETS:
            stack.append(memo[int(argument or 0)])
        else:
            below, marked, left = _effect(name)
            keys = _take(stack, below, marks.pop() if marked else len(stack), marks)
            if name in _SETTERS and not _ATOMS.issuperset(keys[::2]):
                raise _RefusedError("a dictionary in it has a key that is neither text nor a number")
            stack += [name] * left
        if name == "STOP" and position != len(data) - 1:
            raise _RefusedError("something follows its end")


@cache
def _effect(name: str) -> tuple[int, bool, int]:
    """Of an instruction: objects consumed below its mark, whether it has one, objects left."""
    opcode = next(opcode for opcode in pickletools.opcodes if opcode.name == name)
    before = [kind.name for kind in opcode.stack_before]
    marked = "mark" in before
    return before.index("mark") if marked else len(before), marked, len(opcode.stack_after)


def _take(stack: list[str], below: int, mark: int, marks: list[int]) -> list[str]:
    """Remove the `below` objects under a mark and all above it; return them without the lowest."""
    lowest = mark - below
    if lowest < (marks[-1] if marks else 0):
        raise _RefusedError("it takes more objects than it made")
    taken = stack[lowest + 1 :]
    del stack[lowest:]
    return taken


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
