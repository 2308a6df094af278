"""Any text for plain pdflatex: no character of it a command, and none that would stop the compiler."""

import unicodedata
from functools import lru_cache

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    '"': "''",
    "×": r"$\times$",
    "±": r"$\pm$",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "°": r"$^\circ$",
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "ß": r"\ss{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "†": r"$\dagger$",
    "≈": r"$\approx$",
    "…": r"\ldots{}",
}

_ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030a": "r",
            "\u030c": "v", "\u0327": "c", "\u0304": "=", "\u0306": "u", "\u030b": "H"}  # fmt: skip


@lru_cache(1 << 16)
def escape(text: str) -> str:
    """Text for LaTeX, no character of it a command; a script that plain pdflatex lacks becomes '?'."""
    return "".join(_escape_one(character) for character in unicodedata.normalize("NFC", " ".join(text.split())))


def _escape_one(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii():
        return character if character.isprintable() else ""
    base, *marks = list(unicodedata.normalize("NFD", character))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        dotless = {"i": r"\i{}", "j": r"\j{}"}.get(base, base) if marks[0] != "\u0327" else base
        return rf"\{_ACCENTS[marks[0]]}{{{dotless}}}"
    return "?"
