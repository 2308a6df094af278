"""A mean score runs over datasets of one metric, and never over one whose train and test images share ground."""

from dataclasses import replace

import pytest

from benchmark.records import Record
from reports.averaging import Mean, mean_of
from reports.tables import tables
from tests.record_factory import make_record


def mean(records: list[Record]) -> Mean:
    (table,) = tables(records)
    return mean_of(table)


def on(datasets: dict[str, float], **changes: object) -> list[Record]:
    metrics = {"m-bigearthnet": "f1_micro"}
    return [
        make_record(value, dataset=name, metric=metrics.get(name, "accuracy"), **changes)
        for name, value in datasets.items()
    ]


def test_a_mean_runs_over_the_metric_of_most_and_leaves_out_shared_ground() -> None:
    found = mean(on({"m-eurosat": 0.8, "m-so2sat": 0.6, "m-bigearthnet": 0.1, "m-cashew-plant": 0.9}))
    assert found.columns == ("m-so2sat", "m-eurosat")
    assert found.left_out == {"m-bigearthnet": "micro F1", "m-cashew-plant": "train and test images share fields"}
    assert found.words == (
        "mean accuracy over m-so2sat, m-eurosat, without m-bigearthnet (micro F1), "
        "m-cashew-plant (train and test images share fields)"
    )


def test_a_mean_is_of_rows_that_have_all_and_ranked_where_every_score_is() -> None:
    datasets = {"m-eurosat": 0.8, "m-so2sat": 0.6}
    records = [
        *on(datasets),
        *on({"m-eurosat": 0.9}, encoder="dofa"),
        *(replace(one, ranked=one.run.dataset == "m-eurosat") for one in on(datasets, encoder="satmae")),
        *on(datasets, encoder="imagestats", role="floor"),
    ]
    (table,) = tables(records)
    found = mean_of(table)
    rows = {row.encoder: row for row in table.rows}
    assert found.of(rows["croma"]) == pytest.approx(0.7)
    assert [name for name, row in rows.items() if found.has(row)] == ["croma", "satmae", "imagestats"]
    assert [name for name, row in rows.items() if found.is_ranked(row)] == ["croma"]


def test_where_no_model_has_all_the_mean_is_over_what_every_model_has() -> None:
    found = mean([
        *on({"m-eurosat": 0.8, "m-so2sat": 0.6}),
        *on({"m-eurosat": 0.9, "m-pv4ger": 0.6}, encoder="dofa"),
    ])  # fmt: skip
    assert found.columns == ("m-eurosat",)
    assert found.words.startswith("accuracy on m-eurosat, without ")
    assert found.left_out == dict.fromkeys(("m-so2sat", "m-pv4ger"), "not in every row")
    nothing = mean([*on({"m-eurosat": 0.8}), *on({"m-so2sat": 0.9}, encoder="dofa")])
    assert not nothing.columns
    assert nothing.words == ""


def test_shared_ground_is_shown_where_there_is_nothing_else() -> None:
    found = mean(on({"m-cashew-plant": 0.9}))
    assert (found.columns, found.left_out) == (("m-cashew-plant",), {})
