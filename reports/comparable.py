"""Which records can't be compared, and why: the sets `reports.tables` makes tables of, and what sets them apart."""

from collections import defaultdict
from collections.abc import Iterable

from benchmark.records import Record
from reports.tables import column_names, settings_of


def apart(records: Iterable[Record]) -> tuple[list[str], list[list[str]]]:
    """Sets of records that share no table, a row each, with the settings that differ between any two of them.

    Within a set, the columns of a dataset that holds several metrics or data contents are named, as they don't
    compare either.

    Returns:
        Header and rows; no rows where every record compares with every other of its dataset.
    """
    sets: dict[tuple[tuple[str, str], ...], list[Record]] = defaultdict(list)
    for record in records:
        sets[tuple(settings_of(record).items())].append(record)
    order = sorted(sets)
    settings = [dict(one) for one in order]
    varying = [name for name in settings[0] if len({one[name] for one in settings}) > 1] if settings else []
    split = [_split_columns(sets[one]) for one in order]
    if len(order) < 2 and not any(split):
        return [], []
    rows = [
        [str(number), str(len(sets[one])), *(dict(one)[name] or "-" for name in varying), columns]
        for number, (one, columns) in enumerate(zip(order, split, strict=True), start=1)
    ]
    return ["set", "records", *(name.replace("_", " ") for name in varying), "columns of one dataset"], rows


def _split_columns(records: list[Record]) -> str:
    """The columns of datasets that have more than one; empty where each has its own."""
    names = column_names(records)
    named: dict[str, set[str]] = defaultdict(set)
    for record in records:
        named[record.run.dataset].add(names[record.key])
    return "; ".join(column for columns in named.values() if len(columns) > 1 for column in sorted(columns))
