"""The protocol as one table: every field of `configs/protocol/frozen.yaml` with the reason that stands above it there.

And, for each protocol that starts from another, the fields it changes; and the executors' options. Values and reasons
are the files' own.
"""

import re

import configs
from docs.generate.commented import choices
from docs.generate.markdown import code, head_comment, page, sentence, table

FOLDER = configs.ROOT / "protocol"
LABELS = ("name", "title")
MAIN = "frozen"
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


def executor(name: str) -> str:
    """The options of `configs/executor/NAME.yaml`."""
    path = configs.ROOT / "executor" / f"{name}.yaml"
    rows = [choice.row("executor.") for choice in choices(path, (*LABELS, "kind"))]
    return table(["option", "default", "meaning"], rows)


def _of_the_head(field: str) -> str:
    """What the file's head comment says of a field."""
    _, said = head_comment(FOLDER / f"{MAIN}.yaml")
    return next(one for one in re.split(r"(?<=\.) ", said) if one.startswith(code(field)))
