"""The CSV file of a dataset of one's own: one row a sample, with what the paths of its images don't say."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from encoders.errors import UserError, nearest

MAX_BYTES = 256 << 20
"""A larger table is refused unread."""
USUAL = ("name", "label", "split", "group")


@dataclass(frozen=True)
class Table:
    """A table, read.

    Attributes:
        rows: by sample name, the value of each column by what it is for (`USUAL`); `line` is the row's in the file.
        columns: what the table has a column for.
        hot: names of classes that have a column of zeros and ones each, where there is no column of labels.
    """

    path: Path
    rows: Mapping[str, Mapping[str, str]]
    columns: frozenset[str]
    hot: tuple[str, ...] = ()

    def where(self, name: str) -> str:
        """The row of a sample, as the beginning of a sentence."""
        return f"{self.path}, line {self.rows[name]['line']}"


def read(path: Path, columns: Mapping[str, str], classes: Sequence[str]) -> Table:
    """Read a table.

    Args:
        columns: the table's own names for some of `USUAL`.
        classes: that may each have a column of zeros and ones.

    Raises:
        UserError: no such file, no CSV, a column that is missing, a row that is too short, or a name twice.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES} bytes; is it the right file?")
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [
                (reader.line_num, row) for reader in [csv.reader(file, strict=True)] for row in reader if row
            ]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); correct 'files.table', which names it") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is no CSV file in UTF-8 ({error}); save it as one") from None
    except ValueError:
        raise UserError(f"{path}: is empty; write its columns' names in the first line") from None
    return _table(path, header[1], rows, columns, classes)


def _table(
    path: Path,
    header: Sequence[str],
    rows: Sequence[tuple[int, Sequence[str]]],
    columns: Mapping[str, str],
    classes: Sequence[str],
) -> Table:
    titles = [title.strip() for title in header]
    asked = {word: columns.get(word, word) for word in USUAL}
    for word, title in asked.items():
        if title not in titles and (word == "name" or word in columns):
            raise UserError(f"{path}: has no column '{title}'; {nearest(title, titles)} ('files.columns' names them)")
        if titles.count(title) > 1:
            raise UserError(f"{path}: has the column '{title}' twice; name one of them otherwise")
    places = {word: titles.index(title) for word, title in asked.items() if title in titles}
    hot = tuple(classes) if "label" not in places and classes and set(classes) <= set(titles) else ()
    places |= {f"is {name}": titles.index(name) for name in hot}
    found: dict[str, dict[str, str]] = {}
    for line, row in rows:
        if len(row) != len(titles):
            raise UserError(
                f"{path}, line {line}: has {len(row)} values, there are {len(titles)} columns; give each its own"
            )
        values = {word: row[place].strip() for word, place in places.items()}
        name = values["name"]
        if name in found:
            raise UserError(
                f"{path}, line {line}: names '{name}' again, as line {found[name]['line']} does; name each once"
            )
        found[name] = values | {"line": str(line)}
    return Table(path, found, frozenset(places) & frozenset(USUAL), hot)
