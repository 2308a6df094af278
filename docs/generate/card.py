"""The keys of an encoder's YAML file: `python -m docs.generate.card` writes their table into docs/add-your-encoder.md.

Names and defaults are those of `EncoderCard` and `Weights`, what they mean is said by their docstrings.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

from docs.generate.markdown import code, codes, sentence
from docs.generate.record import entries
from encoders.spec import EncoderCard, Weights

PAGE = Path(__file__).parent.parent / "add-your-encoder.md"
COMMAND = "python -m docs.generate.card"
BEGIN, END = f"<!-- Generated: {COMMAND} -->", "<!-- End of what is generated -->"
OURS = {"adapter": "_target_", "home": ""}
"""What stands in the file of an encoder of one's own for a field; empty for none."""
TARGET = "the class, as `module:Class`"


def table() -> str:
    """A line a key, those without a default first said to be needed."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows(EncoderCard)]
    lines += [f"| {' | '.join(row)} |" for row in rows(Weights, "weights.")]
    return "\n".join(lines)


def rows(cls: type[Any], prefix: str = "") -> list[list[str]]:
    """Keys, default and meaning of each entry of a dataclass's docstring.

    Raises:
        ValueError: fields that are described together and differ in their default.
    """
    defaults = {one.name: _default(one) for one in dataclasses.fields(cls)}
    found = []
    for names, text in entries(cls):
        if OURS.get(names[0]) == "":
            continue
        if len({defaults[name] for name in names}) > 1:
            raise ValueError(f"{cls.__name__}: {', '.join(names)} have other defaults; describe them one by one")
        said = TARGET if names[0] in OURS else text
        keys = [prefix + OURS.get(name, name) for name in names]
        found.append([codes(keys), defaults[names[0]], sentence(said)])
    return found


def filled(text: str) -> str:
    """The page with the table in its place."""
    return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n\n{table()}\n\n{END}", text, flags=re.DOTALL)


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "**needed**"
    known = value is None or isinstance(value, bool) or (value and isinstance(value, str))
    return code({None: "null", True: "true", False: "false"}.get(value, value)) if known else "empty"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
