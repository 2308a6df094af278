"""Kinds of numbers that configs hold, each with its bounds: `Count` in place of `int` in a dataclass.

`encoders.errors.validate` refuses what lies outside, NaN, infinity, and a switch in place of a number, and its sentence
names the field and the bound. Upper bounds lie far above what makes sense and below what would take a machine down.
"""

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field


def _no_switch(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("give a number")
    return value


def _no_odd_number(value: object) -> object:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for one in inner:
        _no_odd_number(one)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} in it is no number, give one")
    return value


_NUMBER = BeforeValidator(_no_switch)

Whole = Annotated[int, _NUMBER, Field(ge=0, le=10**9)]
Count = Annotated[int, _NUMBER, Field(ge=1, le=10**6)]
Few = Annotated[int, _NUMBER, Field(ge=1, le=1000)]
"""Of what each costs a training, a process or a draw."""
FewFrom0 = Annotated[int, _NUMBER, Field(ge=0, le=1000)]
Timestep = Annotated[int, _NUMBER, Field(ge=-1, le=1000)]
"""Of a diffusion model; -1 is the image itself, before its first step."""
Seed = Annotated[int, _NUMBER, Field(ge=0, lt=2**32)]
Bytes = Annotated[int, _NUMBER, Field(ge=0, le=10**15)]
Classes = Annotated[int, _NUMBER, Field(ge=1, le=10_000)]
Pixels = Annotated[int, _NUMBER, Field(ge=1, le=16384)]
Width = Annotated[int, _NUMBER, Field(ge=1, le=65536)]
"""Channels of a layer."""
Stored = Annotated[int, _NUMBER, Field(ge=-(2**31), lt=2**32)]
"""A pixel as a file stores it."""
Label = Annotated[int, _NUMBER, Field(ge=-1, le=65535)]

Free = Annotated[dict[str, Any], AfterValidator(_no_odd_number)]
"""Keys and values that others check; that each number is one is checked here, as a run's key could hold no other."""

Finite = Annotated[float, _NUMBER, Field(allow_inf_nan=False)]
Positive = Annotated[float, _NUMBER, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, _NUMBER, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, _NUMBER, Field(ge=0, lt=1)]
"""From 0 up to below 1."""
Level = Annotated[float, _NUMBER, Field(gt=0, lt=1)]
"""Between 0 and 1."""
Correlation = Annotated[float, _NUMBER, Field(ge=-1, le=1)]
