"""Markdown in pieces, and comments of YAML files as text: what every generated page is put together of."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import tabulate


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a `|` in a cell is text, whatever stands around it."""
    cells = [[cell.replace("|", "&#124;") for cell in row] for row in rows]
    return tabulate.tabulate(cells, header, tablefmt="pipe", disable_numparse=True)


def code(text: object) -> str:
    """As code; `-` for nothing."""
    return f"`{text}`" if str(text) else "-"


def codes(names: Iterable[object]) -> str:
    """Names as code, in a sentence; `-` for none."""
    return ", ".join(code(name) for name in names) or "-"


def bullets(lines: Iterable[str]) -> str:
    """A list, each line begun with a capital letter unless it names something."""
    return "\n".join(f"- {sentence(line)}" for line in lines)


def sentence(text: str) -> str:
    """A clause as a sentence; names that begin small (m-eurosat, k, null) stay as they are."""
    first = text.split(maxsplit=1)[0].rstrip(",:;")
    is_word = first == "a" or (len(first) > 1 and first.isalpha() and first != "null")
    begun = text[0].upper() + text[1:] if is_word else text
    return begun if begun.endswith((".", "!", "?")) else f"{begun}."


def page(*parts: str) -> str:
    """Blocks of a page, empty ones left out."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def shell(*commands: str) -> str:
    """Commands as a block to copy."""
    return "```sh\n" + "\n".join(commands) + "\n```"


def head_comment(path: Path) -> tuple[str, str]:
    """The command in a config file's first line, and what its head comment says besides."""
    lines = path.read_text(encoding="utf-8").splitlines()
    count = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    command, *said = [line.removeprefix("#").strip() for line in lines[:count]]
    return command, " ".join(said)


def link_arxiv(text: str) -> str:
    """`arXiv 2311.00566` as a link."""
    return re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)
