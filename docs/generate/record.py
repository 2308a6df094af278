"""A record, field by field: `python -m docs.generate.record > docs/record.md`, from the docstrings of its dataclasses.

`fields` turns the `Attributes` of any dataclass into rows of a table.
"""

import dataclasses
import functools
import inspect
import operator
import re
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from benchmark.data.input_card import InputCard, InputChannel
from benchmark.grid.cells import Cell
from benchmark.membership import AxisPoint, Membership
from benchmark.records import Cost, Interval, Provenance, Record, Run, Score
from benchmark.scoring.packed import Packed
from docs.generate.markdown import code, codes, page, sentence, table

PARTS: dict[str, type[Any]] = {
    "Record": Record,
    "run": Run,
    "score": Score,
    "score.interval": Interval,
    "input_card": InputCard,
    "input_card.channels, each": InputChannel,
    "cost": Cost,
    "provenance": Provenance,
    "provenance.config": Cell,
    "experiments, each": Membership,
    "experiments.points, each": AxisPoint,
}
"""The dataclasses of a record by where they stand in it."""
FOLDER = {
    "records/KEY.json": "a record; KEY is that of its run",
    "predictions/KEY.npz": "the predictions its score was computed from",
    "errors/TITLE-DIGITS.json": "why a cell has no record (`benchmark.grid.failures.Failure`); gone once it has one",
    "pictures/DATASET-DIGITS.npz": "a few test images of each dataset (`benchmark.pictures.examples`), for the page",
    "pictures/KEY.npz": "what a trained fuser looked at (`benchmark.pictures.interpretation`), no part of any number",
    "pictures/features-*.npz, pictures/attention-*.npz": "arrays of `preview --features` and `--attention`",
    "preview/*.png": "what `preview` showed",
    "index.html": "the page for the browser, made of the records",
    "leaderboard*.csv, leaderboard.md, leaderboard.tex": "their tables",
    "geobench_results.csv": "in GEO-Bench's own columns, where any of its datasets has a record",
    "figures/": "figures by `report`",
    "reproduction_*": "a paper's cells beside the records, by `report --reproduce`",
    "jobs/, tensorboard/": "logs of the executor `slurm`; of the tracker `tensorboard`",
    ".lock": "held while a record or report is written",
}
"""What lies in a results folder, by path. Records, predictions and pictures are measured; tables, page and figures are
made of them anew."""
PREDICTIONS: dict[str, dict[str, str]] = {
    "classification": {
        "scores": "(N, K) float32: probability of each class, by the fit that is reported",
        "labels": "(N,) the true class; (N, K) of 0 and 1 for several labels",
    },
    "segmentation": {
        "masks": "(N, H, W) uint8: predicted classes, on the grid of the protocol's `label_size`",
        "confusions": "(N, K, K): pixels of each image by [truth, prediction]",
    },
    "both": {
        "groups": "(N,) whole numbers: images of one group count as one observation",
        "samples": "(N,) text: names of the test images, each once",
    },
}
"""The arrays of a predictions file by task: N test images, K classes. `verify` checks them
(`scoring.consistency`)."""
COMMAND = "python -m docs.generate.record > docs/record.md"


def record_page() -> str:
    """The whole page."""
    arrays = [[code(name), task, sentence(what)] for task, held in PREDICTIONS.items() for name, what in held.items()]
    text = page(
        "# A record, field by field",
        f"<!-- Generated: {COMMAND} -->",
        "A run leaves one JSON file, the record, and its predictions beside it.\n"
        "[What a number means](leaderboards.md) stands apart; [in Python](library.md) a `Record` has the same fields.",
        "## What lies in a results folder",
        table(["path", "what"], [[codes(path.split(", ")), sentence(what)] for path, what in FOLDER.items()]),
        "## predictions/KEY.npz",
        "N test images, K classes; `numpy.load` reads it.",
        table(["array", "task", "what"], arrays),
        *(part(where, cls) for where, cls in PARTS.items()),
    )
    # Columns that are aligned would all change with one field.
    return re.sub(r" +\|", " |", re.sub(r"-{3,}\|", "---|", text))


def part(where: str, cls: type[Any]) -> str:
    """A dataclass as a section."""
    heading = "## records/KEY.json" if cls is Record else f"## {where}"
    return page(heading, _plain(_said(cls)[0]), table(["field", "type", "what"], fields(cls)))


def fields(cls: type[Any]) -> list[list[str]]:
    """A dataclass's fields: names, types, and what its docstring says; fields that it describes together share a row.

    Raises:
        KeyError: a field that `Attributes` doesn't describe, or one that isn't there.
    """
    kinds = {one.name: _kind(one) for one in dataclasses.fields(cls)}
    rows = dict[str, list[str]]()
    for names, text in entries(cls):
        rows[names[0]] = ["<br>".join(map(code, names)), "<br>".join(kinds.pop(name) for name in names), sentence(text)]
    if kinds:
        raise KeyError(f"{cls.__name__}: its docstring doesn't describe {', '.join(kinds)}; add them to Attributes")
    order = [one.name for one in dataclasses.fields(cls)]
    return [rows[name] for name in sorted(rows, key=order.index)]


def entries(cls: type[Any]) -> list[tuple[list[str], str]]:
    """(names, text) of each entry of a docstring's `Attributes`; an entry begins where the section's lines do."""
    blocks = re.split(r"\n(?=\w)", _said(cls)[1])
    split = (re.match(r"([\w, ]+?): (.*)", _plain(block)) for block in blocks if block.strip())
    return [(one[1].split(", "), one[2]) for one in split if one]


def _said(cls: type[Any]) -> tuple[str, str]:
    """What a docstring says first, and its `Attributes`, without their indent."""
    head, _, rest = (inspect.getdoc(cls) or "").partition("\n\nAttributes:\n")
    return head, inspect.cleandoc(rest) if rest else ""


def _kind(field: "dataclasses.Field[Any]") -> str:
    """A field's type as code, without its bounds; what is packed in the file as it is packed there."""
    if field.type is Packed:
        return "packed numbers"
    kind = _unbound(field.type)
    text = kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
    return " or ".join(code(one) for one in re.sub(r"\b[a-z_]+\.(?:[a-z_]+\.)*", "", text).split(" | "))


def _unbound(kind: Any) -> Any:
    """A type without what `Annotated` says of it and of its parts."""
    if get_origin(kind) is Annotated:
        return _unbound(get_args(kind)[0])
    if get_origin(kind) in (None, Literal):
        return kind
    parts = tuple(map(_unbound, get_args(kind)))
    return functools.reduce(operator.or_, parts) if get_origin(kind) in (Union, UnionType) else get_origin(kind)[parts]


def _plain(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    print(record_page(), end="")
