"""What people read: marks in their place, nothing ranked that may not be, no text that breaks a format."""

import re
import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from benchmark.records import Interval
from reports import latex, leaderboard, markdown, spreadsheets
from reports.console import print_leaderboard, print_table
from reports.latex_text import escape
from reports.table import letter
from reports.tables import tables
from tests.latex import compiled
from tests.record_factory import RUN, make_record

THREE = [
    make_record(0.95, encoder="best"),
    make_record(0.90, encoder="second"),
    make_record(0.85, encoder="third"),
]
ODD_TITLE = r"A & B 50% of x_1 #2 {c} \d ~e^f $g$ <h> |i| “é” Š ×"


def _markdown(records):
    return markdown.document(leaderboard.sheets(tables(records)))


def _latex(records):
    return latex.document(leaderboard.sheets(tables(records)))


def _marks(records):
    (table,) = tables(records)
    return {row.encoder: {column: cell.mark for column, cell in row.cells.items()} for row in table.rows}


def _rows(records):
    return {(row.encoder, row.section) for table in tables(records) for row in table.rows}


def test_best_is_bold_and_second_underlined_in_each_dataset_column():
    other = [
        make_record(0.2, encoder="best", dataset="m-so2sat"),
        make_record(0.6, encoder="third", dataset="m-so2sat"),
    ]
    assert _marks([*THREE, *other]) == {
        "best": {"m-eurosat": "best", "m-so2sat": "second"},
        "second": {"m-eurosat": "second"},
        "third": {"m-eurosat": "", "m-so2sat": "best"},
    }


def test_scores_equal_in_print_share_their_mark():
    records = [
        make_record(0.9501, encoder="a"),
        make_record(0.9499, encoder="b"),
        make_record(0.9, encoder="c"),
    ]
    assert _marks(records) == {
        "a": {"m-eurosat": "best"}, "b": {"m-eurosat": "best"}, "c": {"m-eurosat": "second"}
    }  # fmt: skip


def test_footnotes_name_metric_and_groups_of_each_dataset():
    records = [*THREE, make_record(0.4, dataset="m-bigearthnet", metric="f1_micro")]
    assert "micro F1 (m-bigearthnet), accuracy (m-eurosat)" in tables(records)[0].footnotes[0]
    assert "Independent test groups: 2." in tables(records)[0].footnotes


def test_a_column_for_fusion_is_there_only_if_something_is_fused():
    assert "Fuser" not in _markdown(THREE)
    assert "| GW " in _markdown([make_record(fusion="gw")])
    assert "& GW &" in _latex([make_record(fusion="gw")])
    assert " gw " in _console([make_record(fusion="gw")])


def test_a_model_alone_in_its_column_is_not_marked():
    assert _marks(THREE[:1]) == {"best": {"m-eurosat": ""}}


@pytest.mark.parametrize(
    ("winner", "section"),
    [
        ({"weights": {"random": "0"}}, "not ranked"),
        ({"weights": {"w.pt": "random"}}, "not ranked"),
        ({"ranked": False}, "not ranked"),
        ({"role": "floor"}, "floors"),
        ({"role": "floor", "weights": {"random": "0"}}, "floors"),
        ({"role": "control"}, "controls"),
    ],
)
def test_random_weights_floors_and_controls_are_listed_apart_and_never_win(winner, section):
    records = [*THREE, make_record(0.99, encoder="winner", **winner)]
    marks = _marks(records)
    assert marks["winner"] == {"m-eurosat": ""}
    assert marks["best"] == {"m-eurosat": "best"}
    assert ("winner", section) in _rows(records)
    body = _latex(records)
    assert "\\textbf{99.0}" not in body
    assert "underline{99.0}" not in body
    assert "**99.0**" not in _markdown(records)


def test_one_unranked_cell_keeps_its_row_but_not_its_mark():
    records = [*THREE, make_record(0.99, half_width=0.01, encoder="best", dataset="m-so2sat", ranked=False),
               make_record(0.5, encoder="third", dataset="m-so2sat")]  # fmt: skip
    assert _marks(records)["best"] == {"m-eurosat": "best", "m-so2sat": ""}
    assert "99.0<sup>†</sup>" in _markdown(records)
    assert r"99.0\leaderboardscripts{$\dagger$}{$\pm$" in _latex(records)


@pytest.mark.parametrize(
    "other",
    [
        {"protocol_hash": "ffffffffffff"},
        {"protocol": "satdifuser_code"},
        {"bands": "authors"},
        {"band_names": "stored"},
        {"partition": "0.01x"},
        {"probe": "knn"},
        {"probe_version": 2},
        {"fusion": "gw", "fuser": {"kind": "gw"}},
        {"task": "segmentation"},
    ],
)
def test_incomparable_records_never_share_a_table(other):
    records = [make_record(0.9), make_record(0.8, encoder="dofa", **other)]
    assert [len(table.rows) for table in tables(records)] == [1, 1]
    assert [line["table"] for line in spreadsheets.wide(tables(records))] == [1, 2]


@pytest.mark.parametrize("other", [{"data": {"test": "9999"}}, {"metric": "f1_micro"}])
def test_other_data_or_metric_under_one_dataset_name_is_another_column(other):
    (table,) = tables([make_record(0.9), make_record(0.8, encoder="dofa", **other)])
    assert len(table.columns) == 2
    assert all(column.startswith("m-eurosat (") for column in table.columns)
    assert all(cell.mark == "" for row in table.rows for cell in row.cells.values())


def test_segmentation_shows_unfused_beside_fused():
    records = [make_record(0.9, task="segmentation", fusion=fusion) for fusion in ("none", "gw")]
    (table,) = tables(records)
    assert [row.fusion for row in table.rows] == ["gw", "none"]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"encoder_options": {"timesteps": [1, 100]}}, "timesteps [1, 100]"),
        ({"encoder_version": 2}, "encoder version 2"),
        ({"precision": "bfloat16"}, "precision bfloat16"),
        ({"missing_bands": ("zero_raw",)}, 'missing bands ["zero_raw"]'),
        ({"image_size": 224}, "image size 224"),
        ({"encoder": "croma2", "title": "CROMA"}, "encoder croma2"),
    ],
)
def test_two_configurations_of_one_encoder_are_two_rows_and_say_what_differs(other, told):
    (table,) = tables([make_record(0.9), make_record(0.8, **other)])
    assert len(table.rows) == 2
    assert f"CROMA ({told})" in {row.title for row in table.rows}


def test_one_encoder_fed_otherwise_on_another_dataset_stays_one_row():
    (table,) = tables([make_record(0.9), make_record(0.8, dataset="m-so2sat", image_size=256, inputs=("other",))])
    assert [len(row.cells) for row in table.rows] == [2]


def test_seeds_are_averaged_and_a_record_given_twice_counts_once():
    records = [make_record(0.8, seed=0), make_record(0.9, seed=1), make_record(0.9, seed=1)]
    (table,) = tables(records)
    cell = table.rows[0].cells["m-eurosat"]
    assert (cell.value, cell.seeds) == (pytest.approx(0.85), 2)
    assert (cell.low, cell.high) == (pytest.approx(0.83), pytest.approx(0.87))
    assert len(spreadsheets.tidy(records, tables(records))) == 2


def test_rows_with_every_dataset_come_before_rows_with_gaps():
    records = [*THREE, make_record(0.1, encoder="third", dataset="m-so2sat")]
    (table,) = tables(records)
    assert [row.encoder for row in table.rows] == ["third", "best", "second"]


def test_a_cell_that_was_not_run_shows_two_dashes():
    records = [*THREE[:2], make_record(0.5, encoder="best", dataset="m-so2sat")]
    assert re.search(r"SECOND +\| .* -- \|", _markdown(records))
    assert re.search(r"SECOND & -- & \\underline", _latex(records))
    assert "--" in _console(records)


def test_spreadsheets_number_tables_as_those_printed(tmp_path):
    part = [make_record(0.5, encoder="croma", partition="0.01x_train", ranked=False)]
    leaderboard.write([*part, make_record(0.9, encoder="croma"), make_record(0.8, encoder="dofa")], tmp_path)
    wide, published = (pd.read_csv(tmp_path / f"leaderboard_{one}.csv") for one in ("wide", "published"))
    assert dict(zip(wide["table"], wide["partition"], strict=True)) == {1: "default", 2: "0.01x_train"}
    assert set(published["table"]) == {1}


def test_latex_gives_both_ends_of_an_interval_that_is_uneven():
    even, uneven = make_record(0.9), make_record(0.804, dataset="m-so2sat")
    ends = Interval(0.365, 1.0, "95% percentile bootstrap")
    text = _latex([even, replace(uneven, score=replace(uneven.score, interval=ends))])
    assert r"90.0\leaderboardscripts{}{$\pm$2.0}" in text
    assert r"80.4\leaderboardscripts{$+$19.6}{$-$43.9}" in text
    assert "After $\\pm$: half" in text
    assert "Raised and lowered" in text
    assert "Raised and lowered" not in _latex([even])


def test_an_interval_that_could_not_be_made_is_not_printed():
    records = [make_record(0.9, half_width=0.0)]
    assert "\\pm$0.0" not in _latex(records)
    assert "[90.0" not in _markdown(records)


def test_flags_become_lettered_notes():
    records = [make_record(0.9, flags=("leaks", "edge")), make_record(0.8, encoder="dofa", flags=("edge",))]
    (table,) = tables(records)
    assert set(table.notes) == {"leaks", "edge"}
    assert [len(row.cells["m-eurosat"].notes) for row in table.rows] == [2, 1]
    assert [letter(index) for index in (0, 25, 26, 52)] == ["a", "z", "aa", "ba"]


def test_tidy_and_wide_agree(tmp_path):
    records = [*THREE, make_record(0.4, encoder="best", dataset="m-so2sat"), make_record(0.3, probe="knn")]
    leaderboard.write(records, tmp_path)
    tidy = pd.read_csv(tmp_path / "leaderboard.csv")
    wide = pd.read_csv(tmp_path / "leaderboard_wide.csv")
    cells = wide.melt(["encoder", "probe"], ["m-eurosat", "m-so2sat"], "dataset", "value").dropna()
    as_set = lambda frame: set(frame[["encoder", "probe", "dataset", "value"]].itertuples(index=False))  # noqa: E731
    assert as_set(tidy) == as_set(cells)
    assert len(tidy) == len(records)


def test_tidy_names_random_weights_and_shortens_hashes():
    records = [make_record(), make_record(encoder="x", weights={"random": "1"}, ranked=True)]
    lines = spreadsheets.tidy(records, tables(records))
    assert {(line["weights"], line["ranked"]) for line in lines} == {("abababab", True), ("random", False)}


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_no_text_is_a_formula_to_a_spreadsheet_and_numbers_stay_numbers(tmp_path, start):
    records = [
        make_record(0.9, title=f"{start}SUM(A1)", flags=(f"{start}x",)),
        make_record(-0.1, encoder="y"),
    ]
    leaderboard.write(records, tmp_path)
    frame = pd.read_csv(tmp_path / "leaderboard.csv")
    assert f"'{start}SUM(A1)" in set(frame["title"])
    assert frame["value"].min() == pytest.approx(-0.1)
    assert not re.search(r"(^|,)[=+@]", (tmp_path / "leaderboard.csv").read_text(), re.MULTILINE)
    assert f"'{start}SUM(A1)" in (tmp_path / "leaderboard_wide.csv").read_text()


def test_writing_twice_gives_the_same_bytes_in_any_order_of_records(tmp_path):
    first = [path.read_bytes() for path in leaderboard.write(THREE, tmp_path)]
    second = [path.read_bytes() for path in leaderboard.write(reversed(THREE), tmp_path)]
    assert first == second


def test_latex_escapes_every_special_character():
    assert escape("a & b % c_d # $ { } \\ ~ ^") == (
        r"a \& b \% c\_d \# \$ \{ \} \textbackslash{} \textasciitilde{} \textasciicircum{}"
    )
    assert escape("é Å ï 卫星\n\tx\x00") == r"\'{e} \r{A} \"{\i{}} ?? x"


def test_markdown_escapes_what_would_break_a_table():
    text = _markdown([make_record(title="a|b *c* <d>")])
    assert r"a\|b \*c\* \<d\>" in text


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
def test_latex_compiles_with_plain_pdflatex(tmp_path):
    letters = "".join(map(chr, range(0x20, 0x250)))
    records = [
        *THREE,
        make_record(0.99, title=ODD_TITLE, encoder="odd", flags=("50% _x_", letters)),
        make_record(0.7, title="[1] Bracket", encoder="floor", role="floor"),
        make_record(0.6, encoder="rnd", weights={"random": "0"}),
        make_record(0.3, probe="knn"),
        *(make_record(0.5, encoder=f"e{number}", probe="knn") for number in range(90)),
    ]
    leaderboard.write(records, tmp_path)
    assert "(part 3 of 3)" in (tmp_path / "leaderboard.tex").read_text()
    compiled(tmp_path)


def _console(records):
    out = StringIO()
    print_leaderboard(records, Console(file=out, width=200, force_terminal=True, color_system="standard"))
    return out.getvalue()


def test_the_terminal_shows_the_same_table():
    text = _console([*THREE, make_record(0.7, encoder="floor", role="floor", title="[bold]x")])
    assert "\x1b[1m95.0" in text
    assert "\x1b[4m90.0" in text
    assert "floors" in text
    assert "[bold]x" in text


def test_print_table_takes_any_values_as_they_are():
    out = StringIO()
    print_table(["name", "n"], [["[red]", 1], [Path("x"), None]], Console(file=out, width=80))
    assert "[red]" in out.getvalue()
    assert "None" in out.getvalue()


def test_the_factory_makes_a_record_that_is_its_own():
    assert make_record().run == RUN


def test_a_score_below_the_image_statistics_of_its_column_is_flagged():
    floor = {"encoder": "imagestats", "role": "floor", "title": "Image statistics"}
    records = [
        make_record(0.7, **floor),
        make_record(0.6, encoder="below"),
        make_record(0.8, encoder="above"),
        make_record(0.5, encoder="below", dataset="m-so2sat"),
    ]
    (table,) = tables(records)
    flagged = {
        (row.encoder, column)
        for row in table.rows
        for column, cell in row.cells.items()
        if any("below image statistics" in table.notes[note] for note in cell.notes)
    }
    assert flagged == {("below", "m-eurosat")}
