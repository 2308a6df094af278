"""YAML files that anybody may have written: read as plain data, within bounds; what is wrong ends in one sentence.

Of what YAML can say, only what JSON can is taken: no dates, sets or numbers that are none, no key twice. Aliases are,
but what they unfold to counts: nine lines can stand for a billion values.
"""

import math
from pathlib import Path
from typing import Any

import yaml

from encoders.errors import UserError

MOST_BYTES = 2**20
MOST_VALUES = 50_000
"""Unfolded; a long text counts as several."""
_TEXT = 64
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _RefusedError(Exception):
    """Why a file isn't taken, as a clause."""


def read(path: Path, remedy: str, where: str = "") -> Any:
    """What a YAML file holds.

    Args:
        remedy: how the sentence ends.
        where: what the file is called in it, where that isn't its path.

    Raises:
        UserError: it can't be read, or holds more than plain data within bounds; nothing in it has been executed.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise _RefusedError(f"it holds more than {MOST_BYTES} bytes")
        return _plain(content.decode())
    except OSError as error:
        why = error.strerror or str(error)
    except UnicodeDecodeError:
        why = "it is no text in UTF-8"
    except _RefusedError as error:
        why = str(error)
    except RecursionError:
        why = "it is nested too deep"
    except (yaml.YAMLError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
    raise UserError(f"{where or path}: cannot be read as YAML ({why}); {remedy}")


def _plain(text: str) -> Any:
    loader = _LOADER(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _unfolded(node, {})
        found = loader.construct_document(node)
    finally:
        loader.dispose()
    _check(found)
    return found


def _unfolded(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for."""
    if id(node) in known:
        if not known[id(node)]:
            raise _RefusedError("an alias in it holds itself")
        return known[id(node)]
    known[id(node)] = 0
    inner: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        double = next((key for key in keys if keys.count(key) > 1), None) if len(set(keys)) < len(keys) else None
        if double is not None:
            raise _RefusedError(f"the key '{double}' is there twice")
        inner = [one for pair in node.value for one in pair]
    elif isinstance(node, yaml.SequenceNode):
        inner = node.value
    size = 1 + (len(node.value) // _TEXT if isinstance(node, yaml.ScalarNode) else 0)
    size += sum(_unfolded(one, known) for one in inner)
    if size > MOST_VALUES:
        raise _RefusedError(f"it unfolds to more than {MOST_VALUES} values")
    known[id(node)] = size
    return size


def _check(value: object) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise _RefusedError(f"the key {key!r} is no text; put it in quotes")
            _check(inner)
    elif isinstance(value, list):
        for inner in value:
            _check(inner)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _RefusedError(f"{value} in it is no number")
    elif value is not None and not isinstance(value, str | int):
        raise _RefusedError(f"it holds a {type(value).__name__}, {str(value)[:40]}; put it in quotes")
