"""Every value of every config, found in the dataclasses: a number out of bounds, another kind of value, a misspelt key.

Composing costs a tenth of a second, so one field of each type and one of each class go through the command line, and
each field with each wrong value through the check that the command line ends in. SATDIFUSER_BENCH_LONG=1 sends all of
them through the command line.
"""

import copy
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, is_dataclass
from importlib import import_module
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import annotated_types
import pytest

import configs
import encoders
from benchmark.data import datasets
from benchmark.data.dataset import Dataset
from benchmark.protocol import Protocol
from benchmark.request import executor_options, rows, tracker_options
from benchmark.request.configuration import Probe, Settings
from benchmark.request.rows import Fusion
from decoders import fusion_options
from encoders.errors import UserError, validate
from encoders.spec import EncoderCard, InputSpec
from tests.bad_inputs.case import LONGEST_LINE, Case, Ended

LONG = os.environ.get("SATDIFUSER_BENCH_LONG") == "1"
ENCODER, DATASET = "rcf", "real-chesapeake-patches"
COMMAND = ("--encoder", ENCODER, "--dataset", DATASET, "--output", "{output}")
ONE_ONLY = {"Protocol.multi_label_threshold", "Protocol.missing_bands_ranked"}
"""Numbers of which their class takes one value."""
OPTIONAL = ("archive", "files")
"""Parts that the config at hand lacks: what is wrong first may be another of their fields."""


@dataclass(frozen=True)
class Leaf:
    """A value of a config.

    Attributes:
        group: of Hydra; empty for the settings.
        path: dotted, below the group.
        hint: its type, with bounds.
        cls, owner: the dataclass that `path` starts in, and class and field, for messages.
    """

    group: str
    path: str
    hint: Any
    cls: Any
    owner: str

    @property
    def key(self) -> str:
        """As an override names it."""
        return f"{self.group}.{self.path}" if self.group else self.path

    @property
    def named(self) -> str:
        """What the line of error must hold."""
        parts = self.path.split(".")
        return parts[0] if parts[0] in OPTIONAL else parts[-1]

    @property
    def options(self) -> tuple[str, ...]:
        """Of the command line, so that the value is there to be overridden."""
        return ("--executor", self.cls.__name__.lower()) if self.group == "executor" else ()


def leaves(group: str, cls: Any) -> list[Leaf]:
    """All values of a config's dataclass, those of nested ones too."""
    return list(_leaves(group, cls, cls, ""))


def _leaves(group: str, top: Any, cls: Any, prefix: str) -> Iterator[Leaf]:
    hints = get_type_hints(cls, include_extras=True)
    for field in fields(cls):
        hint, path = hints[field.name], f"{prefix}{field.name}"
        inner = [one for one in get_args(hint) if one is not NoneType] if is_union(hint) else [hint]
        hint = inner[0] if len(inner) == 1 else hint
        yield Leaf(group, path, hint, top, f"{cls.__name__}.{field.name}")
        if is_dataclass(hint):
            yield from _leaves(group, top, hint, f"{path}.")


def is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


def numeric(hint: Any) -> type | None:
    """int or float where a type is one, with bounds or without."""
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return plain if plain in (int, float) else None


def bounds(hint: Any) -> list[float]:
    """The values next to what a type allows: below it, above it, or both."""
    found: list[float] = []
    for one in [inner for part in get_args(hint)[1:] for inner in getattr(part, "metadata", [])]:
        found += [float(one.ge) - 1] if isinstance(one, annotated_types.Ge) else []  # type: ignore[arg-type]
        found += [float(one.gt)] if isinstance(one, annotated_types.Gt) else []  # type: ignore[arg-type]
        found += [float(one.le) + 1] if isinstance(one, annotated_types.Le) else []  # type: ignore[arg-type]
        found += [float(one.lt)] if isinstance(one, annotated_types.Lt) else []  # type: ignore[arg-type]
    return found


def wrong_values(hint: Any) -> Iterator[object]:
    """Values that no field of a type may take."""
    kind, origin, inner = numeric(hint), get_origin(hint), get_args(hint)
    if kind is not None:
        yield from (kind(value) for value in bounds(hint))
        yield from (math.nan, math.inf, -math.inf, "x", [1], {"a": 1})
        yield from (True, 1.5, 10**30) if kind is int else ()
    elif hint is bool:
        yield from ("maybe", 3, [True])
    elif hint is str:
        yield from (["a"], {"a": 1})
    elif origin is Literal:
        yield from ("nonesuch", [], {"a": 1})
    elif origin is tuple:
        yield from ("x", 3, {"a": 1})
        yield from ([value] for value in wrong_values(inner[0]))
        yield from () if inner[-1] is Ellipsis else [[]]
    elif origin is dict:
        key = get_args(inner[0])[0] if get_origin(inner[0]) is Literal else "a"
        yield from ("x", 3, ["a"])
        yield from ({key: value} for value in wrong_values(inner[1]))
    elif is_dataclass(hint):
        yield from ("x", 3, ["a"])


def text(value: object) -> str:
    """A value as an override writes it."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return "[" + ",".join(map(text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}: {text(one)}" for key, one in value.items()) + "}"
    return json.dumps(value) if isinstance(value, bool) else str(value)


GROUPS: dict[str, tuple[Any, ...]] = {
    "": (Settings,),
    "encoder": (EncoderCard,),
    "fusion": (Fusion,),
    "dataset": (Dataset,),
    "protocol": (Protocol,),
    "executor": tuple(executor_options.KINDS.values()),
    "tracker": (tracker_options.NoTracker,),
}
"""Every config group whose values can be overridden, and its dataclasses."""
OVERRIDABLE = [leaf for group, classes in GROUPS.items() for cls in classes for leaf in leaves(group, cls)]


def config(path: str) -> dict[str, Any]:
    found: dict[str, Any] = configs.load(configs.ROOT / path)
    return found


SETTINGS = {name: value for name, value in config("config.yaml").items() if name != "defaults"}
VALID: dict[Any, dict[str, Any]] = {
    Settings: SETTINGS | {"band_names": "corrected", "missing_bands": ["nearest"]},
    EncoderCard: asdict(encoders.card(ENCODER)),
    Fusion: asdict(rows.load_fusion("gw")),
    Dataset: asdict(datasets.dataset("m-eurosat")),
    Protocol: config("protocol/frozen.yaml"),
    Probe: config("probe/linear.yaml"),
    InputSpec: config("inputs/satdifuser.yaml"),
    tracker_options.NoTracker: config("tracker/none.yaml"),
    **{cls: config(f"executor/{name}.yaml") for name, cls in executor_options.KINDS.items()},
    **{cls: asdict(cls()) for cls in fusion_options.KINDS.values()},
}
"""Plain data that each class takes, to be spoilt in one place."""


def cases() -> Iterator[Case]:
    seen: set[object] = set()
    for leaf in OVERRIDABLE:
        kinds = {leaf.owner} if LONG else {leaf.cls, kind_of(leaf.hint)}
        if kinds <= seen:
            continue
        seen |= kinds
        for value in list(wrong_values(leaf.hint))[: None if LONG else 1]:
            argv = (*COMMAND, *leaf.options, f"++{leaf.key}={text(value)}")
            yield Case(" ".join([*leaf.options[1:], argv[-1]]), argv, (leaf.named,))


def kind_of(hint: Any) -> str:
    """What is refused alike: numbers by their bounds, texts, switches, choices, lists, tables."""
    return str(hint) if numeric(hint) else str(get_origin(hint) or is_dataclass(hint) or hint)


def misspelt() -> Iterator[Case]:
    """A key that is none, in every dataclass."""
    for leaf in {leaf.owner.split(".")[0]: leaf for leaf in OVERRIDABLE}.values():
        key = f"{leaf.path[:-1]}q"
        argv = (*COMMAND, *leaf.options, f"++{leaf.key[:-1]}q=1")
        yield Case(
            " ".join([*leaf.options[1:], argv[-1]]),
            argv,
            (leaf.named if leaf.named in OPTIONAL else key.rsplit(".", maxsplit=1)[-1],),
        )


ENDLESS = Case("a number of 5,000 digits", (*COMMAND, "batch_size=" + "9" * 5000), ("batch_size",))


@pytest.mark.parametrize("case", [*cases(), *misspelt(), ENDLESS], ids=str)
def test_a_value_that_cannot_be_is_one_line(case: Case, refuses: Callable[[Case], Ended]) -> None:
    refuses(case)


@pytest.mark.parametrize("cls", VALID, ids=lambda cls: cls.__name__)
def test_no_field_of_a_config_takes_what_it_cannot_be(cls: Any) -> None:
    validate(cls, VALID[cls], "here")
    for leaf in leaves("", cls):
        if leaf.path.split(".")[0] in OPTIONAL and VALID[cls].get(leaf.path.split(".")[0]) is None:
            continue
        for value in wrong_values(leaf.hint):
            with pytest.raises(UserError) as caught:
                validate(cls, _spoilt(VALID[cls], leaf.path, value), "here")
            said = str(caught.value)
            assert said.startswith("here: "), leaf
            assert leaf.named in said, (leaf, value, said)
            assert "\n" not in said
            assert len(said) < LONGEST_LINE


def _spoilt(plain: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    spoilt = copy.deepcopy(plain)
    *parents, last = path.split(".")
    inner = spoilt
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return spoilt


@pytest.mark.parametrize("cls", VALID, ids=lambda cls: cls.__name__)
def test_every_whole_number_of_a_config_has_bounds(cls: Any) -> None:
    """A number without them can take a machine down, or mean nothing: give it a type of `encoders.bounds`."""
    check_bounds(cls)


@pytest.mark.parametrize("name", sorted(encoders.ADAPTERS))
def test_every_whole_number_of_an_adapters_options_has_bounds(name: str) -> None:
    module = encoders.ADAPTERS[name].partition(":")[0]
    # That adapter's options stand apart: their module imports no framework.
    held = vars(import_module("encoders.satdifuser_options" if name == "satdifuser" else module)).values()
    found = [one for one in held if is_dataclass(one) and "Options" in str(one)]
    assert found or name == "imagestats"
    for cls in found:
        check_bounds(cls)


def check_bounds(cls: Any) -> None:
    for leaf in leaves("", cls):
        hint = get_args(leaf.hint)[0] if get_origin(leaf.hint) is tuple else leaf.hint
        if numeric(hint) is int and leaf.owner not in ONE_ONLY:
            assert len(bounds(hint)) == 2, leaf.owner
