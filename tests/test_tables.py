"""What a table says beyond its numbers: who is worse for certain, aggregates, reasons for gaps, what is never ranked."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmark.data import datasets
from benchmark.scoring import statistics
from benchmark.scoring.ranking import holm
from reports import geobench, latex, leaderboard, markdown, spreadsheets
from reports.derived import ablations, curves, differences, main
from reports.merging import Absence
from reports.other_sheets import of_costs, of_curves
from reports.placed import place
from reports.tables import FEWER_SEEDS, lacks_seeds, tables
from tests.record_factory import COST, PROVENANCE, make_record, measured

RNG = np.random.default_rng(0)
HARD = RNG.integers(3, 9, 60)
SEGMENTATION = ("m-pv4ger-seg", "m-nz-cattle", "m-cashew-plant")


def scored(change, **changes):
    """A record on the shared test groups: `change` more images right in each."""
    return measured(np.clip(HARD + change, 0, 10), **changes)


def nearly():
    """A change of one image here and there."""
    return RNG.integers(-1, 2, 60)


def cells_of(table, column="m-eurosat"):
    return {row.encoder: row.cells[column] for row in table.rows}


def test_only_a_clear_loss_is_a_loss():
    (table,) = tables([scored(1, encoder="best"), scored(1 - (np.arange(60) < 2), encoder="close"), scored(-1)])
    found = cells_of(table)
    assert (found["best"].mark, found["best"].tied) == ("best", False)
    assert (found["close"].tied, found["croma"].tied) == (True, False)
    assert "≈" in markdown.document(leaderboard.sheets([table]))
    assert r"\leaderboardscripts{$\approx$}{$\pm$" in latex.document(leaderboard.sheets([table]))
    assert any("≈ not significantly worse" in line for line in table.footnotes)


def test_below_ten_groups_nothing_is_called_significant():
    few = [measured(HARD[:9] + 1, encoder="best"), measured(HARD[:9] - 2, encoder="worst")]
    (table,) = tables(few)
    assert table.tests == ()
    assert "Too few groups for an interval to be relied on: m-eurosat." in table.footnotes
    assert all(not cell.tied and cell.ranks is None for cell in cells_of(table).values())
    (table,) = tables([measured(HARD[:10] + 1, encoder="best"), measured(HARD[:10] - 2, encoder="worst")])
    assert len(table.tests) == 2
    assert not any("relied on" in line for line in table.footnotes)


def test_every_test_is_kept_with_its_correction():
    (table,) = tables(
        [scored(change, encoder=f"e{change}") for change in (0, 1, -1)] + [scored(0, role="floor", encoder="f")]
    )
    frame = pd.DataFrame(spreadsheets.tests([table], []))
    next_to = frame[frame["family"] == "neighbours"]
    assert list(zip(next_to["better"], next_to["worse"], strict=True)) == [("E1", "E0"), ("E0", "E-1")]
    against = frame[frame["family"] == "against the best"]
    assert list(against["better"]) == ["E1", "E1"]
    assert list(against["p_holm"]) == holm(list(against["p"]))
    assert (frame["low"] <= frame["difference"]).all()
    assert (frame["difference"] <= frame["high"]).all()
    fused = tables([scored(change, encoder="a", fusion=fusion) for fusion, change in (("gw", 0), ("lw", -1))])
    frame = pd.DataFrame(spreadsheets.tests(fused, ablations(fused)))
    assert set(frame["ranked within"]) == {"encoder"}
    assert set(frame["better fusion"]) == {"gw"}


def test_ranks_have_intervals_among_models_alone():
    records = [scored(1, encoder="best"), scored(nearly(), encoder="x"), scored(nearly(), encoder="y")]
    (table,) = tables([*records, scored(1, encoder="floor", role="floor")])
    found = cells_of(table)
    assert found["best"].ranks == (1, 1)
    assert found["x"].ranks == (2, 3)
    assert found["floor"].ranks is None


def test_a_cells_interval_hangs_on_no_other_row_and_holds_seeds():
    seeds = [scored(nearly(), seed=seed) for seed in range(3)]
    (alone,), (among,) = tables(seeds), tables([*seeds, scored(1, encoder="other")])
    first, second = cells_of(alone)["croma"], cells_of(among)["croma"]
    assert (first.low, first.high, first.std) == (second.low, second.high, second.std)
    values = [record.score.metrics["accuracy"] for record in seeds]
    assert (first.value, first.std) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert first.values == tuple(values)
    assert first.keys == tuple(record.key for record in seeds)
    together = [statistics.percentiles(statistics.unpack(one.score.resamples)) for one in seeds]
    assert first.low < np.mean([low for low, _ in together]) + 0.02
    assert first.low < first.value < first.high


def trained(encoder, seeds, asked=3, **changes):
    """Records of a decoder whose protocol asks for some seeds."""
    told = replace(PROVENANCE, config={"protocol": {"seeds": asked}})
    more = {"fusion": "gw", "fuser": {"kind": "gw"}, "provenance": told, **changes}
    return [scored(nearly(), encoder=encoder, seed=seed, **more) for seed in seeds]


def test_a_cell_with_fewer_seeds_than_its_protocol_asks_competes_with_none_and_says_so_everywhere():
    lucky = trained("lucky", range(1))
    records = [
        *trained("a", range(3)),
        *trained("b", range(3)),
        *lucky,
        *trained("lucky", range(3), dataset="m-so2sat"),
    ]
    (table,) = tables(records)
    (row,) = [row for row in table.rows if row.encoder == "lucky"]
    cell = row.cells["m-eurosat"]
    assert (cell.mark, cell.ranked, cell.ranks) == ("", False, None)
    assert [table.notes[note] for note in cell.notes] == [FEWER_SEEDS]
    assert row.section == "models"
    assert row.cells["m-so2sat"].ranked
    assert sorted(cell.mark for cell in cells_of(table).values()) == ["", "best", "second"]
    (line,) = [one for one in spreadsheets.tidy(records, [table]) if one["key"] == lucky[0].key]
    assert (line["ranked"], line["flags"]) == (False, FEWER_SEEDS)
    assert {one["key"]: one["ranked"] for one in geobench.rows(records, [table]) if one.get("key")}[
        lucky[0].key
    ] is False


def test_seeds_are_counted_by_what_each_record_was_asked():
    (table,) = tables([*trained("a", range(2)), *trained("b", (0, 1))])
    assert not any(cell.ranked for cell in cells_of(table).values())
    assert FEWER_SEEDS in table.notes
    draws = [one for draw in range(3) for one in trained("a", range(1), 1, partition=f"stratified_0.10_draw{draw}")]
    assert not lacks_seeds(draws)
    assert not lacks_seeds([*trained("a", range(1), 1), *trained("a", range(5), 5, protocol_hash="other")])
    assert lacks_seeds([*trained("a", range(2)), *draws])
    assert not lacks_seeds([scored(0)])  # a fitted probe has one


def test_fusers_never_share_a_ranking():
    records = [
        scored(change, encoder=encoder, fusion=fusion)
        for encoder, fusion, change in (("a", "gw", 0), ("b", "gw", -1), ("a", "moe", 1), ("b", "moe", -2))
    ]
    (table,) = tables(records)
    assert {(row.encoder, row.fusion): row.cells["m-eurosat"].mark for row in table.rows} == {
        ("a", "gw"): "best", ("b", "gw"): "second", ("a", "moe"): "best", ("b", "moe"): "second"
    }  # fmt: skip
    assert list(table.sections) == ["models, GW", "models, MoE"]
    (alone,) = tables(records[:3])
    assert list(alone.sections) == ["models, GW", "models, without a rival"]


def test_an_ablation_ranks_the_fusers_of_each_encoder():
    records = [scored(change, encoder="a", fusion=fusion) for fusion, change in (("gw", 0), ("lw", -1), ("moe", 1))]
    records.append(scored(2, encoder="b", fusion="gw"))
    (found,) = ablations(tables(records))
    assert [(row.encoder, row.fusion) for row in found.rows] == [("a", "moe"), ("a", "gw"), ("a", "lw")]
    assert [row.cells["m-eurosat"].mark for row in found.rows] == ["best", "second", ""]
    assert ablations(tables([scored(0)])) == []


def on_three(encoder, changes, **more):
    return [
        scored(change, encoder=encoder, dataset=dataset, task="segmentation", **more)
        for dataset, change in zip(SEGMENTATION, changes, strict=True)
        if change is not None
    ]


def test_mean_rank_and_improvement_are_over_datasets_and_without_the_leaky_one():
    (table,) = tables([*on_three("a", (1, 1, -1)), *on_three("b", (0, 0, 0)), *on_three("c", (-1, -1, 1))])
    by_name = {row.encoder: row.aggregates for row in table.rows}
    assert by_name["a"]["mean rank"].value == pytest.approx(5 / 3)
    assert by_name["a"]["mean rank, no m-cashew-plant"].value == 1
    assert by_name["a"]["P(>next)"].value == pytest.approx(2 / 3, abs=0.01)
    assert by_name["a"]["P(>next), no m-cashew-plant"].value == pytest.approx(1, abs=0.01)
    assert "P(>next)" not in by_name["c"]
    assert [row.encoder for row in table.rows] == ["a", "b", "c"]
    assert "1.67/1.00" in latex.document(leaderboard.sheets([table]))


def test_improvement_is_over_a_row_that_has_all_of_its_datasets():
    rows = [
        *on_three("a", (2, 2, 2)),
        *on_three("b", (1, None, 1)),
        *on_three("c", (0, 0, 0)),
        *on_three("d", (3, None, None)),
    ]
    (table,) = tables(rows)
    by_name = {row.encoder: row.aggregates for row in table.rows}
    assert by_name["a"]["mean rank"].value < by_name["b"]["mean rank"].value < by_name["c"]["mean rank"].value
    assert (by_name["a"]["P(>next)"].datasets, by_name["b"]["P(>next)"].datasets) == (3, 2)
    assert by_name["a"]["P(>next)"].value == pytest.approx(1, abs=0.01)
    assert "mean rank" not in by_name["d"]  # one score is no mean


def test_a_row_with_one_ranked_score_comes_behind_those_with_a_mean_rank():
    lucky = [*on_three("z", (3, None, None)), *on_three("z", (None, 3, 3), ranked=False)]
    (table,) = tables([*on_three("a", (1, 1, 1)), *on_three("b", (0, 0, 0)), *lucky])
    assert [row.encoder for row in table.rows] == ["a", "b", "z"]
    assert "mean rank" not in table.rows[-1].aggregates


def test_a_test_by_the_tail_is_said_where_it_acts():
    many = [scored(2, encoder="best"), *(scored(-1, encoder=f"e{number}") for number in range(60))]
    (table,) = tables(many)
    assert {one["test"] for one in spreadsheets.tests([table], [])} == {"bootstrap", "Student's t"}
    assert any("Student's t" in line for line in table.footnotes)
    assert not any(cell.tied for cell in cells_of(table).values())
    (table,) = tables(many[:3])
    assert not any("Student's t" in line for line in table.footnotes)


def test_an_incomplete_rows_aggregates_are_marked():
    (table,) = tables([*on_three("a", (1, 1, 1)), *on_three("b", (0, None, 0))])
    by_name = {row.encoder: row.aggregates["mean rank"] for row in table.rows}
    assert (by_name["b"].datasets, by_name["b"].of, by_name["b"].is_whole) == (2, 3, False)
    assert by_name["a"].is_whole
    text = markdown.document(leaderboard.sheets([table]))
    assert r" 2.00\*/-- |" in text  # without the leaky one it is one score
    assert r"\* over the datasets the row has" in text


def test_what_is_not_ranked_is_in_no_aggregate():
    (table,) = tables([*on_three("a", (1, 1, 1)), *on_three("b", (0, 0, 0), ranked=False), *on_three("c", (0, 0, 0))])
    by_name = {row.encoder: row.aggregates for row in table.rows}
    assert by_name["b"] == {}
    assert by_name["c"]["mean rank"].value == 2


def test_geo_benchs_scale_is_its_own_and_floors_are_on_it():
    (table,) = tables(on_three("floor", (0, 0, 0), role="floor"))
    value = HARD.mean() / 10
    ends = [datasets.dataset(name).normalizer for name in SEGMENTATION]
    by_hand = np.mean([(value - worst) / (best - worst) for worst, best in ends])
    (row,) = table.rows
    assert set(row.aggregates) == {"nIQM", "nIQM, no m-cashew-plant"}
    assert row.aggregates["nIQM"].value == pytest.approx(by_hand)
    assert row.aggregates["nIQM"].low < by_hand < row.aggregates["nIQM"].high
    assert "another protocol's" in " ".join(table.footnotes)


def test_a_missing_cell_says_why():
    records = [scored(0, encoder="a", dataset=name) for name in ("m-eurosat", "m-so2sat", "m-pv4ger")]
    records.append(scored(0, encoder="b"))
    cell = ("b", "none", "m-so2sat", "linear", "0123456789ab", "rgb", "corrected", "default")
    absences = [
        Absence(cell, "failed", "no such file; get it"),
        Absence((*cell[:2], "m-pv4ger", *cell[3:]), "impossible", "it has no radar"),
        Absence((*cell[:5], "authors", *cell[6:]), "failed", "of another track"),
    ]
    (table,) = tables(records, absences)
    (row,) = (row for row in table.rows if row.encoder == "b")
    assert {column: missing.kind for column, missing in row.missing.items()} == {
        "m-so2sat": "failed", "m-pv4ger": "impossible"
    }  # fmt: skip
    for text in (markdown.document(leaderboard.sheets([table])), latex.document(leaderboard.sheets([table]))):
        assert "B on m-so2sat: no such file; get it." in text
        assert "B on m-pv4ger: it has no radar." in text
        assert "of another track" not in text
    (table,) = tables(records)
    assert {missing.kind for row in table.rows for missing in row.missing.values()} == {"not run"}
    assert "failed" in next(
        line["m-so2sat: missing"] for line in spreadsheets.wide(tables(records, absences)) if line["m-so2sat: missing"]
    )


def test_label_fractions_are_curves_and_in_no_leaderboard():
    drawn = [0.5, 0.6, 0.7]
    records = [make_record(value, partition=f"stratified_0.10_draw{i}", ranked=False) for i, value in enumerate(drawn)]
    records += [make_record(0.4, partition="0.01x_train", ranked=False), make_record(0.9)]
    found = tables(records)
    ours, theirs = sorted(curves(found), key=lambda curve: curve.origin, reverse=True)
    assert [(point.fraction, point.draws) for point in ours.points] == [(0.1, 3), (1.0, 1)]
    assert (ours.points[0].mean, ours.points[0].std) == pytest.approx((0.6, 0.1))
    assert [(point.fraction, point.mean) for point in theirs.points] == [(0.01, 0.4), (1.0, 0.9)]
    assert [table.settings["partition"] for table in main(found)] == ["default"]
    assert "60.0 ± 10.0" in markdown.document(leaderboard.sheets(found))
    flagged = [make_record(0.3, partition="0.10x_train", encoder="rnd", weights={"random": "0"}, flags=("a leak",))]
    text = markdown.document(of_curves(curves(tables([*records, *flagged]))))
    assert "RND (random weights)<sup>a</sup>" in text
    assert "*m-eurosat, accuracy*" in text
    assert "<sup>a</sup> a leak." in text
    assert len(main(tables(records[:1]))) == 1


def test_corrected_minus_stored_is_paired():
    records = [scored(1), scored(1 - (np.arange(60) < 20), band_names="stored"), scored(0, encoder="other")]
    (found,) = differences(tables(records))
    assert found.encoder == "croma"
    assert found.value == pytest.approx(records[0].score.metrics["accuracy"] - records[1].score.metrics["accuracy"])
    apart = records[0].score.interval
    assert 0 < found.low < found.value < found.high
    assert found.high - found.low < apart.high - apart.low
    assert "Corrected minus stored" in markdown.document(leaderboard.sheets(tables(records)))


def test_costs_are_means_over_datasets_and_speeds_of_one_device():
    slow = replace(COST, encode_seconds=6.0, flops_per_image=4_000_000_000, finest_grid=30)
    cached = replace(COST, encode_seconds=0.0, images=0)
    records = [make_record(), make_record(dataset="m-so2sat", cost=slow), make_record(encoder="b", cost=cached)]
    (table,) = tables(records)
    cost = {row.encoder: row.efficiency for row in table.rows}
    assert (cost["croma"].gflops, cost["croma"].finest_grid) == (3.0, (15, 30))
    assert cost["croma"].images_per_second == pytest.approx(200 / 8)
    assert cost["croma"].seconds == pytest.approx((3 + 7) / 2)
    assert cost["b"].images_per_second is None
    other = make_record(encoder="c", provenance=replace(records[0].provenance, device="H200"))
    more = make_record(encoder="d")
    assert [len(sheet.body[0][1]) for sheet in of_costs(tables([*records, other, more]))] == [1, 1, 2]


def test_a_note_that_holds_throughout_is_said_once():
    leak, odd = "the split leaks", "input B02: 30 % of the pixels are cut off by the value rule"
    records = [
        scored(0, encoder=encoder, dataset=dataset, flags=((leak,) if dataset == "m-so2sat" else ()) + flags)
        for encoder, flags in (("a", ("rows",)), ("b", (odd, "input B03: other")))
        for dataset in ("m-eurosat", "m-so2sat")
    ]
    (table,) = tables(records)
    rows = list(table.rows)
    placed = place(table, rows)
    sentence = dict(placed.lines)
    assert sentence[placed.columns["m-so2sat"]] == leak
    assert [sentence[placed.rows[rows.index(row)]][:8] for row in rows] == [
        "rows" if row.encoder == "a" else "an input" for row in rows
    ]
    assert set(placed.cells.values()) == {""}
    (table,) = tables([replace(record, flags=(*record.flags, "quick")) for record in records])
    assert place(table, list(table.rows)).throughout == ["quick"]
    assert "Throughout: quick." in markdown.document(leaderboard.sheets([table]))


def test_licences_that_bind_and_overlaps_are_told():
    records = [make_record(licence="CC-BY-NC-4.0", pretraining_overlap=("m-eurosat",)), make_record(encoder="b")]
    (table,) = tables(records)
    text = markdown.document(leaderboard.sheets([table]))
    assert "Weights under CC-BY-NC-4.0: CROMA." in text
    assert "| none known |" in text
    assert {row.encoder: row.overlap for row in table.rows} == {"croma": ("m-eurosat",), "b": ()}


def test_columns_stand_in_the_papers_order():
    names = ("m-chesapeake", "my-own", "m-pv4ger-seg", "m-NeonTree")
    (table,) = tables([make_record(dataset=name, task="segmentation") for name in names])
    assert table.columns == ("m-pv4ger-seg", "m-NeonTree", "m-chesapeake", "my-own")


def test_nothing_that_is_printed_is_nan():
    (table,) = tables([make_record(0.9), make_record(0.8, encoder="b", dataset="m-so2sat")])
    for row in table.rows:
        assert all(not math.isnan(one.value) for one in row.aggregates.values())
    assert "nan" not in latex.document(leaderboard.sheets([table]))
