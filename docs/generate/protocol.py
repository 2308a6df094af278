"""The protocol as one table: every field of `configs/protocol/frozen.yaml` with the reason that stands above it there.

And, for each protocol that starts from another, the fields it changes; those of other projects side by side; and the
executors' options. Values and reasons are the files' own.
"""

import re
from collections.abc import Mapping
from typing import Any

import configs
import encoders
from docs.generate.commented import choices
from docs.generate.markdown import code, head_comment, page, sentence, table

FOLDER = configs.ROOT / "protocol"
LABELS = ("name", "title")
MAIN = "frozen"
PUBLISHED = ("satdifuser_code", "satdifuser_paper", "pangaea", "torchgeo_bench", "geobreeze")
"""Those that repeat what another project does."""
HEADER = ["field", "value", "reason"]


def main_table() -> str:
    """Every choice of the default protocol."""
    rows, section = list[list[str]](), ""
    for choice in choices(FOLDER / f"{MAIN}.yaml", LABELS):
        if choice.section != section:
            rows.append([f"**{sentence(choice.section).rstrip('.')}**", "", ""])
            section = choice.section
        *shown, reason = choice.row()
        rows.append([*shown, reason or _of_the_head("version")])
    return table(HEADER, rows)


def others() -> str:
    """For each protocol made from another: what it changes, and why."""
    parts = []
    for path in sorted(FOLDER.glob("*.yaml")):
        plain = configs.load(path)
        base = next((one for one in plain.get("defaults", []) if one != "_self_"), None)
        if base is None:
            continue
        changed = [choice.row() for choice in choices(path, LABELS)]
        told = f"{plain['title']}. As {code(base)}, but:"
        parts.append(page(f"### {code(path.stem)}", told, table(HEADER, changed)))
    return "\n".join(parts)


def published() -> str:
    """The protocols of other projects beside the default: every field in which any two of them differ."""
    names = (MAIN, *PUBLISHED)
    stated = {name: configs.load(FOLDER / f"{name}.yaml") for name in names}
    left_out = (*LABELS, "version", "by")
    fields = [field for choice in choices(FOLDER / f"{MAIN}.yaml", left_out) for field, _ in choice.fields]
    rows = [[code(field), *(_said(field, stated[name]) for name in names)] for field in fields]
    differing = [row for row in rows if len(set(row[1:])) > 1]
    alike = [row[0] for row in rows if row not in differing]
    return page(table(["field", *map(code, names)], differing), f"The same in all: {', '.join(alike)}.")


def _said(field: str, protocol: Mapping[str, Any]) -> str:
    """A field's value, and what it is elsewhere by task or dataset."""
    differing = {where: own[field] for where, own in protocol["by"].items() if field in own}
    return "; ".join((_short(protocol[field]), *(f"{_short(own)} ({where})" for where, own in differing.items())))


def _short(value: object) -> str:
    """A value in few words: options of an encoder only where they aren't its file's."""
    if isinstance(value, Mapping) and "op" in value:
        return str(value["op"]).replace("_", " ")
    if isinstance(value, Mapping):
        told = (
            f"{key}: {_changed(key, one)}" if isinstance(one, Mapping) else f"{key} {_short(one)}"
            for key, one in value.items()
        )
        return ", ".join(told) or "none"
    if isinstance(value, list) and len(value) > 8:
        return f"{_short(value[0])} to {_short(value[-1])}, {len(value)} values"
    if isinstance(value, list):
        return ", ".join(map(_short, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def _changed(adapter: str, options: Mapping[str, object]) -> str:
    ours = encoders.card(adapter).options
    differing = {key: value for key, value in options.items() if ours.get(key) != value}
    return ", ".join(f"{key} {value or 'none'}" for key, value in differing.items()) or "as its file"


def executor(name: str) -> str:
    """The options of `configs/executor/NAME.yaml`."""
    path = configs.ROOT / "executor" / f"{name}.yaml"
    rows = [choice.row("executor.") for choice in choices(path, (*LABELS, "kind"))]
    return table(["option", "default", "meaning"], rows)


def _of_the_head(field: str) -> str:
    """What the file's head comment says of a field."""
    _, said = head_comment(FOLDER / f"{MAIN}.yaml")
    return next(one for one in re.split(r"(?<=\.) ", said) if one.startswith(code(field)))
