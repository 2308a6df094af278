"""Figures for papers and talks: PNG and PDF of every table's numbers and of the pictures kept beside the records.

`figures/index.md` says what each one shows, and of what: a caption to begin with.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.atomic import write_atomically
from benchmark.pictures import files
from encoders.errors import UserError
from reports import experiments
from reports.figures import charts, classes, examples, fusers, looks, style
from reports.figures.details import Details
from reports.figures.fonts import figure_font
from reports.figures.style import label
from reports.table import Row, Table

if TYPE_CHECKING:
    from reports.merging import Merged

FOLDER = "figures"
INDEX = "index.md"


@dataclass(frozen=True)
class Drawn:
    """A figure with its name and caption; `made` is None where there is nothing to draw."""

    name: str
    made: Any
    caption: str


def write(merged: "Merged", tables: Sequence[Table], folder: Path) -> list[Path]:
    """Draw everything into `<folder>/figures/`, each file atomically.

    Args:
        tables: of the merged records.

    Returns:
        The paths, the index first.

    Raises:
        UserError: a predictions or pictures file is damaged.
    """
    import matplotlib as mpl

    paths, lines = [], ["# Figures", ""]
    with figure_font() as family, mpl.rc_context(style.RC | {"font.family": family}):
        for drawn in _all(merged, tables):
            if drawn.made is not None:
                paths += style.save(drawn.made, folder / FOLDER, drawn.name)
                lines.append(f"- `{drawn.name}`: {drawn.caption}")
    return [write_atomically(folder / FOLDER / INDEX, "\n".join([*lines, ""]).encode()), *paths]


def draw_looks(path: Path, output: Path) -> Path:
    """Draw one file of `evaluate.py preview` into `<output>/figures/`; returns the PNG's path.

    Raises:
        UserError: the file is damaged.
    """
    import matplotlib as mpl

    with figure_font() as family, mpl.rc_context(style.RC | {"font.family": family}):
        drawn = _look(path)
        return style.save(drawn.made, output / FOLDER, drawn.name)[0]


def _all(merged: "Merged", tables: Sequence[Table]) -> Iterator[Drawn]:
    details, seen = Details(merged.folders), style.looks(tables)
    whole = [table for table in tables if charts.fraction_of(table.settings["partition"]) is None]
    for table, name in zip(whole, _slugs(whole), strict=True):
        yield from _of_table(table, name, details, seen)
    found = charts.curves(tables)
    named = _unique([f"fractions-{one.kind.lower()}-{_slug(next(iter(one.tables.values()))[0])}" for one in found])
    for one, name in zip(found, named, strict=True):
        table = next(iter(one.tables.values()))[0]
        shared = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in table.settings.items()
                           if value and name != "partition")  # fmt: skip
        what = f"Score by label fraction ({one.kind}); bars are intervals, or the range of draws. {shared}."
        yield Drawn(name, charts.fractions(one, seen), what)
    for shown in experiments.shown(merged.records):
        yield from _of_experiment(shown)
    for path in sorted({path for folder in set(merged.folders.values()) for path in _previews(folder)}):
        yield _look(path)


def _of_experiment(one: experiments.Shown) -> Iterator[Drawn]:
    """A curve, where its columns lie on an axis of numbers."""
    by_value = {one.values[name]: found for name, found in one.by_column.items() if name in one.values}
    if len(by_value) > 1:
        by_value = dict(sorted(by_value.items()))
        drawn = charts.Curves(one.title, by_value, one.columns, 1, charts.is_spread(list(by_value)))
        seen = style.looks(table for found in by_value.values() for table in found)
        what = f"{one.title}: score by {one.columns}; bars are intervals, or the range of draws. {one.settings}."
        yield Drawn(f"experiment-{_plain(one.name)}", charts.fractions(drawn, seen), what)


def _of_table(table: Table, name: str, details: Details, seen: style.Looks) -> Iterator[Drawn]:
    of = f"{table.title}. † random weights."
    yield Drawn(f"scores-{name}", charts.bars(table, seen), f"Score and 95 % interval; paler: not ranked. {of}")
    if table.settings["band_names"] != "corrected":
        return  # kept to repeat published numbers, and told apart by them alone
    more = "Score against cost, with the front of rows that none beats in both; dashed: floors without a network."
    yield Drawn(f"cost-{name}", charts.cost(table, seen), f"{more} {of}")
    first = {
        column: next(row.cells[column].keys[0] for row in table.rows if column in row.cells) for column in table.columns
    }
    named = {column: details.classes(key) for column, key in first.items()}
    caption = f"Scores by class of the first {classes.LINES} rows, seeds added up. {of}"
    yield Drawn(f"classes-{name}", classes.by_class(table, details, named, seen), caption)
    caption = f"Calibration of the first {classes.LINES} rows, seeds added up. {of}"
    yield Drawn(f"calibration-{name}", classes.calibration(table, details, seen), caption)
    for column in table.columns:
        made = classes.confusions(table, column, details, named[column])
        caption = f"Confusion of the first {classes.MATRICES} rows on {column}, seeds added up. {of}"
        yield Drawn(f"confusion-{_plain(column)}-{name}", made, caption)
        made = _examples(table, column, first[column], details)
        caption = f"Test images of {column}, chosen by their labels, with predictions of the first {examples.ROWS} rows"
        yield Drawn(f"examples-{_plain(column)}-{name}", made, f"{caption} (first seed). {of}")
    for row in table.rows:
        yield from _of_fuser(row, name, details, of)


def _examples(table: Table, column: str, key: str, details: Details) -> Any:
    shown = details.examples(key)
    if shown is None:
        return None
    rows = [row for row in table.rows if column in row.cells][: examples.ROWS]
    loaded = [(row, details.predictions(row.cells[column].keys[0])) for row in rows]
    predicted = [(row, arrays) for row, arrays in loaded if arrays is not None]
    if not predicted:
        return None
    if table.settings["task"] == "segmentation":
        return examples.masks(shown, predicted, details.of(key).no_data)
    return examples.labels(shown, predicted)


def _of_fuser(row: Row, name: str, details: Details, of: str) -> Iterator[Drawn]:
    found: dict[str, dict[str, Any]] = {}
    for column, cell in row.cells.items():
        seeds = [arrays for key in cell.keys if (arrays := details.seen(key)) is not None]
        if seeds:
            found[column] = fusers.averaged(seeds)
    if not found:
        return
    kind, slug = str(next(iter(found.values()))["kind"]), f"{_plain(label(row))}-{name}"
    if kind == "moe":
        yield Drawn(f"experts-{slug}", fusers.experts(found), f"Experts asked by {label(row)}. {of}")
        return
    what = "Weights, one for all images" if kind == "gw" else "Gates, averaged over pixels and test images"
    yield Drawn(f"weights-{slug}", fusers.weights(found), f"{what}, of {label(row)}. {of}")
    for column, arrays in found.items() if kind == "lw" else ():
        shown = details.examples(row.cells[column].keys[0])
        if shown is not None:
            caption = f"Weight of each view by pixel, of {label(row)} on {column} (first seed). {of}"
            yield Drawn(f"gates-{_plain(column)}-{slug}", fusers.gates(arrays, shown["images"]), caption)


def _previews(folder: Path) -> list[Path]:
    return [path for kind in ("features", "attention") for path in (folder / files.FOLDER).glob(f"{kind}-*.npz")]


def _look(path: Path) -> Drawn:
    arrays = files.read(path)
    if arrays is None:
        raise UserError(f"{path}: is not there any more; run `evaluate.py preview` again")
    encoder, dataset = str(arrays["encoder"]), str(arrays["dataset"])
    if path.name.startswith("features-"):
        caption = f"First three principal components of {encoder}'s features on training images of {dataset}, by scale."
        return Drawn(path.stem, looks.features(arrays), caption)
    caption = f"What {encoder}'s self-attention looks at from the marked points, on training images of {dataset}."
    return Drawn(path.stem, looks.attention(arrays), caption)


def _slugs(tables: Sequence[Table]) -> list[str]:
    return _unique([_slug(table) for table in tables])


def _unique(names: Sequence[str]) -> list[str]:
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
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-")
