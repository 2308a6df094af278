"""What figures there are: of each table, of label fractions, of what `evaluate.py preview` made; none is drawn here."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.pictures import files
from encoders.errors import UserError
from reports.experiments import Shown
from reports.figures import charts, choice, classes, cost, examples, fusers, looks, style
from reports.figures.details import Details
from reports.figures.style import label
from reports.table import Row, Table

PREVIEWS = -1
"""Instead of a table's number: of pictures that show an encoder and no score."""
LONGEST = 40
"""Characters that a name gives to a file's: the whole may have some 200, of three names and a table's settings."""


@dataclass(frozen=True)
class Figure:
    """A figure with its name and caption; `made` is None where there is nothing to draw."""

    name: str
    made: Any
    caption: str


@dataclass(frozen=True)
class Task:
    """Figures that are drawn together.

    Attributes:
        draw: reads what it needs, and gives them.
        page: number of the table beside which the page shows them too (pictures, which it can't draw itself).
    """

    draw: Callable[[], Iterable[Figure]]
    page: int | None = None


def tasks(folders: Mapping[str, Path], tables: Sequence[Table], experiments: Sequence[Shown]) -> Iterator[Task]:
    """All figures of a report, the same ones in the same order for the same records.

    Args:
        folders: of each record, by its key.
    """
    details, seen = Details(folders), style.looks(tables)
    whole = [number for number, table in enumerate(tables) if charts.fraction_of(table.settings["partition"]) is None]
    for number, name in zip(whole, _slugs([tables[number] for number in whole]), strict=True):
        yield from _of_table(number, tables[number], name, details, seen)
    found = charts.curves(tables)
    named = unique([f"fractions-{one.kind.lower()}-{_slug(next(iter(one.tables.values()))[0])}" for one in found])
    for one, name in zip(found, named, strict=True):
        yield Task(partial(_fractions, one, name, seen))
    for shown in experiments:
        yield Task(partial(_of_experiment, shown))
    for path in sorted({path for folder in set(folders.values()) for path in _previews(folder)}):
        yield Task(partial(_looked, path), PREVIEWS)


def _of_table(number: int, table: Table, name: str, details: Details, seen: style.Looks) -> Iterator[Task]:
    yield Task(partial(_scores, table, name, seen))
    if table.settings["band_names"] != "corrected":
        return  # kept to repeat published numbers, and told apart by them alone
    yield Task(partial(_cost, table, name, seen))
    yield Task(partial(_by_class, table, name, details, seen))
    yield Task(partial(_calibration, table, name, details, seen))
    for column in table.columns:
        yield Task(partial(_confusions, table, column, name, details))
        yield Task(partial(_examples, table, column, name, details), number)
    for row in table.rows:
        if row.fusion != "none":
            yield Task(partial(_of_fuser, row, name, details, _of(table)), number)


def _of(table: Table) -> str:
    return f"{table.title}. † random weights."


def _scores(table: Table, name: str, seen: style.Looks) -> Iterator[Figure]:
    caption = f"Score and 95 % interval{choice.first_in_words(table)}; paler: not ranked. {_of(table)}"
    yield Figure(f"scores-{name}", charts.bars(table, seen), caption)


def _cost(table: Table, name: str, seen: style.Looks) -> Iterator[Figure]:
    shown = cost.compared(table)
    if shown is not None:
        yield Figure(f"cost-{name}", cost.draw(shown, seen), f"{shown.caption} {_of(table)}")


def _first(table: Table, column: str) -> str:
    """The key of the first record of a dataset, for what all its records share."""
    return next(row.cells[column].keys[0] for row in table.rows if column in row.cells)


def _by_class(table: Table, name: str, details: Details, seen: style.Looks) -> Iterator[Figure]:
    named = {column: details.classes(_first(table, column)) for column in table.columns}
    which = choice.best_in_words(table, table.columns, classes.LINES)
    caption = f"Scores by class, seeds added up{which}. {_of(table)}"
    yield Figure(f"classes-{name}", classes.by_class(table, details, named, seen), caption)


def _calibration(table: Table, name: str, details: Details, seen: style.Looks) -> Iterator[Figure]:
    which = choice.best_in_words(table, table.columns, classes.LINES)
    caption = f"Calibration, seeds added up{which}. {_of(table)}"
    yield Figure(f"calibration-{name}", classes.calibration(table, details, seen), caption)


def _confusions(table: Table, column: str, name: str, details: Details) -> Iterator[Figure]:
    made = classes.confusions(table, column, details, details.classes(_first(table, column)))
    which = choice.best_in_words(table, [column], classes.MATRICES)
    caption = f"Confusion on {column}, seeds added up{which}. {_of(table)}"
    yield Figure(f"confusion-{_plain(column)}-{name}", made, caption)


def _examples(table: Table, column: str, name: str, details: Details) -> Iterator[Figure]:
    made = _shown(table, column, _first(table, column), details)
    which = choice.best_in_words(table, [column], examples.ROWS)
    caption = f"Test images of {column}, chosen by their labels, with predictions of first seeds{which}. {_of(table)}"
    yield Figure(f"examples-{_plain(column)}-{name}", made, caption)


def _shown(table: Table, column: str, key: str, details: Details) -> Any:
    shown = details.examples(key)
    if shown is None:
        return None
    rows = choice.best(table, [column], examples.ROWS)
    loaded = [(row, details.predictions(row.cells[column].keys[0])) for row in rows]
    predicted = [(row, arrays) for row, arrays in loaded if arrays is not None]
    if not predicted:
        return None
    if table.settings["task"] == "segmentation":
        return examples.masks(shown, predicted, details.of(key).no_data)
    return examples.labels(shown, predicted)


def _of_fuser(row: Row, name: str, details: Details, of: str) -> Iterator[Figure]:
    found: dict[str, dict[str, Any]] = {}
    for column, cell in row.cells.items():
        seeds = [arrays for key in cell.keys if (arrays := details.seen(key)) is not None]
        if seeds:
            found[column] = fusers.averaged(seeds)
    if not found:
        return
    kind, slug = str(next(iter(found.values()))["kind"]), f"{_plain(f'{row.title} {row.fusion}')}-{name}"
    if kind == "moe":
        yield Figure(f"experts-{slug}", fusers.experts(found), f"Experts asked by {label(row)}. {fusers.EXPERTS} {of}")
        return
    what = "Weights, one for all images" if kind == "gw" else "Gates, averaged over pixels and test images"
    letters = fusers.legend(next(iter(found.values())))
    yield Figure(f"weights-{slug}", fusers.weights(found), f"{what}, of {label(row)}. {letters} {of}")
    for column, arrays in found.items() if kind == "lw" else ():
        shown = details.examples(row.cells[column].keys[0])
        if shown is not None:
            what = f"Weight of each view by pixel, by scale{fusers.left_out(arrays)}"
            caption = f"{what}, of {label(row)} on {column}, first seed. {of}"
            yield Figure(f"gates-{_plain(column)}-{slug}", fusers.gates(arrays, shown["images"]), caption)


def _fractions(one: charts.Curves, name: str, seen: style.Looks) -> Iterator[Figure]:
    settings = next(iter(one.tables.values()))[0].settings
    shared = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in settings.items() if value and name != "partition"
    )
    what = f"Score by label fraction ({one.kind}){_of_curves(one)}; bars: {one.bars}. {shared}."
    yield Figure(name, charts.fractions(one, seen), what)


def _of_curves(one: charts.Curves) -> str:
    every = len(charts.curve_names(one))
    return f" of the first {charts.CURVES} of {every} rows" if every > charts.CURVES else ""


def _of_experiment(one: Shown) -> Iterator[Figure]:
    """A curve, where its columns lie on an axis of numbers."""
    by_value = {one.values[name]: found for name, found in one.by_column.items() if name in one.values}
    if len(by_value) > 1:
        by_value = dict(sorted(by_value.items()))
        drawn = charts.Curves(one.title, by_value, one.columns, 1, charts.is_spread(list(by_value)), True)
        seen = style.looks(table for found in by_value.values() for table in found)
        what = f"{one.title}: score by {one.columns}{_of_curves(drawn)}; bars: {drawn.bars}. {one.settings}."
        yield Figure(f"experiment-{_plain(one.name)}", charts.fractions(drawn, seen), what)


def _previews(folder: Path) -> list[Path]:
    return [path for kind in ("features", "attention") for path in (folder / files.FOLDER).glob(f"{kind}-*.npz")]


def _looked(path: Path) -> Iterator[Figure]:
    yield look(path)


def look(path: Path) -> Figure:
    """The figure of one file of `evaluate.py preview`.

    Raises:
        UserError: the file is damaged or gone.
    """
    arrays = files.read(path)
    if arrays is None:
        raise UserError(f"{path}: is not there any more; run `evaluate.py preview` again")
    encoder, dataset = str(arrays["encoder"]), str(arrays["dataset"])
    if path.name.startswith("features-"):
        caption = f"First three principal components of {encoder}'s features on training images of {dataset}, by scale."
        return Figure(path.stem, looks.features(arrays), caption)
    caption = (
        f"What {encoder}'s self-attention looks at from the marked points, on training images of {dataset}; "
        "each map has a scale of its own."
    )
    return Figure(path.stem, looks.attention(arrays), caption)


def _slugs(tables: Sequence[Table]) -> list[str]:
    return unique([_slug(table) for table in tables])


def unique(names: Sequence[str]) -> list[str]:
    """Names with a number where one occurs twice."""
    return [name if names.count(name) == 1 else f"{name}-{names[:at].count(name) + 1}" for at, name in enumerate(names)]


def _slug(table: Table) -> str:
    """A table's settings as a file name; label fractions, which stand in one figure, are left out."""
    settings = table.settings
    parts = [settings["task"], settings["probe"], settings["features"], settings["protocol"], settings["bands"]]
    parts += [settings["band_names"]] if settings["band_names"] != "corrected" else []
    is_fraction = charts.fraction_of(settings["partition"]) is not None
    parts += [settings["partition"]] if settings["partition"] != "default" and not is_fraction else []
    parts += [settings.get("benchmark", "")]
    return "-".join(_plain(part) for part in parts if part)


def _plain(text: str) -> str:
    """A text as part of a file name; with a few digits of a hash where that would lose letters of it."""
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-")
    if len(plain) <= LONGEST and not any(one.isalnum() and not one.isascii() for one in text):
        return plain
    return f"{plain[:LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".strip("-")
