"""Score against cost: who makes the front, what an axis shows, what a caption leaves out."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmark.records import Record
from reports.figures import choice, cost, style
from reports.tables import tables
from tests.record_factory import make_record


@pytest.mark.parametrize("more_is_better", [False, True])
def test_the_front_is_what_nobody_beats(more_is_better: bool) -> None:
    rng = np.random.default_rng(1)
    points = [(float(x), float(y)) for x, y in rng.integers(1, 12, (40, 2))]
    sign = -1 if more_is_better else 1

    def beaten(one: tuple[float, float]) -> bool:
        return any(sign * x <= sign * one[0] and y >= one[1] and (x, y) != one for x, y in points)

    assert cost.front(points, more_is_better) == sorted({point for point in points if not beaten(point)})
    assert cost.front([], more_is_better) == []


def costly(encoder: str, value: float, seconds: float = 2.0, device: str = "cpu", **changes: Any) -> Record:
    record = make_record(value, encoder=encoder, title=encoder, **changes)
    spent = replace(record.cost, encode_seconds=seconds, frozen_parameters=int(1000 * seconds))
    return replace(record, cost=spent, provenance=replace(record.provenance, device=device))


def fronts(records: list[Record]) -> tuple[cost.Compared, list[set[str]]]:
    """What is drawn, and the rows on the front of each cost."""
    (table,) = tables(records)
    shown = cost.compared(table)
    assert shown is not None
    every = zip(shown.points, shown.fronts, strict=True)
    return shown, [{name for name, point in points.items() if point in front} for points, front in every]


def test_only_ranked_models_make_a_front_and_speeds_of_one_device() -> None:
    records = [
        costly("slow", 0.9, 4.0),
        costly("fast", 0.7, 1.0),
        costly("beaten", 0.6, 2.0),
        costly("unranked", 0.99, 0.5, ranked=False),
        costly("control", 0.98, 0.5, role="control"),
        costly("floor", 0.97, 0.1, role="floor", device="another"),
    ]
    shown, found = fronts(records)
    assert found == [{"slow", "fast"}, {"slow", "fast"}, {"slow"}, {"slow"}]
    assert [row.title for row in shown.floors] == ["floor"]
    assert "steps: the front of ranked models" in shown.caption
    shown, found = fronts([*records, costly("elsewhere", 0.8, 1.5, device="gpu")])
    assert found[:2] == [set(), {"slow", "elsewhere", "fast"}]
    assert "images/s without a front, as 2 kinds of device don't compare" in shown.caption
    shown, found = fronts(records[3:])
    assert found == [set()] * 4
    assert "no ranked model here, so no front" in shown.caption


DATASETS = ("m-eurosat", "m-so2sat", "m-brick-kiln")


def on_three(encoder: str, value: float, seconds: float, elsewhere: str) -> list[Record]:
    """On an H200, but for one dataset."""
    places = {dataset: "A100" if dataset == elsewhere else "H200" for dataset in DATASETS}
    return [costly(encoder, value, seconds, place, dataset=dataset) for dataset, place in places.items()]


def test_speeds_over_different_datasets_of_one_device_make_no_front() -> None:
    why = "images/s without a front, as means over different datasets don't compare"
    for other in ("m-so2sat", ""):
        shown, found = fronts([*on_three("slow", 0.9, 4.0, "m-eurosat"), *on_three("fast", 0.7, 1.0, other)])
        assert found[:2] == [set(), {"slow", "fast"}]
        assert why in shown.caption
    free = [
        costly("fast", 0.7, 0.0 if dataset == "m-eurosat" else 1.0, "H200", dataset=dataset) for dataset in DATASETS
    ]
    shown, _ = fronts([*on_three("slow", 0.9, 4.0, ""), *free])
    assert why in shown.caption


def test_speeds_over_the_same_datasets_make_a_front_that_names_them() -> None:
    shown, found = fronts([*on_three("slow", 0.9, 4.0, "m-eurosat"), *on_three("fast", 0.7, 1.0, "m-eurosat")])
    assert found[0] == {"slow", "fast"}
    assert "the front of images/s is of H200 (2 of 3 datasets: all but m-eurosat)" in shown.caption
    shown, _ = fronts([*on_three("slow", 0.9, 4.0, ""), *on_three("fast", 0.7, 1.0, "")])
    assert "the front of images/s" not in shown.caption


def test_a_device_counts_where_a_speed_was_measured_and_once_whatever_its_name() -> None:
    records = [costly("slow", 0.9, 4.0, "AMD EPYC, 96 cores"), costly("fast", 0.7, 1.0, "AMD EPYC, 96 cores")]
    shown, found = fronts([*records, costly("free", 0.8, 0.0, "another")])
    assert found[0] == {"slow", "fast"}
    assert "without a front" not in shown.caption


def test_a_front_is_drawn_in_steps_along_what_can_be_had() -> None:
    shown, _ = fronts([costly("slow", 0.9, 4.0), costly("fast", 0.7, 1.0)])
    made = cost.draw(shown, style.looks(tables([costly("slow", 0.9, 4.0), costly("fast", 0.7, 1.0)])))
    steps = [next(line for line in ax.lines if len(line.get_xdata()) > 1).get_drawstyle() for ax in made.axes[:2]]
    assert steps == ["steps-pre", "steps-post"]


def test_a_figure_of_many_rows_says_which_and_holds_the_front() -> None:
    records = [costly(f"e{number:02}", 0.9 - number / 100, 4.0) for number in range(30)]
    records += [costly(f"equal{number:02}", 0.9, 4.0) for number in range(30)]
    records += [costly("small", 0.3, 1.0), costly("floor", 0.2, role="floor")]
    (table,) = tables(records)
    shown = cost.compared(table)
    assert shown is not None
    titles = [row.title for row in shown.rows]
    assert len(titles) == choice.BARS
    assert {"e00", "small"} <= set(titles)
    assert "37 more rows are not drawn" in shown.caption
    assert len(choice.first(table)) == choice.BARS
    assert choice.first_in_words(table) == " of the first 23 of 62 rows and the floors"
    (few,) = tables(records[:3])
    assert choice.first_in_words(few) == ""


@pytest.mark.parametrize(("low", "high"), [(60.1e6, 62e6), (7.1, 7.9), (1, 1e9), (2.1, 2.9), (310, 390)])
def test_an_axis_of_costs_has_two_ticks_or_more(low: float, high: float) -> None:
    found = cost._ticks(low, high)
    assert 2 <= len(found) <= 5
    assert low <= found[0] < found[-1] <= high


def test_a_cost_of_nothing_stands_at_the_left_end() -> None:
    spent = replace(make_record().cost, trained_parameters=0)
    shown, found = fronts([costly("trained", 0.9), replace(costly("free", 0.7), cost=spent)])
    assert found[2] == {"trained", "free"}
    made = cost.draw(shown, {row.title: style.Look("#000000", "o") for row in shown.rows})
    ax = made.axes[2]
    assert ax.get_xticklabels()[0].get_text() == "0"
    assert min(line.get_xdata()[0] for line in ax.lines) == ax.get_xticks()[0]
