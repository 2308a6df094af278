"""Mistakes in plain data: one sentence that names the field, also where a field takes several types."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from encoders.errors import UserError, strict, validate


@strict
@dataclass(frozen=True)
class Sizes:
    width: int = 1
    heads: tuple[int, int] = (1, 1)


@strict
@dataclass(frozen=True)
class Options:
    sizes: Literal["tiny", "full"] | Sizes | None = None
    side: int | Literal["native"] = 1
    bands: dict[Literal["red", "nir"], tuple[str, ...] | Literal["all"]] = field(default_factory=dict)
    steps: tuple[Sizes, ...] = ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"sizes": "huge"}, "where: 'sizes' is 'huge'; choose from: full, tiny, or its keys: width, heads"),
        ({"sizes": "tinny"}, "where: 'sizes' is 'tinny'; did you mean tiny?"),
        ({"sizes": {"widht": 3}}, "where: unknown key 'sizes.widht'; did you mean width?"),
        ({"sizes": {"width": "x"}}, "where: 'sizes.width' is 'x': input should be a valid integer, "),
        ({"sizes": {"heads": [1]}}, "where: 'sizes.heads.1' is missing; add it"),
        ({"side": "big"}, "where: 'side' is 'big'; choose from: native, or a number"),
        ({"bands": {"nri": []}}, "where: 'bands.nri' is 'nri'; did you mean nir?"),
        ({"bands": {"red": "al"}}, "where: 'bands.red' is 'al'; did you mean all?"),
        ({"bands": {"red": 3}}, "where: 'bands.red' is 3; choose from: all, or a list"),
        ({"steps": [{}, {"widht": 3}]}, "where: unknown key 'steps.1.widht'; did you mean width?"),
        ({"stesp": []}, "where: unknown key 'stesp'; did you mean steps"),
    ],
)
def test_a_mistake_is_named_at_the_type_it_comes_nearest_to(data: object, message: str) -> None:
    with pytest.raises(UserError) as error:
        validate(Options, data, "where")
    assert str(error.value).startswith(message)


def test_what_fits_any_of_the_types_is_taken() -> None:
    assert validate(Options, {"sizes": {"width": 3}, "side": "native"}, "") == Options(Sizes(3), "native")
    assert validate(Options, {"sizes": "tiny", "bands": {"nir": "all"}}, "").bands == {"nir": "all"}
