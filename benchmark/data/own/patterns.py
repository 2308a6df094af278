"""Paths with words in braces: `{split}/{label}/{name}.tif` finds images and reads off what folders and names say.

A word stands for whatever text is there within one folder's or file's name, as little as fits where two words share
one; `{split}` and `{band}` for a split's or band's name alone, `*` for text that says nothing. A pattern of three parts
looks three folders deep and nowhere else.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from encoders.errors import UserError, nearest

WORDS = ("split", "label", "group", "name", "band")
SPLIT_NAMES = dict.fromkeys(("train", "training"), "train") | dict.fromkeys(("valid", "val", "validation"), "valid")
SPLIT_NAMES |= {"test": "test"}
"""What folders and tables call splits, in small letters, and what they are here."""


@dataclass(frozen=True)
class Pattern:
    """A path below some folder, parsed by `parse`.

    Attributes:
        words: of `WORDS`, that occur in it.
    """

    text: str
    words: frozenset[str]

    def fill(self, values: Mapping[str, str]) -> str:
        """The path where each word is a value."""
        return re.sub(r"\{(\w+)\}", lambda word: values[word[1]], self.text)


def parse(text: str, key: str) -> Pattern:
    """A pattern, checked.

    Args:
        key: of the YAML file, for the sentence.

    Raises:
        UserError: an unknown word, a brace that stands alone, or a path that leaves the folder.
    """
    words = re.findall(r"\{(\w+)\}", text)
    for word in words:
        if word not in WORDS:
            raise UserError(f"'{key}' has `{{{word}}}`; {nearest(word, WORDS)}")
    if set(re.sub(r"\{\w+\}", "", text)) & set("{}\\"):
        raise UserError(f"'{key}' is '{text}'; write words as `{{name}}`, folders with `/`")
    if text.startswith(("/", "~")) or (text and {"", ".", ".."} & set(text.split("/"))):
        raise UserError(f"'{key}' is '{text}'; write a path below 'files.root', which may lie anywhere")
    return Pattern(text, frozenset(words))


def find(root: Path, pattern: Pattern, bands: Sequence[str]) -> Iterator[tuple[Path, dict[str, str]]]:
    """The files below `root` that fit, sorted by path, with the value of each word.

    Args:
        bands: what `{band}` may be.
    """
    parts = [_expression(part, bands) for part in pattern.text.split("/")]
    yield from _below(root, parts, {})


def _below(
    folder: Path, parts: Sequence[re.Pattern[str]], known: dict[str, str]
) -> Iterator[tuple[Path, dict[str, str]]]:
    first, *rest = parts
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror}); check the folder") from None
    for entry in entries:
        match = first.fullmatch(entry.name)
        said = match.groupdict() if match else {}
        if match is None or any(known.get(word, value) != value for word, value in said.items()):
            continue
        if rest and entry.is_dir():
            yield from _below(folder / entry.name, rest, known | said)
        elif not rest and entry.is_file():
            yield folder / entry.name, known | said


def _one_of(texts: Iterable[str]) -> str:
    return "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))


def _expression(part: str, bands: Sequence[str]) -> re.Pattern[str]:
    """What a folder's or file's name must be."""
    found, seen = "", set[str]()
    for piece in re.split(r"(\{\w+\}|\*)", part):
        word = piece.strip("{}")
        if piece == "*":
            found += "[^/]*"
        elif not piece.startswith("{"):
            found += re.escape(piece)
        elif word in seen:
            found += f"(?P={word})"
        else:
            known = {"band": _one_of(bands), "split": f"(?i:{_one_of(SPLIT_NAMES)})"}
            found += f"(?P<{word}>{known.get(word, '[^/]+?')})"
            seen.add(word)
    return re.compile(found)
