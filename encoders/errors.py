"""The one exception for what a user can mend, and the check of plain data against a dataclass.

Everything that comes from outside (a config, a file, an option) passes through here, so that a mistake ends
in one sentence that names the file or field and the remedy, never in a traceback.
"""

import difflib
import errno
import math
import re
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

T = TypeVar("T")


class UserError(Exception):
    """A mistake the user can mend. The message is one sentence or two: what is wrong where, and the remedy."""


def explain(error: Exception) -> str | None:
    """The sentence for an error the user can mend (a `UserError`, or a folder or disk in the way); None for a bug."""
    if isinstance(error, UserError):
        return str(error)
    if not isinstance(error, OSError) or error.errno is None:
        return None
    where = error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full while writing {where}; make room and run the same command to go on"
    return f"{where} cannot be written or read ({error.strerror}); give another folder or change its rights"


def one_line(message: str) -> str:
    """A message as one line that steers no terminal, whatever names of a stranger's are in it."""
    return printable(" ".join(message.split()))


def printable(text: str) -> str:
    """A text with what steers a terminal or turns its direction written out."""
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def nearest(wrong: str, choices: Iterable[str]) -> str:
    """A clause naming the choices nearest to `wrong`, or all of them where none is near."""
    known = sorted(str(choice) for choice in choices)
    if not known:
        return "there is none to choose, leave it out"
    close = difflib.get_close_matches(str(wrong), known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(close) + "?"
    return "choose from: " + ", ".join(known)


_BOUNDS = {
    "greater_than_equal": ("at least ", "ge"),
    "greater_than": ("more than ", "gt"),
    "less_than_equal": ("at most ", "le"),
    "less_than": ("less than ", "lt"),
    "finite_number": ("a finite number", ""),
}
"""What pydantic calls a number out of bounds, and what we say."""
_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(cls: type[T]) -> TypeAdapter[T]:
    if cls not in _ADAPTERS:
        _ADAPTERS[cls] = TypeAdapter(cls)
    return _ADAPTERS[cls]


def strict(cls: type[T]) -> type[T]:
    """Mark a dataclass so that `validate` refuses unknown keys in it, and numbers that are none."""
    cls.__pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)  # type: ignore[attr-defined]
    return cls


def validate(cls: type[T], data: object, where: str) -> T:
    """Build the dataclass `cls` from plain data (dicts, lists, scalars).

    Raises:
        UserError: names `where`, the field, what is wrong with it and, for an unknown key, the nearest known.
    """
    try:
        return _adapter(cls).validate_python(data)
    except ValidationError as error:
        raise UserError(f"{where}: {_explain(cls, error)}") from None


def validate_json(cls: type[T], text: bytes, where: str) -> T:
    """`validate`, from JSON text.

    Raises:
        UserError: as `validate`; also for text that is not JSON.
    """
    if _ODD.search(text):
        _check_numbers(text, where)
    try:
        return _adapter(cls).validate_json(text)
    except ValidationError as error:
        raise UserError(f"{where}: {_explain(cls, error)}") from None


_ODD = re.compile(rb"NaN|Infinity|[eE]\+?[0-9]{3}")
"""Of JSON text that may hold a number that is none: JSON has no word for these, and its readers take some."""


def _check_numbers(text: bytes, where: str) -> None:
    import json

    def finite(number: str) -> float:
        if not math.isfinite(float(number)):
            raise UserError(f"{where}: holds {number[:40]}, which is no number; it is damaged")
        return float(number)

    try:
        json.loads(text, parse_constant=finite, parse_float=finite)
    except (ValueError, RecursionError):
        return  # no JSON at all, which the reader says better


def to_json(value: object) -> bytes:
    """Canonical JSON of a dataclass: sorted keys, no NaN, newline at the end."""
    import json

    plain = _adapter(type(value)).dump_python(value, mode="json")
    return (json.dumps(plain, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _explain(cls: type[Any], error: ValidationError) -> str:
    """The mistake in one clause; where a value may be of several types, that of the type it comes nearest to."""
    found = error.errors(include_url=False, include_context=True)
    mistakes = [(*_located(cls, one["loc"]), one) for one in found]
    deepest = max(len(path) for path, *_ in mistakes)
    likely = [mistake for mistake in mistakes if len(mistake[0]) == deepest]
    parts, owner, hint, first = next((one for one in likely if one[3]["type"] == "literal_error"), likely[0])
    path = ".".join(parts)
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = _field_names(owner)
        return f"unknown key '{path}'; {nearest(parts[-1], known)}" if known else f"unknown key '{path}'"
    if first["type"] == "literal_error":
        given = first["input"]
        choices = [choice.strip("'") for choice in first["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        clause = nearest(str(given), choices)
        others = _other_forms(hint) if clause.startswith("choose") else []
        return f"'{path}' is {_short(given)}; {', or '.join([clause, *others])}"
    if first["type"] in ("missing", "missing_argument"):
        return f"'{path}' is missing; add it"
    if first["type"] == "json_invalid":
        return f"not valid JSON ({first['msg'].removeprefix('Invalid JSON: ')}); it is damaged"
    if first["type"] in _BOUNDS:
        words, key = _BOUNDS[first["type"]]
        return f"'{path}' is {_short(first['input'])}; it must be {words}{first.get('ctx', {}).get(key, '')}"
    message = first["msg"].removeprefix("Value error, ")
    return f"'{path}' is {_short(first['input'])}: {message[0].lower()}{message[1:]}" if path else message


def _located(cls: type[Any], location: tuple[int | str, ...]) -> tuple[list[str], Any, Any]:
    """Path to a value, without pydantic's names for members of a union; the type its last part is in; its own type."""
    hint: Any = cls
    owner = value = None
    path: list[str] = []
    for part in location:
        members = [one for one in get_args(hint) if one is not NoneType] if _is_union(hint) else [hint]
        if len(members) > 1:
            hint = next((one for one in members if getattr(one, "__name__", None) == part), None)
            continue
        if part == "[key]":
            continue
        owner = members[0]
        path.append(str(part))
        hint = get_type_hints(owner).get(str(part)) if is_dataclass(owner) else (get_args(owner) or (None,))[-1]
        if isinstance(part, int) and owner is not None and get_origin(owner) is tuple:
            inner = get_args(owner)
            hint = inner[0] if inner[-1] is Ellipsis else inner[min(part, len(inner) - 1)]
        value = hint
    return path, owner, value


def _other_forms(hint: Any) -> list[str]:
    """What a value may be beside the words that are listed for it."""
    members = [one for one in get_args(hint) if one is not NoneType] if _is_union(hint) else []
    keys = [f"its keys: {', '.join(_field_names(one))}" for one in members if is_dataclass(one)]
    lists = ["a list" for one in members if get_origin(one) is tuple]
    return keys + lists + (["a number"] if int in members or float in members else [])


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


def _field_names(owner: Any) -> list[str]:
    return [field.name for field in fields(owner)] if is_dataclass(owner) else []


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
