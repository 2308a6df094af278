"""What is said of rows that compete: best and second, who is not significantly worse, ranks, aggregates over datasets.

Only ranked numbers of models compete, within one fuser (a fuser of 71 million parameters says little of an encoder), or
in an ablation within one encoder.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from benchmark.scoring import ranking
from benchmark.scoring.ranking import FEWEST_GROUPS
from benchmark.scoring.statistics import percentiles
from reports import paper
from reports.table import SECTIONS, Aggregate, Array, Cell, PairedTest, Row, Within, block_of

MEAN_RANK, IMPROVEMENT, IQM = "mean rank", "P(>next)", "nIQM"
MEANINGS = {
    MEAN_RANK: "mean over datasets of the rank among the models there, 1 the best",
    IMPROVEMENT: (
        "probability of improvement over the model next in mean rank that has all of its datasets, on one of them "
        "drawn at random and over bootstrap samples (Agarwal et al. 2021)"
    ),
    IQM: (
        "interquartile mean of the datasets' seed means on GEO-Bench's scale, which is another protocol's: 0 and 1 are "
        "the worst and best of its fine-tuned baselines, in segmentation by the mIoU that leaves absent classes out"
    ),
}
FEWEST_DATASETS = 2
"""Of which a row has an aggregate: one is a score."""
WITHOUT = f", no {paper.LEAKY}"


def competing(rows: Sequence[Row], within: Within) -> list[list[int]]:
    """Positions of the rows that compete with one another, a list a set."""
    blocks: dict[str, list[int]] = defaultdict(list)
    for position, row in enumerate(rows):
        if row.section == "models":
            blocks[block_of(row, within)].append(position)
    return list(blocks.values())


def marked(
    rows: Sequence[Row], columns: Sequence[str], groups: dict[str, int], within: Within
) -> tuple[list[Row], list[PairedTest]]:
    """Rows with their cells' marks and rank intervals, and every paired test that was made for them."""
    cells = [dict(row.cells) for row in rows]
    tests: list[PairedTest] = []
    for block in competing(rows, within):
        for column in columns:
            here = [one for one in block if column in cells[one] and cells[one][column].ranked]
            if len(here) < 2:
                continue
            found = _first_and_second([cells[one][column] for one in here])
            if groups[column] >= FEWEST_GROUPS:
                found, made = _tested(found, [rows[one] for one in here], column, groups[column])
                tests += made
            for position, cell in zip(here, found, strict=True):
                cells[position][column] = cell
    return [replace(row, cells=own) for row, own in zip(rows, cells, strict=True)], tests


def _first_and_second(cells: Sequence[Cell]) -> list[Cell]:
    printed = [float(cell.percent) for cell in cells]
    best, second = (*sorted(set(printed), reverse=True), None)[:2]
    return [
        replace(cell, mark="best" if value == best else "second" if value == second else "")
        for cell, value in zip(cells, printed, strict=True)
    ]


def _tested(
    cells: Sequence[Cell], rows: Sequence[Row], column: str, groups: int
) -> tuple[list[Cell], list[PairedTest]]:
    lengths = {len(cell.samples) for cell in cells}
    if len(lengths) > 1 or 0 in lengths:
        return list(cells), []
    values, samples = np.array([cell.value for cell in cells]), np.stack([cell.samples for cell in cells])
    rivals = ranking.compare(values, samples, ranking.against_best(values), groups)
    next_to = ranking.compare(values, samples, ranking.neighbours(values), groups)
    tied = {one.worse for one in rivals if one.adjusted >= ranking.ALPHA}
    ranks = ranking.rank_intervals(samples)
    found = [
        replace(cell, tied=position in tied and cell.mark != "best", ranks=(int(low), int(high)))
        for position, (cell, (low, high)) in enumerate(zip(cells, ranks, strict=True))
    ]
    families: list[tuple[Literal["neighbours", "against the best"], list[ranking.Comparison]]]
    families = [("neighbours", next_to), ("against the best", rivals)]
    tests = [
        PairedTest(
            column, family, _label(rows[one.better]), _label(rows[one.worse]),
            one.difference, one.low, one.high, one.p, one.adjusted, one.by_tail, groups,
        )
        for family, comparisons in families for one in comparisons
    ]  # fmt: skip
    return found, tests


def _label(row: Row) -> tuple[str, str]:
    return row.title, row.fusion


def aggregated(rows: Sequence[Row], columns: Sequence[str], within: Within) -> tuple[list[Row], dict[str, str]]:
    """Rows with their aggregates over datasets, and what each aggregate is called and means."""
    sets = {"": list(columns)}
    clean = [column for column in columns if paper.dataset_of(column) != paper.LEAKY]
    if len(clean) < len(columns):
        sets[WITHOUT] = clean
    found: list[dict[str, Aggregate]] = [{} for _ in rows]
    for suffix, chosen in sets.items():
        if len(chosen) < FEWEST_DATASETS:
            continue
        for block in competing(rows, within):
            _rank_block(rows, block, chosen, suffix, found)
        _normalise(rows, chosen, suffix, found)
    named = {name for one in found for name in one}
    meanings = {name + suffix: meaning for suffix in sets for name, meaning in MEANINGS.items()}
    return (
        [replace(row, aggregates=own) for row, own in zip(rows, found, strict=True)],
        {name: meaning for name, meaning in meanings.items() if name in named},
    )


def _rank_block(
    rows: Sequence[Row], block: list[int], columns: list[str], suffix: str, found: list[dict[str, Aggregate]]
) -> None:
    known = [position for position in block if any(_ranked(rows[position], column) for column in columns)]
    if len(known) < 2:
        return
    values, samples = _stacked([rows[position] for position in known], columns)
    ranks, spread = ranking.mean_ranks(values), ranking.mean_ranks(samples)
    has = ~np.isnan(values)
    order = [int(index) for index in np.argsort(ranks, kind="stable") if has[index].sum() >= FEWEST_DATASETS]
    for place, index in enumerate(order):
        own, count = found[known[index]], int(has[index].sum())
        own[MEAN_RANK + suffix] = Aggregate(float(ranks[index]), *percentiles(spread[index]), count, len(columns))
        after = next((other for other in order[place + 1 :] if has[other][has[index]].all()), None)
        if after is not None:
            chance = ranking.probability_of_improvement(samples[index], samples[after])
            own[IMPROVEMENT + suffix] = Aggregate(chance, chance, chance, count, len(columns))


def _normalise(rows: Sequence[Row], columns: list[str], suffix: str, found: list[dict[str, Aggregate]]) -> None:
    scale = paper.normalizers(tuple(columns))
    for position, row in enumerate(rows):
        known = [column for column in columns if column in scale and _ranked(row, column)]
        if row.section == "not ranked" or len(known) < FEWEST_DATASETS:
            continue
        values, samples = _stacked([row], known)
        worst, best = (np.array([scale[column][end] for column in known]) for end in (0, 1))
        value = ranking.interquartile_mean(ranking.normalised(values[0], worst, best))
        spread = ranking.interquartile_mean(ranking.normalised(samples[0], worst[:, None], best[:, None]))
        found[position][IQM + suffix] = Aggregate(float(value), *percentiles(spread), len(known), len(columns))


def _ranked(row: Row, column: str) -> bool:
    return column in row.cells and row.cells[column].ranked


def _stacked(rows: Sequence[Row], columns: Sequence[str]) -> tuple[Array, Array]:
    """Values (R, D) and samples (R, D, S) of ranked cells, NaN elsewhere.

    Datasets of one size drew the same positions, which are different images: each dataset's samples are put in an order
    of its own, the same for all rows.
    """
    lengths = [len(cell.samples) for row in rows for cell in row.cells.values()]
    count = max([1, *lengths])
    values = np.full((len(rows), len(columns)), np.nan)
    samples = np.full((len(rows), len(columns), count), np.nan, np.float32)
    for place, column in enumerate(columns):
        order = np.random.default_rng(place).permutation(count)
        for position, row in enumerate(rows):
            if _ranked(row, column):
                cell = row.cells[column]
                values[position, place] = cell.value
                drawn = cell.samples if len(cell.samples) == count else np.full(count, cell.value)
                samples[position, place] = drawn[order]
    return values, samples


def ordered(rows: Sequence[Row], columns: Sequence[str], within: Within) -> list[Row]:
    """Rows by section; models by fuser (GW, which every encoder can have, first) or encoder; whole rows first, then by
    mean rank."""
    places: dict[int, float] = {}
    for block in competing(rows, within):
        values = np.array([[_printed(rows[one], column) for column in columns] for one in block])
        places |= dict(zip(block, ranking.mean_ranks(values), strict=True))

    def order(position: int) -> tuple[int, tuple[int, str], int, bool, float, str, str]:
        row = rows[position]
        block = (0, "") if row.section != "models" else _block_order(row, within)
        missing = len(columns) - len(row.cells)
        # Where there are mean ranks, a row with one ranked score comes behind those that have one.
        mean = row.aggregates.get(MEAN_RANK)
        place = places.get(position, 0.0) if mean is None else mean.value
        own = (SECTIONS.index(row.section), block, missing, mean is None, place)
        return (*own, row.title.lower(), row.fusion)

    return [rows[position] for position in sorted(range(len(rows)), key=order)]


def _block_order(row: Row, within: Within) -> tuple[int, str]:
    if within != "fusion":
        return 0, block_of(row, within).lower()
    return {"gw": 0, "none": 2}.get(row.fusion, 1), row.fusion


def _printed(row: Row, column: str) -> float:
    return float(row.cells[column].percent) if _ranked(row, column) else float("nan")
