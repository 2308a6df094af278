"""Commands as the documentation has them: found in README, CONTRIBUTING and every page, with how each is to be tried.

A block of commands is run as it stands, in its page's order, in one folder a page. A comment on the line before says
otherwise:

    <!-- long -->                    with SATDIFUSER_BENCH_LONG=1 alone, as in .ci/full
    <!-- run by .ci/run -->          that script (or .ci/full) holds the command, or that test runs the page's blocks
    <!-- not run: needs weights -->  with the reason; what of it can be checked without running is

A block of code that begins with `# name.py` or `# name.yaml` is that file. A block marked `text` after commands holds
lines of their output: words as printed, `...` for anything, numbers within `NEAR`.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
NEAR = 5.0
"""How far a printed number may be from the documented one: another machine's last bits move a prediction or two."""
SHELLS = ("sh", "bash", "shell", "console")
COMMAND = re.compile(r"(?:\w+=\S+ )*(?:uv |pip |pytest|export |python |\.ci/|mkdocs |git )")
MARK = re.compile(r"<!-- (long|run by [\w./]+|not run: .+?) -->")
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]+\b(?!=)")
FILE = re.compile(r"# ([\w.-]+\.(?:py|ya?ml))\n")
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?![\w.])")


@dataclass
class Block:
    """Commands that stand together.

    Attributes:
        line: of the first, from 1.
        how: `run`, `long`, `run by SCRIPT` or `not run: REASON`.
        output: documented lines of what they print.
    """

    page: str
    line: int
    commands: list[str]
    how: str = "run"
    output: list[str] = field(default_factory=list)

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.page}:{self.line}"


@dataclass
class Page:
    """A Markdown file: its blocks of commands, its files, and commands within sentences."""

    name: str
    blocks: list[Block]
    files: dict[str, str]
    inline: list[tuple[int, str]]


def pages(folder: Path = ROOT) -> list[Path]:
    """Every written page: README, CONTRIBUTING and the like in the root, and docs/."""
    return sorted([*folder.glob("*.md"), *(folder / "docs").rglob("*.md")])


def read(path: Path) -> Page:
    """A page of the repository."""
    return parse(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Page:
    """A page from its Markdown."""
    page = Page(name, [], {}, [])
    mark, before = "run", None
    for line, kind, content in _pieces(text):
        commands = _commands(content) if kind in (*SHELLS, "indented") else []
        if kind == "comment":
            mark = found[1] if (found := MARK.fullmatch(content.strip())) else mark
            continue
        if commands:
            before = Block(name, line, commands, mark)
            page.blocks.append(before)
        elif kind == "text" and before is not None:
            before.output = [one for one in content.splitlines() if one.strip()]
        else:
            before = None
            if kind == "prose":
                page.inline += [(line, one) for one in re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", content)]
            elif file := FILE.match(content):
                page.files[file[1]] = content
        mark = "run"
    return page


def missing(expected: list[str], printed: str) -> list[str]:
    """The documented lines that do not follow one another in what was printed."""
    lines = iter([_plain(line) for line in printed.splitlines()])
    return [line for line in expected if not any(_alike(_plain(line), one) for one in lines)]


def _alike(expected: str, printed: str) -> bool:
    pattern = r".*".join(re.escape(NUMBER.sub("#", part)) for part in re.split(r"\s*\.\.\.\s*", expected))
    if not re.fullmatch(pattern, NUMBER.sub("#", printed)):
        return False
    wanted, given = NUMBER.findall(expected), NUMBER.findall(printed)
    return "..." in expected or all(abs(float(a) - float(b)) <= NEAR for a, b in zip(wanted, given, strict=True))


def _plain(line: str) -> str:
    return " ".join(line.split())


def _commands(content: str) -> list[str]:
    joined = content.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if COMMAND.match(line.strip())]


def _pieces(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, kind, content): fenced blocks by their language, indented blocks, comments, and prose between."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        start, line = number, lines[number]
        if fence := re.match(r"(\s*)```(\w*)", line):
            end = next(n for n in range(start + 1, len(lines)) if lines[n].strip() == "```")
            inner = [one[len(fence[1]) :] for one in lines[start + 1 : end]]
            yield start + 2, fence[2] or "plain", "\n".join(inner) + "\n"
            number = end + 1
        elif line.startswith("<!--"):
            yield start + 1, "comment", line
            number += 1
        elif line.startswith("    "):
            number = next((n for n in range(start, len(lines)) if not lines[n].startswith("    ")), len(lines))
            yield start + 1, "indented", "\n".join(lines[start:number]) + "\n"
        elif line.strip():
            stops = ("    ", "<!--", "```")
            number = next(
                (n for n in range(start + 1, len(lines)) if not lines[n].strip() or lines[n].startswith(stops[1:])),
                len(lines),
            )
            yield start + 1, "prose", "\n".join(lines[start:number])
        else:
            number += 1


def arguments(command: str) -> list[str] | None:
    """The arguments that `evaluate.py` gets from a command; None for other programs."""
    words = shlex.split(command)
    return words[words.index("evaluate.py") + 1 :] if "evaluate.py" in words else None
