"""Figures draw what records say, the same bytes each time, and tell rows apart without colour."""

import hashlib
import itertools
import re
import shutil
import sys
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from benchmark import children
from benchmark.pictures import files
from benchmark.record_store import RecordStore
from benchmark.records import Record
from benchmark.scoring import npz
from encoders.errors import UserError
from reports import derived, figures
from reports.figures import charts, choice, classes, cost, examples, painters, style
from reports.figures.catalogue import _plain, unique
from reports.figures.details import Details
from reports.figures.fonts import FAMILY, figure_font
from reports.figures.painters import Painters
from reports.merging import merge
from reports.table import Table
from reports.tables import tables
from tests.record_factory import make_record

CLASSES = ["no tree", "tree"]
TEST = "ab" * 32


def stored(folder: Path, record: Record, predictions: dict[str, np.ndarray]) -> Record:
    content = npz.pack(predictions)
    record = replace(record, key=record.run.key, predictions_sha256=hashlib.sha256(content).hexdigest())
    config = {"dataset": {"class_names": CLASSES}}
    record = replace(record, provenance=replace(record.provenance, config=config))
    RecordStore(folder).write(record, content)
    return record


def masks_record(folder: Path, encoder: str, value: float, **changes: Any) -> Record:
    facts = {"metric": "miou_truth", "num_classes": 2, "no_data": 0}
    record = make_record(
        value, metric="miou_truth", encoder=encoder, task="segmentation", probe="upernet", dataset="m-NeonTree",
        dataset_facts=facts, data={"train": "1", "valid": "2", "test": TEST}, **changes,
    )  # fmt: skip
    score = replace(record.score, confusion=[[30, 10], [5, 55]], metrics={"miou_truth": value})
    masks = np.zeros((3, 64, 64), np.uint8)
    masks[:, :, :20] = 1
    names = np.array(["a", "b", "c"])
    return stored(folder, replace(record, score=score), {"masks": masks, "samples": names})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("records")
    labels = {"scores": np.eye(2, dtype=np.float32)[[0, 1, 1]], "samples": np.array(["a", "b", "c"])}
    for encoder, value in (("croma", 0.9), ("dofa", 0.8)):
        for partition in ("default", "0.10x_train"):
            less = 0.0 if partition == "default" else 0.2
            stored(made, make_record(value - less, encoder=encoder, partition=partition), labels)
    one = masks_record(made, "satdifuser", 0.6, fusion="gw", fuser={"kind": "gw"})
    masks_record(made, "croma", 0.5)
    truth = np.zeros((3, 64, 64), np.uint8)
    truth[:, :32] = 1
    images = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3)).astype(np.uint8)
    shown = {"images": images, "truth": truth, "samples": np.array(["a", "b", "c"]), "classes": np.array(CLASSES)}
    files.write(files.examples_path(made, "m-NeonTree", TEST), shown)
    weights = np.full((2, 3), 1 / 6, np.float32)
    about = {"kind": np.array("gw"), "views": np.array(["t=1", "t=2"]), "modules": np.array(["b.attn1", "b.conv2", "c.conv2"]),
             "level": np.array([0, 0, 1]), "strides": np.array([8, 16])}  # fmt: skip
    files.write(files.fuser_path(made, one.run.key), about | {"weights": weights})
    return made


@pytest.fixture(scope="module")
def drawn(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("drawn")
    merged = merge([folder])
    figures.write(merged, tables(merged.records, merged.absences), output)
    return output / "figures"


def test_every_kind_of_figure_is_drawn_as_png_and_pdf_and_stands_in_the_index(drawn: Path) -> None:
    names = {path.stem for path in drawn.glob("*.png")}
    assert names == {path.stem for path in drawn.glob("*.pdf")}
    masks, labels = "segmentation-upernet-frozen-rgb", "classification-linear-frozen-rgb"
    assert names == {
        *(f"{kind}-{which}" for kind in ("scores", "cost", "classes", "calibration") for which in (masks, labels)),
        f"confusion-m-NeonTree-{masks}", f"confusion-m-eurosat-{labels}", f"examples-m-NeonTree-{masks}",
        f"weights-SATDIFUSER-gw-{masks}", f"fractions-geo-bench-{labels}",
    }  # fmt: skip
    index = (drawn / "index.md").read_text()
    assert all(f"`{name}`" in index for name in names)
    assert not list(drawn.glob(".*"))


def test_the_same_records_give_the_same_bytes_without_a_date(
    folder: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two figures are enough: what differed would be the font, the metadata or an identifier.
    monkeypatch.setattr(cost, "compared", lambda *_: None)
    for name in ("by_class", "calibration", "confusions"):
        monkeypatch.setattr(classes, name, lambda *_: None)
    merged = merge([folder])
    figures.write(merged, tables(merged.records, merged.absences), tmp_path)
    again = sorted((tmp_path / "figures").glob("*.p*"))
    assert len(again) >= 8
    for path in again:
        content = path.read_bytes()
        assert content == (drawn / path.name).read_bytes(), path.name
        assert b"Date" not in content
        assert b"matplotlib" not in content.lower()


def test_figures_fit_a_column_or_a_page(drawn: Path) -> None:
    for path in drawn.glob("*.png"):
        width = Image.open(path).width / style.DPI
        assert width == pytest.approx(style.PAGE) or width < style.PAGE, path.name


def made(folder: Path) -> list[Table]:
    merged = merge([folder])
    return tables(merged.records, merged.absences)


def test_a_row_has_one_look_everywhere_and_encoders_differ_without_colour(folder: Path) -> None:
    found = style.looks(made(folder))
    assert style.looks(made(folder)[:1]).keys() < found.keys()
    plain, fused = found["CROMA"], found["SATDIFUSER +\u00a0GW"]
    assert plain.marker != fused.marker
    assert plain.colour != fused.colour
    assert plain.fill != fused.fill


def test_colours_of_rows_and_of_masks_are_never_that_of_an_error() -> None:
    assert len(set(style.PALETTE)) == len(style.PALETTE)
    assert len(set(examples.CLASS_COLOURS)) == len(examples.CLASS_COLOURS)
    assert style.WRONG not in examples.CLASS_COLOURS


def test_partitions_are_read_as_fractions() -> None:
    assert charts.fraction_of("0.10x_train") == ("GEO-Bench", 0.1)
    assert charts.fraction_of("stratified_0.05_draw3") == ("stratified", 0.05)
    assert charts.fraction_of("default") is None
    assert charts.fraction_of("spatial") is None


def test_label_fractions_end_at_the_whole_of_train(folder: Path) -> None:
    (found,) = charts.curves(made(folder))
    assert (found.kind, list(found.tables)) == ("GEO-Bench", [0.1, 1.0])
    values = [[row.cells["m-eurosat"].value for row in tables[0].rows] for tables in found.tables.values()]
    assert values == [pytest.approx([0.7, 0.6]), pytest.approx([0.9, 0.8])]


def bars_of(made: Any) -> list[tuple[float, float]]:
    """Middle and half length of each error bar, per cent."""
    (ax,) = made.axes
    segments = [one for container in ax.containers for one in container.lines[2][0].get_segments()]
    return [(float(one[:, 1].mean()), float(np.ptp(one[:, 1]) / 2)) for one in segments]


def test_bars_of_label_fractions_are_the_deviation_that_the_page_gives() -> None:
    records = [
        make_record(value, encoder="croma", seed=seed, partition=partition)
        for partition, values in (("stratified_0.10_draw0", (0.5, 0.6)), ("stratified_0.10_draw1", (0.65, 0.9)))
        for seed, value in enumerate(values)
    ]
    records += [make_record(0.95, encoder="croma")]
    found = tables(records)
    (curve,), (drawn,) = derived.curves(found), charts.curves(found)
    expected = [(100 * point.mean, 100 * point.std) for point in curve.points]
    assert expected[0][1] > 0
    assert bars_of(charts.fractions(drawn, style.looks(found))) == pytest.approx(np.array(expected), abs=1e-9)
    assert drawn.bars == "deviation over draws and seeds, none where there is but one"
    one = replace(drawn, with_intervals=True)
    assert bars_of(charts.fractions(one, style.looks(found)))[1] == pytest.approx((95, 2))
    assert "the interval where there is but one" in one.bars


def test_a_text_in_another_alphabet_is_drawn_from_the_whole_font(recwarn: pytest.WarningsRecorder) -> None:
    with figure_font() as family, mpl.rc_context({"font.family": family}):
        one = style.figure(1, 1)
        one.text(0.1, 0.5, "Ä ✓ † лес")
        one.canvas.draw()
    assert not [str(one.message) for one in recwarn if "lyph" in str(one.message)]
    from matplotlib.font_manager import fontManager

    assert FAMILY[0] not in {entry.name for entry in fontManager.ttflist}


HOSTILES = {
    r"$\input{/etc/passwd}$": "a formula that reads a file",
    "cost $x$ enc": "a formula",
    "a\n\x1b[2Jb": "steers a terminal",
    "_led by a line": "what a legend leaves out",
    "x" * 300: "longer than a file's name may be",
    "": "nothing",
}


@pytest.mark.parametrize("name", HOSTILES, ids=HOSTILES.get)
def test_names_that_users_supply_are_drawn_as_they_stand(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    from matplotlib.mathtext import MathTextParser

    def refuse(*_: object) -> None:
        raise AssertionError("set as a formula")

    monkeypatch.setattr(MathTextParser, "parse", refuse)
    monkeypatch.setattr(sys.modules[__name__], "CLASSES", [name, name])
    labels = {"scores": np.eye(2, dtype=np.float32)[[0, 1, 1]], "samples": np.array(["a", "b", "c"])}
    for value, fusion in ((0.8, "none"), (0.9, name)):
        stored(tmp_path, make_record(value, title=name, dataset=name, fusion=fusion, fuser={"kind": "gw"}), labels)
    masks_record(tmp_path, "croma", 0.5, title=name)
    merged = merge([tmp_path])
    drawn = figures.write(merged, tables(merged.records), tmp_path)
    assert {one.name.split("-")[0] for one in drawn} == {"scores", "cost", "classes", "calibration", "confusion"}
    assert not [str(one.message) for one in recwarn if "lyph" in str(one.message)]


def test_file_names_tell_long_and_foreign_names_apart() -> None:
    names = ["m-eurosat", "x" * 300, "x" * 299, "лес", "поле", "caf\u00e9", "caf\u00e8"]
    told = [_plain(name) for name in names]
    assert told[0] == "m-eurosat"
    assert len(set(told)) == len(names)
    assert all(re.fullmatch(r"[\w.-]{1,60}", name, re.ASCII) for name in told)


def test_a_figure_with_room_for_few_shows_the_best_ranked_models_of_all_fusers_and_floors_last() -> None:
    fused = {"task": "segmentation", "probe": "upernet"}
    records = [
        make_record(0.70, encoder="a", fusion="gw", fuser={"kind": "gw"}, **fused),
        make_record(0.80, encoder="a", fusion="moe", fuser={"kind": "moe"}, **fused),
        make_record(0.60, encoder="b", fusion="gw", fuser={"kind": "gw"}, **fused),
        make_record(0.99, encoder="z", ranked=False, **fused),
        make_record(0.98, encoder="floor", role="floor", **fused),
    ]
    (table,) = tables(records)

    def chosen(most: int) -> list[str]:
        return [style.label(row).replace("\u00a0", " ") for row in choice.best(table, table.columns, most)]

    assert chosen(9) == ["A + MoE", "B + GW", "A + GW", "Z", "FLOOR"]
    assert chosen(2) == ["A + MoE", "B + GW"]
    assert choice.best_in_words(table, table.columns, 2).startswith("; 2 of 5 rows: the best ranked models")
    assert choice.best_in_words(table, table.columns, 5) == ""
    (unranked,) = tables(records[3:])
    assert [row.title for row in choice.best(unranked, unranked.columns, 1)] == ["Z"]


def test_settings_of_the_user_or_of_a_library_change_no_figure(tmp_path: Path) -> None:
    def drawn(name: str) -> bytes:
        with style.drawing():
            made = style.figure(1, 1)
            made.add_axes((0.2, 0.2, 0.6, 0.6)).plot([0, 1], label="a")
        return style.save(made, tmp_path, name)[0].read_bytes()

    expected = drawn("one")
    with mpl.rc_context({"axes.facecolor": "black", "xtick.bottom": False, "figure.facecolor": "grey"}):
        assert drawn("other") == expected


def test_titles_of_several_lines_lie_inside_the_figure(tmp_path: Path) -> None:
    title = "an encoder with a name of its own and of several lines, too"
    record = masks_record(tmp_path, "croma", 0.5, title=title)
    (table,) = tables([record])
    with style.drawing():
        made = classes.confusions(table, "m-NeonTree", Details({record.run.key: tmp_path}), CLASSES)
        ax = made.axes[0]
        assert "\n" in ax.get_title()
        box = ax.title.get_window_extent(made.canvas.get_renderer())
    assert box.y1 <= made.bbox.y1


def test_seeds_of_a_cell_are_added_up_and_damage_is_a_sentence(tmp_path: Path) -> None:
    one = masks_record(tmp_path, "croma", 0.5, seed=0)
    two = masks_record(tmp_path, "croma", 0.6, seed=1)
    details = Details({record.run.key: tmp_path for record in (one, two)})
    assert details.confusion([one.run.key, two.run.key]).tolist() == [[60, 20], [10, 110]]
    assert details.classes(one.run.key) == CLASSES
    assert details.examples(one.run.key) is None
    RecordStore(tmp_path).predictions_path(one.run.key).write_bytes(b"cut")
    with pytest.raises(UserError, match=r"see `evaluate\.py verify`"):
        details.predictions(one.run.key)
    RecordStore(tmp_path).predictions_path(one.run.key).unlink()
    assert details.predictions(one.run.key) is None


def test_two_figures_never_share_a_name() -> None:
    names = unique(["a", "b", "a", "a"])
    assert names == ["a-1", "b", "a-2", "a-3"]
    assert all(one != other for one, other in itertools.combinations(names, 2))


def test_several_processes_draw_what_one_does_and_those_that_die_are_not_missed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "cores", lambda: 3)
    written = []
    merged = merge([folder])
    found = [table for table in tables(merged.records) if table.settings["task"] == "segmentation"]
    for dies in (False, True):
        output = tmp_path / str(dies)
        with Painters(helped=True) as drawing:
            if dies:
                for process, _ in drawing._helpers:
                    process.kill()
                    process.join()
            drawing.begin(merged.folders, found, [], output)
            if not dies:  # it draws the first ones while this process has other things to do
                deadline = time.monotonic() + 60
                while drawing._counter.value < 2 and time.monotonic() < deadline:
                    time.sleep(0.01)
                assert drawing._counter.value >= 2
            listed = drawing.finish()
        written.append({path.name: path.read_bytes() for path in (output / "figures").iterdir()})
        index = written[-1]["index.md"].decode()
        assert [one.name for one in listed] == re.findall(r"^- `([^`]+)`", index, re.MULTILINE)
        assert {one.name.split("-")[0] for one in listed if one.picture} == {"examples", "weights"}
    assert written[0] == written[1]
    assert len(written[0]) == 1 + 2 * len(listed) > 10


def count_for_ever(pipe: Connection, counter: Any) -> None:
    """Another process, until it is killed."""
    counter.get_lock().acquire()
    pipe.send("begun")
    time.sleep(60)


def test_a_process_that_was_killed_while_it_counted_leaves_its_share_to_this_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "cores", lambda: 2)
    monkeypatch.setattr(painters, "SECONDS_TO_COUNT", 0.1)
    merged = merge([folder])
    with Painters(helped=True) as both:
        counting, told = children.start(count_for_ever, both._counter)
        told.recv()
        for process in (counting, both._helpers[0][0]):
            process.kill()
            process.join()
        both.begin(merged.folders, list(tables(merged.records)), [], tmp_path)
        listed = both.finish()
    assert len(listed) > 5


def test_what_is_damaged_is_told_whoever_meets_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "cores", lambda: 2)
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    merged = merge([damaged])
    for path in (damaged / "predictions").glob("*.npz"):
        path.write_bytes(b"cut")
    with Painters(helped=True) as drawing:
        drawing.begin(merged.folders, [tables(merged.records)[-1]], [], tmp_path)
        with pytest.raises(UserError, match=r"see `evaluate\.py verify`"):
            drawing.finish()
    assert all(process.exitcode is not None for process, _ in drawing._helpers)
