"""YAML files whose comments are documentation: each field with the comment that stands above it."""

import re
from dataclasses import dataclass
from pathlib import Path

from docs.generate.markdown import code, sentence

SECTION = "# ---"


@dataclass(frozen=True)
class Choice:
    """Fields that share a comment.

    Attributes:
        section: the `# --- heading` above them in the file; empty before the first.
        fields: (name, value) as the file has them.
    """

    section: str
    fields: tuple[tuple[str, str], ...]
    reason: str

    def row(self, prefix: str = "") -> list[str]:
        """Names, values and reason, as cells of a table."""
        names, values = zip(*self.fields, strict=True)
        shown = ["<br>".join(code(prefix + name) for name in names), "<br>".join(map(code, values))]
        return [*shown, sentence(self.reason) if self.reason else ""]


def choices(path: Path, leave_out: tuple[str, ...] = ()) -> list[Choice]:
    """What a flat YAML file sets, in its order; a field without a comment of its own shares that of the field above.

    Args:
        leave_out: fields that are no choice, such as the name.

    Raises:
        ValueError: a line that is neither a field nor a comment.
    """
    section, comment, found = "", list[str](), list[Choice]()
    pending = in_skipped = False
    for line in _body(path):
        if line.startswith(SECTION):
            section, comment, pending, in_skipped = line.removeprefix(SECTION).strip(), [], True, False
        elif line.startswith("#"):
            comment = [*(comment if pending else []), line.removeprefix("#").strip()]
            pending = True
        elif field := re.match(r"(\w+):(.*)", line):
            in_skipped = field[1] in (*leave_out, "defaults")
            if in_skipped:
                continue
            one = (field[1], field[2].strip())
            if pending or not found:
                found.append(Choice(section, (one,), " ".join(comment)))
            else:
                found[-1] = Choice(found[-1].section, (*found[-1].fields, one), found[-1].reason)
            pending = False
        elif line.strip() and not in_skipped:
            raise ValueError(f"{path}: '{line}' is neither a field nor a comment")
    return found


def _body(path: Path) -> list[str]:
    """The file's lines after its head comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return lines[next(number for number, line in enumerate(lines) if not line.startswith("#")) :]
