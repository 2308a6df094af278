"""`geobench_results.csv`: GEO-Bench's columns and metrics, its baselines, and its own tools on our numbers."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark.data import datasets
from benchmark.records import Record
from benchmark.scoring.ranking import normalised
from reports import geobench, leaderboard
from reports.tables import tables
from tests.record_factory import make_record

SEGMENTATION = datasets.select("segmentation")
FIRST_COLUMNS = ["model generator module name", "encoder type", "decoder type", "encoder weights", "desired input size"]
LAST_COLUMNS = ["exp dir", "csv log dir", "model", "date str", "date"]


def mask_record(value: float, **changes: Any) -> Record:
    made = make_record(value, task="segmentation", metric="miou_truth", probe="upernet", **changes)
    made.score.metrics.update(miou_absent_excluded=value - 0.1, pixel_accuracy=value + 0.02)
    return made


def ours(records: list[Record]) -> pd.DataFrame:
    found = geobench.frame(records, tables(records))
    return found[found["source"] == "satdifuser-bench"]


def test_the_columns_are_geobenchs_then_ours(tmp_path: Path) -> None:
    leaderboard.write([make_record(0.9)], tmp_path)
    header = list(pd.read_csv(tmp_path / "geobench_results.csv").columns)
    assert len(header) == 42 + len(geobench.OURS)
    assert (header[:5], header[37:42]) == (FIRST_COLUMNS, LAST_COLUMNS)
    assert header[42:] == list(geobench.OURS)


def test_the_test_metric_is_geobenchs_not_our_headline() -> None:
    (row,) = ours([mask_record(0.7, dataset="m-nz-cattle")]).to_dict("records")
    assert row["test metric"] == pytest.approx(0.6)
    assert row["metric"] == "miou_absent_excluded"
    assert row["test FBeta"] == pytest.approx(0.72)
    # Validation was scored by another metric, which must not stand beside it.
    assert pd.isna(row["val metric"])
    labelled = make_record(0.5, dataset="m-bigearthnet", metric="f1_micro")
    assert ours([labelled])[["metric", "test metric", "val metric"]].to_numpy().tolist() == [["f1_micro", 0.5, 0.5]]


def test_what_shares_no_table_is_not_one_model() -> None:
    records = [
        make_record(0.9),
        make_record(0.8, protocol="smoke", protocol_hash="1" * 12),
        make_record(0.7, bands="authors"),
        make_record(0.6, band_names="stored"),
        make_record(0.5, protocol_hash="2" * 12),
        make_record(0.4, fusion="mean"),
        make_record(0.3, encoder_options={"layers": [1]}),
    ]
    found = ours(records)
    assert len(found) == found["model"].nunique() == len(records)
    assert any("(linear, smoke, rgb)" in model for model in found["model"])


def test_seeds_and_partitions_are_columns_as_geobench_writes_them() -> None:
    records = [mask_record(0.7, dataset="m-nz-cattle", seed=seed) for seed in (0, 1)]
    records.append(mask_record(0.6, dataset="m-nz-cattle", partition="0.10x_train"))
    found = ours(records)
    assert found["model"].nunique() == 1
    assert sorted(zip(found["partition name"], found["seed"], strict=True)) == [
        ("0.10x train", 0), ("default", 0), ("default", 1)
    ]  # fmt: skip


def test_only_geobenchs_twelve_are_written(tmp_path: Path) -> None:
    leaderboard.write([make_record(0.9, dataset="real-chesapeake-patches")], tmp_path)
    assert not (tmp_path / "geobench_results.csv").exists()


@pytest.mark.parametrize("name", SEGMENTATION)
def test_the_shipped_baselines_span_geobenchs_own_normalizer(name: str) -> None:
    whole = [one["test metric"] for one in geobench.baselines([name]) if one["partition name"] == "1.00x train"]
    assert (min(whole), max(whole)) == pytest.approx(datasets.dataset(name).normalizer, rel=1e-7)


def test_the_baselines_stand_below_ours_for_the_same_datasets() -> None:
    found = geobench.frame([record := mask_record(0.7, dataset="m-nz-cattle")], tables([record]))
    assert list(found["source"][:2]) == ["satdifuser-bench", "GEO-Bench baseline"]
    theirs = found[found["source"] == "GEO-Bench baseline"]
    assert set(theirs["dataset"]) == {"m-nz-cattle"}
    assert (theirs["model"].nunique(), theirs["partition name"].nunique()) == (6, 7)
    assert not theirs["ranked"].any()


def test_geobenchs_own_tools_average_normalise_and_plot_our_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its notebook does with its baselines: seeds averaged, normalised, bootstrapped, drawn."""
    pytest.importorskip("seaborn", reason="geobench's plots need seaborn")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("GEO_BENCH_DIR", str(tmp_path))
    package = pytest.importorskip("geobench", reason="geobench needs Python 3.12")
    plot_tools = pytest.importorskip("geobench.plot_tools")
    monkeypatch.setattr(package, "GEO_BENCH_DIR", tmp_path)
    folder = tmp_path / "segmentation_v1.0"
    folder.mkdir()
    ranges = {name: datasets.dataset(name).normalizer for name in SEGMENTATION}
    (folder / "normalizer.json").write_text(json.dumps(ranges))

    records = [
        mask_record(0.75 + 0.01 * seed, dataset=name, seed=seed)
        for name in ("m-nz-cattle", "m-chesapeake")
        for seed in range(3)
    ]
    leaderboard.write(records, tmp_path)
    table = plot_tools.extract_1x_data(pd.read_csv(tmp_path / "geobench_results.csv"))
    model = table["model"].iloc[0]
    assert plot_tools.avergage_seeds(table).loc[(model, "default"), "m-nz-cattle"] == 0.66

    normalizer = plot_tools.load_normalizer("segmentation_v1.0")
    name = normalizer.normalize_data_frame(table, "test metric")
    mine = table[(table["source"] == "satdifuser-bench") & (table["dataset"] == "m-nz-cattle")].sort_values("seed")
    worst, best = ranges["m-nz-cattle"] or (0, 1)
    assert list(mine[name]) == pytest.approx(list(normalised(mine["test metric"].to_numpy(), worst, best)))

    order = [model, "ResNet50-U-Net-timm"]
    plot_tools.normalize_bootstrap_and_plot(table, "test metric", "segmentation_v1.0", order, repeat=3)
    plot_tools.plt.close("all")
