"""Experiments: grids crossed with named points, run, told apart and shown as one table; mistakes end in a sentence."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

import evaluate
from benchmark.data import datasets
from benchmark.grid.cells import Cell, all_cells
from benchmark.grid.planning import Planner
from benchmark.membership import AxisPoint, Membership
from benchmark.places import Places
from benchmark.record_store import RecordStore
from benchmark.request import asked, commandline, experiments
from encoders.errors import UserError
from reports import leaderboard, markdown
from reports.experiments import sheets, shown
from reports.merging import merge
from reports.tables import tables
from tests.record_factory import PREDICTIONS, make_record
from tests.test_tables import scored

NAMES = experiments.names()
PATCHES = "real-chesapeake-patches"
TINY = {
    "title": "Filters",
    "question": "How many random filters are enough?",
    "reading": "A column a number of filters.",
    "columns": "filters",
    "axes": {
        "filters": {
            "8": {"value": 8, "overrides": ["encoder.options.features=8"]},
            "32": {"value": 32, "overrides": ["encoder.options.features=32"]},
            "512": {"value": 512},
        }
    },
    "grids": [{"rows": ["rcf"], "datasets": [PATCHES], "protocol": "smoke", "axes": {"filters": "all"}}],
}


@cache
def cells_of(name: str, *options: str) -> tuple[Cell, ...]:
    """The cells that an experiment asks for."""
    _, given = commandline.parse(["--experiment", name, *options])
    return tuple(all_cells(asked.requests(given)))


def written(folder: Path, **changes: object) -> str:
    """An experiment's file."""
    path = folder / "filters.yaml"
    path.write_text(yaml.safe_dump(TINY | changes, sort_keys=False))
    return str(path)


def refused(*arguments: str) -> str:
    with pytest.raises(UserError) as told:
        cells_of(*arguments)
    return str(told.value)


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_plans_without_data_and_each_cell_once(name: str, tmp_path: Path) -> None:
    cells = cells_of(name)
    assert len({cell.label for cell in cells}) == len({cell.title for cell in cells}) == len(cells)
    planner = Planner(Places(None, tmp_path, tmp_path, tmp_path, tmp_path))
    states = {planner.plan(cell).state for cell in cells}
    assert states <= {"waits", "impossible"}
    assert "waits" in states
    assert all(one.experiment == name for cell in cells for one in cell.experiments)


def test_main_table_has_every_family_floor_and_control_on_both_tracks_of_twelve_datasets() -> None:
    cells = cells_of("main_table")
    for track, rows in (
        ("rgb", "croma dofa satmae satlas satdifuser imagestats rcf unet_random sd21 dinov2_vitb14"),
        ("authors", "croma dofa satmae satlas satdifuser imagestats rcf"),
    ):
        for row in rows.split():
            for fusion in ("none", "gw"):
                found = {
                    cell.dataset.name
                    for cell in cells
                    if (cell.row, cell.settings.bands, cell.fusion.name) == (row, track, fusion)
                }
                assert sorted(found) == sorted(datasets.select("all")), (track, row, fusion)
    assert not any(cell.variant for cell in cells)


def test_fusion_ablation_is_the_papers_six_rows_on_its_four_datasets() -> None:
    cells = cells_of("fusion_ablation")
    rows = {(cell.variant, cell.fusion.name) for cell in cells}
    both = "t = 1, 101, 201, both"
    singles = {("t = 1, self-attention", "concat"), ("t = 101, ResNet", "concat")}
    assert rows == singles | {(both, fuser) for fuser in ("concat", "gw", "lw", "moe")}
    assert len(cells) == 6 * 4
    alone = next(cell for cell in cells if cell.variant == "t = 1, self-attention").card.options
    assert alone["save_indices"] == [48]
    assert alone["modules"] == {"attn1": [1, 2, 3], "conv2": []}


def test_options_stand_in_place_of_what_the_grids_say() -> None:
    options = ("--encoder", "satdifuser_tiny", "--dataset", PATCHES, "--protocol", "smoke", "--seeds", "2")
    cells = cells_of("timesteps", *options)
    assert {(cell.row, cell.dataset.name, cell.protocol.name) for cell in cells} == {
        ("satdifuser_tiny", PATCHES, "smoke")
    }
    assert {cell.protocol.seeds for cell in cells} == {2}
    # gw and none at ten points each
    assert len(cells) == 20


def test_what_an_axis_varies_cannot_be_set_beside_it() -> None:
    assert "varies partition (axis 'labels'); leave out --partition" in refused(
        "label_fractions", "--partition", "default"
    )
    told = refused("timesteps", "encoder.options.save_indices=[47]")
    assert "varies encoder.options.save_indices (axis 'timesteps')" in told
    assert cells_of("timesteps", "encoder.options.prompt=field")[0].card.options["prompt"] == "field"


def test_a_cell_that_two_grids_ask_for_is_run_once_and_stands_in_both(tmp_path: Path) -> None:
    grid = {"rows": ["imagestats"], "datasets": [PATCHES], "protocol": "smoke"}
    path = written(tmp_path, grids=[grid, grid | {"rows": ["rcf", "imagestats"]}], columns="datasets", axes={})
    cells = cells_of(path)
    assert [cell.row for cell in cells] == ["imagestats", "rcf"]
    other = written(tmp_path, grids=[grid, grid | {"axes": {"filters": ["512"]}}])
    (cell,) = cells_of.__wrapped__(other)
    assert [len(one.points) for one in cell.experiments] == [0, 1]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"columns": "filter"}, "'columns' is filter; did you mean filters or fusers?"),
        ({"grids": []}, "needs a grid"),
        ({"grids": [{"rows": [], "datasets": ["x"]}]}, "a grid rows, datasets and fusions"),
        ({"grids": [{"rows": ["rcf"], "datasets": ["x"], "axes": {"filtres": "all"}}]}, "did you mean filters?"),
        ({"grids": [{"rows": ["rcf"], "datasets": ["x"], "axes": {"filters": ["521"]}}]}, "did you mean 512?"),
        ({"axes": {"filters": {"8": {"overrides": ["features"]}}}}, "override 'features' is no key=value"),
        ({"grid": []}, "unknown key 'grid'; did you mean grids?"),
        ({"grids": [{"rows": ["rfc"], "datasets": [PATCHES]}]}, "no encoder 'rfc'; did you mean rcf?"),
        ({"grids": [{"rows": ["rcf"], "datasets": ["m-eurosta"]}]}, "did you mean m-eurosat"),
        (
            {"axes": {"filters": {"8": {"overrides": ["encoder.options.feature=8"]}}}},
            "unknown key 'feature'; did you mean features?",
        ),
        ({"axes": {"filters": {"8": {"overrides": ["bands=rgb]"]}}}}, "override"),
        (
            {
                "axes": TINY["axes"] | {"more": {"a": {"overrides": ["encoder.options.features=9"]}}},
                "grids": [{"rows": ["rcf"], "datasets": [PATCHES], "axes": {"filters": "all", "more": "all"}}],
            },
            "axes 'filters' and 'more' of one grid both set encoder.options.features",
        ),
    ],
)
def test_a_mistake_in_a_file_is_one_sentence(changes: dict[str, object], told: str, tmp_path: Path) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(UserError) as error:
        cells_of.__wrapped__(path)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_or_file_that_is_not_there_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(tmp_path))
    assert "no experiment 'fusion_ablations'; did you mean fusion_ablation?" in refused("fusion_ablations")
    assert "cannot be read as YAML (No such file or directory)" in refused(str(tmp_path / "x.yaml"))
    (tmp_path / "x.yaml").write_text("a: [")
    assert "cannot be read as YAML" in refused(str(tmp_path / "x.yaml"), "--device", "cpu")
    assert evaluate.main(["--experiment", "timesteps", "--demo"]) == 2
    assert "give one" in capsys.readouterr().err
    assert evaluate.main(["--experiment", "timesteps", "--on", "h200"]) == 2
    assert "add --dry-run" in capsys.readouterr().err
    assert evaluate.main(["--experiment", "prediction_type", "--dry-run", "--on", "h2000"]) == 2
    assert "no device 'h2000'; did you mean h200 or h100?" in capsys.readouterr().err
    assert evaluate.main(["--encoder", "rcf", "--dataset", PATCHES, "experiment=modules"]) == 2
    assert "choose the experiment with --experiment" in capsys.readouterr().err


def test_a_dry_run_of_an_experiment_loads_no_deep_learning_framework(tmp_path: Path) -> None:
    script = """
import sys, evaluate
assert evaluate.main(["--experiment", "fusion_ablation", "--dry-run", "--output", sys.argv[1]]) == 0
assert not {"torch", "sklearn", "pandas"} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True, text=True)
    assert "24 cells: 0 done, 0 would run in 0 groups, 0 impossible, 24 wait for data or weights." in done.stdout


def test_every_experiment_is_listed_with_its_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(["list", "experiments"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert all(name in out for name in NAMES)
    assert {"main_table", "fusion_ablation", "backbone_or_fusion", "timesteps", "modules", "prediction_type"} <= set(
        NAMES
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny experiment, run to its tables, after one of its rows was run by itself."""
    folder = tmp_path_factory.mktemp("filters")
    shared = ("--device", "cpu", "--output", str(folder / "results"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SATDIFUSER_BENCH_HOME", str(folder))
        assert evaluate.main(["--encoder", "rcf", "--dataset", PATCHES, "--protocol", "smoke", *shared]) == 0
        assert evaluate.main(["--experiment", written(folder), *shared]) == 0
    return folder


def test_an_experiment_runs_to_its_own_table(ran: Path) -> None:
    records = {record.experiments[0].points[0].label: record for record in RecordStore(ran / "results")}
    assert {label: record.run.encoder_options["features"] for label, record in records.items()} == {
        "8": 8, "32": 32, "512": 512
    }  # fmt: skip
    # The row as it is was there before; it stands in the experiment too.
    assert {label: record.variant for label, record in records.items()} == {"8": "8", "32": "32", "512": ""}
    text = (ran / "results" / "leaderboard.md").read_text()
    assert "### Filters: protocol smoke" in text
    table = text[text.index("### Filters") :]
    assert [word.strip() for word in table.splitlines()[2].split("|")[1:-1]] == ["Encoder", "8", "32", "512"]
    assert "Random convolutional features (32)" in text[: text.index("### Filters")]
    tidy = (ran / "results" / "leaderboard.csv").read_text()
    assert "filters (filters 32)" in tidy


def test_the_same_experiment_again_skips_everything(
    ran: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(ran))
    before = {path: path.read_bytes() for path in (ran / "results" / "records").iterdir()}
    assert evaluate.main(["--experiment", written(ran), "--device", "cpu", "--output", str(ran / "results")]) == 0
    assert "3 of 3 cells have records (3 were there before)" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (ran / "results" / "records").iterdir()} == before


def test_its_figure_is_drawn_along_its_axis(ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reports.figures import charts

    drawn: list[charts.Curves] = []
    plain = charts.fractions
    monkeypatch.setattr(charts, "fractions", lambda of, looks: drawn.append(of) or plain(of, looks))
    copy = shutil.copytree(ran / "results", ran / "drawn")
    assert evaluate.main(["report", str(copy)]) == 0
    assert (copy / "figures" / "experiment-filters.png").is_file()
    (of,) = drawn
    assert (list(of.tables), of.axis, of.is_log) == ([8, 32, 512], "filters", False)
    assert charts.is_spread([1, 2, 5, 10, 20, 50, 100])
    assert not charts.is_spread([1, 21, 61, 101, 161, 201, 301, 401])


SHARED = {
    "protocol": "frozen", "protocol_hash": "0123456789ab", "bands": "rgb", "band_names": "corrected",
    "partition": "default",
}  # fmt: skip


def part(columns: str = "datasets", row: str = "croma", **points: tuple[str, int]) -> Membership:
    """A part in experiment `made-up`, by axis a label and its place."""
    found = tuple(AxisPoint(axis, label, place, float(place)) for axis, (label, place) in points.items())
    return Membership("made-up", "Made up", columns, row, found, SHARED)


def test_a_variant_stands_apart_and_never_competes() -> None:
    plain, rival = scored(0), scored(-1, encoder="b")
    variant = scored(2, encoder_options={"t": 1}, variant="t = 1", experiments=(part(time=("t = 1", 0)),))
    (before,), (after,) = tables([plain, rival]), tables([plain, rival, variant])
    marks = {row.title: row.cells["m-eurosat"].mark for row in after.rows if row.section == "models"}
    assert marks == {row.title: row.cells["m-eurosat"].mark for row in before.rows}
    assert [(row.title, row.section) for row in after.rows][-1] == ("CROMA (t = 1)", "variants")
    assert "they compete in its own table" in " ".join(after.footnotes)


def test_points_of_an_axis_compete_within_the_experiment_whatever_they_vary() -> None:
    records = [
        scored(0, experiments=(part(scale=("authors", 0)),)),
        # Another protocol, which no leaderboard would set beside the first.
        scored(2, protocol_hash="other", experiments=(part(scale=("z-score", 1)),)),
    ]
    assert len(tables(records)) == 2
    (sheet,) = sheets(shown(records))
    lines = {row[0].text: row[1].style for _, rows in sheet.body for row in rows}
    assert lines == {"CROMA (z-score)": "best", "CROMA (authors)": "second"}
    assert sheet.title.startswith("Made up: Classification, linear probe")


def test_columns_are_the_points_in_the_order_of_their_axis_and_draws_are_averaged() -> None:
    records = [
        make_record(value, partition=partition, experiments=(part("labels", labels=(label, place)),))
        for value, partition, label, place in (
            (0.9, "default", "100 %", 1),
            (0.5, "stratified_0.10_draw0", "10 %", 0),
            (0.7, "stratified_0.10_draw1", "10 %", 0),
        )
    ]
    (one,) = shown(records)
    assert list(one.by_column) == ["10 %", "100 %"]
    (sheet,) = sheets([one])
    ((dataset, ((name, few, all_of_them),)),) = sheet.body
    assert (dataset, name.text, few.text, all_of_them.text) == ("m-eurosat", "CROMA", "60.0 ± 14.1", "90.0")


def test_fusers_can_be_the_columns() -> None:
    records = [
        make_record(
            value, encoder=encoder, fusion=fusion, fuser={"kind": fusion}, experiments=(part("fusers", encoder),)
        )
        for encoder, fusion, value in (("a", "gw", 0.7), ("a", "none", 0.6), ("b", "gw", 0.8))
    ]
    (sheet,) = sheets(shown(records))
    assert [ink.text for ink in sheet.head] == ["Encoder", "GW", "unfused"]
    assert [[ink.text for ink in row] for row in sheet.body[0][1]] == [["B", "80.0", "--"], ["A", "70.0", "60.0"]]


def test_an_experiment_without_axes_has_the_leaderboards_for_its_table() -> None:
    records = [make_record(0.9, experiments=(part(),))]
    assert shown(records) == []
    assert "Made up" not in markdown.document(leaderboard.sheets(tables(records), records))


def test_a_record_keeps_every_experiment_and_is_a_variant_only_where_all_say_so(tmp_path: Path) -> None:
    store, first, second = RecordStore(tmp_path), part(time=("t = 1", 0)), part(time=("one", 0))
    record = make_record(variant="t = 1", experiments=(first,))
    store.write(record, PREDICTIONS)
    store.ask(record.key, record.rows, "one", (second,))
    assert (store.read(record.key).variant, store.read(record.key).experiments) == ("t = 1", (first, second))
    store.ask(record.key, record.rows, "", ())
    assert (store.read(record.key).variant, store.read(record.key).experiments) == ("", (first, second))
    assert store.read(record.key).key == record.key
    other = tmp_path / "other"
    RecordStore(other).write(make_record(variant="t = 1", experiments=(second,)), PREDICTIONS)
    (merged,) = merge([tmp_path, other]).records
    assert (merged.variant, sorted(merged.experiments, key=repr)) == ("", sorted((first, second), key=repr))
