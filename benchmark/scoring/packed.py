"""How a record's JSON file holds thousands of whole numbers: as one text with a shape, not as a line a number.

The group counts of a probe on 1,000 test images and its five refits are 12,000 numbers: as nested lists they are nearly
all that a record weighs and nearly all the time that reading one takes.
"""

import math
import re
from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import PlainSerializer, WrapValidator

Nested = list[list[list[float]]]
_WHOLE_NUMBERS = re.compile(r"-?[0-9]+(?: -?[0-9]+)*")


def pack(counts: Nested) -> object:
    """`{"shape": [...], "whole": "1 1 0 1 ..."}` of nested lists of whole numbers; others are left as they are."""
    try:
        array = np.asarray(counts, np.float64)
    except ValueError:  # lists of unequal lengths
        return counts
    with np.errstate(invalid="ignore"):
        whole = array.astype(np.int64)
    if array.ndim != 3 or not (whole == array).all():
        return counts
    return {"shape": list(array.shape), "whole": " ".join(map(str, whole.ravel().tolist()))}


def unpack(packed: dict[str, object]) -> Nested:
    """The nested lists of what `pack` made; raises as `check`."""
    shape, text = check(packed)
    nested: Nested = np.fromstring(text, np.int64, sep=" ").astype(np.float64).reshape(shape).tolist()
    return nested


def check(packed: dict[str, object]) -> tuple[list[int], str]:
    """Shape and text of what `pack` made, in a twentieth of the time that `unpack` takes.

    Raises:
        ValueError: the shape and the numbers don't fit, or are none.
    """
    shape, text = packed.get("shape"), packed.get("whole")
    if packed.keys() != {"shape", "whole"} or not isinstance(shape, list) or not isinstance(text, str):
        raise ValueError("it is no shape with whole numbers")
    count = _count(text)
    if len(shape) != 3 or not all(type(size) is int and size > 0 for size in shape) or math.prod(shape) != count:
        raise ValueError(f"{count} numbers are not of shape {shape}")
    return shape, text


def _count(text: str) -> int:
    """How many numbers a text holds."""
    # Counts have no sign: then looking for other characters does, many times faster than the expression.
    spaced = "  " in text or text.strip() != text
    unsigned = not spaced and not text.encode().translate(None, b"0123456789 ")
    if text and not unsigned and not _WHOLE_NUMBERS.fullmatch(text):
        raise ValueError("other than whole numbers are in it")
    return text.count(" ") + 1 if text else 0


def _read(value: object, check: Callable[[object], Nested]) -> Nested:
    # What is unpacked is what it should be; pydantic would look at each number.
    return unpack(value) if isinstance(value, dict) else check(value)


Packed = Annotated[Nested, WrapValidator(_read), PlainSerializer(pack, when_used="json")]
"""Nested lists of floats, `[fit][group][count]`, in a dataclass; packed in its JSON. Lists are read as well."""
