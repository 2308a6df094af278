"""The one exception for what a user can mend, and the check of plain data against a dataclass.

Everything that comes from outside (a config, a file, an option) passes through here, so that a mistake ends
in one sentence that names the file or field and the remedy, never in a traceback.
"""

import difflib
import errno
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

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


def nearest(wrong: str, choices: Iterable[str]) -> str:
    """A clause naming the choices nearest to `wrong`, or all of them where none is near."""
    known = sorted(str(choice) for choice in choices)
    close = difflib.get_close_matches(str(wrong), known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(close) + "?"
    return "choose from: " + ", ".join(known)


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(cls: type[T]) -> TypeAdapter[T]:
    if cls not in _ADAPTERS:
        _ADAPTERS[cls] = TypeAdapter(cls)
    return _ADAPTERS[cls]


def strict(cls: type[T]) -> type[T]:
    """Mark a dataclass so that `validate` refuses unknown keys in it."""
    cls.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
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
    try:
        return _adapter(cls).validate_json(text)
    except ValidationError as error:
        raise UserError(f"{where}: {_explain(cls, error)}") from None


def to_json(value: object) -> bytes:
    """Canonical JSON of a dataclass: sorted keys, no NaN, newline at the end."""
    import json

    plain = _adapter(type(value)).dump_python(value, mode="json")
    return (json.dumps(plain, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _explain(cls: type[Any], error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=True)[0]
    path = ".".join(str(part) for part in first["loc"])
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        *parents, wrong = first["loc"]
        known = _field_names(cls, parents)
        return f"unknown key '{path}'; {nearest(str(wrong), known)}" if known else f"unknown key '{path}'"
    if first["type"] == "literal_error":
        given = first["input"]
        choices = [choice.strip("'") for choice in first["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f"'{path}' is {given!r}; {nearest(str(given), choices)}"
    if first["type"] in ("missing", "missing_argument"):
        return f"'{path}' is missing; add it"
    if first["type"] == "json_invalid":
        return f"not valid JSON ({first['msg'].removeprefix('Invalid JSON: ')}); it is damaged"
    message = first["msg"].removeprefix("Value error, ")
    return f"'{path}' is {_short(first['input'])}: {message[0].lower()}{message[1:]}" if path else message


def _field_names(cls: type[Any], path: list[Any]) -> list[str]:
    for part in path:
        if isinstance(part, int):
            continue
        hint = get_type_hints(cls).get(str(part))
        nested = [arg for arg in (hint, *get_args(hint)) if isinstance(arg, type) and is_dataclass(arg)]
        if not nested:
            return []
        cls = nested[0]
    return [field.name for field in fields(cls)]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
