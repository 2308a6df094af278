"""The page: sorted, filtered and opened in a real browser, from disk; no request, no error, no markup out of a name."""

import io
import json
import re
from dataclasses import replace

import pytest
from PIL import Image

from benchmark.record_store import RecordStore
from reports import page
from reports.figures import cost
from reports.figures.catalogue import PREVIEWS
from reports.figures.painters import Drawn
from reports.merging import merge
from reports.page import pictures
from reports.page.behind import MOST_CLASSES, added
from reports.tables import tables
from tests.record_factory import COST, PREDICTIONS, PROVENANCE, make_record

HOSTILE = '</script></title><img src=x onerror="hacked=1"><script>hacked=1</script>\'&amp;\u2028{{ 7*7 }}'
HOSTILES = {
    HOSTILE: "markup",
    "\"onmouseover=hacked=1 x='\"'onfocus=hacked=1 autofocus ": "quotes",
    "javascript:hacked=1//`${hacked=1}`": "a script's address",
    "\u202egnp.egami\u2066 \u0627\u0644\u0639": "turned right to left",
    "\\u202egnp.egami \\\u202e": "turned right to left behind a backslash",
    "a\x1b[2J\x1b]0;hacked\x07\x9b31m": "steers a terminal",
}
CARD = {
    "encoder_inputs": "RGB",
    "dataset": "m-eurosat",
    "side": 64,
    "images": 24,
    "value_rule": "authors",
    "channels": [{"wanted": "red", "wavelength_um": 0.665, "source": "B04", "stored_name": "04 - Red", "unit": "dn",
                  "rule": "divide by=4095.0", "mean_before": 1491.0, "std_before": 390.0, "mean_after": 0.364,
                  "std_after": 0.095, "share_clipped": 0.25}],
}  # fmt: skip


def _record(value, encoder, speed=1.0, **changes):
    config = {"dataset": {"class_names": ["Forest", "River"]}, "protocol": {"epochs": 50, "name": "frozen"}}
    return make_record(
        value,
        encoder=encoder,
        **{
            "cost": replace(COST, encode_seconds=COST.images / speed),
            "input_card": CARD,
            "provenance": replace(PROVENANCE, config=config),
            **changes,
        },
    )


RECORDS = [
    _record(value + shift, encoder, seed=seed, **more)
    for seed, shift in enumerate((-0.01, 0.01))
    for value, encoder, more in (
        (0.90, "croma", {"speed": 10}),
        (0.81, "dofa", {"speed": 40}),
        (0.70, "satmae", {"speed": 20}),
        (0.60, "satlas", {"speed": 90}),
        (0.85, "croma", {"speed": 10, "dataset": "m-so2sat"}),
        (0.95, "dofa", {"speed": 40, "dataset": "m-so2sat"}),
        (0.98, "imagestats", {"speed": 500, "role": "floor"}),
        (0.50, "croma", {"bands": "authors"}),
    )
]


def _page(folder, records):
    store = RecordStore(folder)
    for record in records:
        store.write(record, PREDICTIONS)
    merged = merge([folder])
    return page.write(page.content(merged, tables(merged.records)), folder)


class Visit:
    """A page that was opened, and what it asked for and complained of."""

    def __init__(self, browser, path, **options):
        self.tab = browser.new_page(**options)
        self.complaints, self.requests = [], []
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.goto(path.as_uri())
        self.own = path.as_uri()

    def titles(self):
        return self.tab.locator(".set:visible tr[data-row]:visible .open").all_inner_texts()

    def close(self):
        assert self.complaints == []
        assert self.requests == [self.own]
        self.tab.close()


@pytest.fixture
def visit(chromium, tmp_path):
    opened = []

    def go(records=RECORDS, **options):
        opened.append(Visit(chromium, _page(tmp_path, records), **options))
        return opened[-1]

    yield go
    for one in opened:
        one.close()


def test_a_column_sorts_by_score_within_its_section_and_missing_cells_stay_last(visit):
    seen = visit(viewport={"width": 1200, "height": 800})
    seen.tab.select_option("#set", label=seen.tab.locator("#set option", has_text="rgb").inner_text())
    head = seen.tab.locator(".set:visible thead th", has_text="m-eurosat")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert seen.titles() == ["CROMA", "DOFA", "SATMAE", "SATLAS", "IMAGESTATS"]
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert seen.titles() == ["SATLAS", "SATMAE", "DOFA", "CROMA", "IMAGESTATS"]
    other = seen.tab.locator(".set:visible thead th", has_text="m-so2sat")
    other.get_by_role("button").press("Enter")
    assert seen.titles()[:2] == ["DOFA", "CROMA"]
    assert head.get_attribute("aria-sort") == "none"


def test_the_filter_leaves_its_rows_in_table_and_charts(visit):
    seen = visit()
    seen.tab.select_option("#set", "1")
    seen.tab.fill("#filter", "sat LAS")
    assert seen.titles() == ["SATLAS"]
    assert seen.tab.inner_text("#count") == "1 of 5 rows"
    assert seen.tab.locator("#bars .who").all_inner_texts() == ["SATLAS"]
    seen.tab.select_option("#classes-dataset", label="m-eurosat")
    assert seen.tab.locator("#classes tbody th").all_inner_texts() == ["SATLAS"]
    seen.tab.fill("#filter", "")
    seen.tab.get_by_label("floors").uncheck()
    assert "IMAGESTATS" not in seen.titles()


def test_the_keyboard_opens_a_row_with_all_that_lies_behind_it_and_closes_it(visit):
    seen = visit()
    seen.tab.select_option("#set", "1")
    button = seen.tab.locator(".set:visible .open", has_text="DOFA")
    button.press("Enter")
    dialog = seen.tab.get_by_role("dialog")
    assert "95.0" in dialog.inner_text()
    dialog.get_by_label("Dataset").select_option(label="m-eurosat")
    assert dialog.locator("h3").all_inner_texts() == [
        "Score", "Flags", "Classes", "Input card", "Cost", "Protocol", "Encoder and run", "Provenance"
    ]  # fmt: skip
    text = dialog.inner_text()
    for said in (
        "81.0",
        "mean over 2 seeds",
        "divide by=4095.0",
        "25.0",
        "Forest",
        "0123456789ab",
        "epochs",
        "torch 2.9.0",
    ):
        assert said in text, said
    assert dialog.locator(".confusion td").all_inner_texts() == ["100", "", "", "100"]
    assert [
        one.key for one in RECORDS if one.run.encoder == "dofa" and one.run.dataset == "m-eurosat"
    ] == dialog.locator("code").all_inner_texts()
    seen.tab.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert button.evaluate("one => one === document.activeElement")


def test_a_missing_score_gives_its_reason_in_table_and_row(visit):
    seen = visit()
    seen.tab.select_option("#set", "1")
    row = seen.tab.locator(".set:visible tr", has_text="SATMAE")
    assert row.locator(".missing").all_inner_texts() == ["not run"]
    row.locator(".open").click()
    part = seen.tab.locator("dialog section", has=seen.tab.get_by_text("Datasets without a score", exact=True))
    assert part.locator("tbody tr").all_inner_texts() == ["m-so2sat\tnot run\t–"]


def test_an_address_leads_back_to_the_cell_it_was_copied_from(visit):
    seen = visit()
    seen.tab.select_option("#set", "1")
    seen.tab.locator(".set:visible tr", has_text="DOFA").locator("td").nth(1).click()
    address = seen.tab.evaluate("location.hash")
    seen.tab.evaluate("location.hash = '#1'")
    seen.tab.wait_for_selector("dialog", state="hidden")
    seen.tab.evaluate(f"location.hash = '{address}'")
    assert "m-so2sat" in seen.tab.wait_for_selector("dialog .bar-top").inner_text()
    assert "95.0" in seen.tab.inner_text("dialog")


def test_the_front_joins_the_ranked_models_that_none_beats_in_score_and_cost(visit):
    seen = visit()
    seen.tab.select_option("#set", "1")
    seen.tab.select_option("#cost-score", label="m-eurosat (accuracy)")
    front = seen.tab.locator("#cost .point.onfront").evaluate_all(
        "all => all.map(one => one.dataset.tip.split('\\n')[0])"
    )
    assert sorted(front) == ["CROMA", "DOFA", "SATLAS"]
    seen.tab.select_option("#cost-score", "mean")
    assert seen.tab.locator("#cost .point[data-row]").count() == 2
    assert "3 rows have no such point" in seen.tab.inner_text("#cost .said")


def test_a_mean_score_against_cost_is_that_of_the_figure_and_so_is_its_front(visit):
    metrics = {"m-bigearthnet": "f1_micro", "m-cashew-plant": "accuracy"}
    extra = [
        _record(value, encoder, speed=speed, dataset=dataset, metric=metric)
        for encoder, value, speed in (("croma", 0.1, 10), ("dofa", 0.2, 40))
        for dataset, metric in metrics.items()
    ]
    records = [one for one in [*RECORDS, *extra] if one.run.bands == "rgb"]
    seen = visit(records)
    assert "Score: mean accuracy over m-so2sat, m-eurosat, without" in seen.tab.inner_text("#cost .said")
    (table,) = tables(records)
    shown = cost.compared(table)
    front = {name for name, point in shown.points[0].items() if point in shown.fronts[0]}
    points = seen.tab.locator("#cost .point[data-row]")
    tips = dict(points.evaluate_all("all => all.map(one => one.dataset.tip.split('\\n'))"))
    assert {name: text.split(" at ")[0] for name, text in tips.items()} == {
        name: f"{score:.1f}" for name, (_, score) in shown.points[0].items()
    }
    on_front = seen.tab.locator("#cost .point.onfront").evaluate_all(
        "all => all.map(one => one.dataset.tip.split('\\n')[0])"
    )
    assert set(on_front) == front == {"DOFA"}


def test_speeds_of_two_devices_make_no_front_whatever_a_floor_ran_on(visit):
    elsewhere = replace(PROVENANCE, device="another", config={})
    records = [*RECORDS[:2], _record(0.99, "imagestats", role="floor", provenance=elsewhere)]
    seen = visit([*records, _record(0.95, "satmae", speed=90)])
    assert seen.tab.locator("#cost .front").count() == 0  # one model beats all
    assert "The line joins" in seen.tab.inner_text("#cost .said")
    seen = visit([*records, _record(0.95, "satlas", speed=90, provenance=elsewhere)])
    assert "Measured on 2 kinds of device" in seen.tab.inner_text("#cost .said")
    seen.tab.select_option("#cost-kind", "frozen_parameters")
    assert "The line joins" in seen.tab.inner_text("#cost .said")


def _confused(record, right):
    return replace(record, score=replace(record.score, confusion=[[right, 100 - right], [100 - right, right]]))


def test_by_class_only_ranked_scores_compete_and_others_are_marked(visit):
    records = [
        _confused(_record(0.9, "croma", ranked=False), 99),  # a model: ranked elsewhere
        _record(0.85, "croma", dataset="m-so2sat"),
        _confused(_record(0.8, "dofa"), 80),
        _confused(_record(0.7, "satmae"), 70),
        _confused(_record(0.6, "satlas", weights={"random": "0"}), 60),
    ]
    seen = visit(records)
    seen.tab.select_option("#classes-dataset", label="m-eurosat")
    top = seen.tab.locator("#classes tr", has=seen.tab.locator(".top"))
    assert top.locator("th").all_inner_texts() == ["DOFA"]
    named = set(seen.tab.locator("#classes tbody th").all_inner_texts())
    assert named == {"CROMA†", "DOFA", "SATMAE", "SATLAS random weights†"}
    assert "† not ranked: random weights" in seen.tab.inner_text("#classes .said")
    panel = seen.tab.locator("#bars .panel", has_text="m-eurosat")
    assert panel.locator(".figure").all_text_contents() == ["80.0", "70.0", "90.0†", "60.0†"]
    assert "† not ranked: random weights" in seen.tab.inner_text("#bars .said")
    seen.tab.fill("#filter", "dofa")
    assert "†" not in seen.tab.inner_text("#bars .said") + seen.tab.inner_text("#classes .said")


def test_the_keyboard_goes_along_the_bars_of_a_panel_and_opens_one(visit):
    seen = visit()
    seen.tab.select_option("#set", "1")
    panel = seen.tab.locator("#bars .panel", has_text="m-eurosat")
    buttons = panel.get_by_role("button")
    assert buttons.evaluate_all("all => all.map(one => one.tabIndex)") == [0, -1, -1, -1, -1]
    buttons.first.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
        seen.tab.keyboard.press(key)
    assert buttons.nth(1).evaluate("one => one === document.activeElement && one.tabIndex === 0")
    assert buttons.nth(1).get_attribute("aria-label") == "DOFA, 81.0"
    seen.tab.keyboard.press("Enter")
    assert seen.tab.locator("#detail-title").inner_text().strip() == "DOFA"
    assert seen.tab.locator("#detail-dataset option:checked").inner_text() == "m-eurosat"


def test_a_table_that_is_wider_than_its_place_fades_where_there_is_more_of_it(visit):
    seen = visit(viewport={"width": 375, "height": 700})
    seen.tab.select_option("#set", "1")
    place = seen.tab.locator(".set:visible .scroll")
    faded = "one => getComputedStyle(one).maskImage !== 'none'"
    assert place.evaluate(faded)
    place.evaluate("one => one.scrollTo(one.scrollWidth, 0)")
    seen.tab.wait_for_selector(".set:not([hidden]) .scroll:not(.more)")
    assert not place.evaluate(faded)
    place.evaluate("one => one.scrollTo(0, 0)")
    seen.tab.wait_for_selector(".set:not([hidden]) .scroll.more")
    seen.tab.set_viewport_size({"width": 1400, "height": 700})
    seen.tab.wait_for_selector(".set:not([hidden]) .scroll:not(.more)")


def test_it_counts_the_encoders_that_its_rows_name_and_floors_apart(visit):
    parts = [
        _record(0.7, f"satlas_{name}", dataset=name, title="a checkpoint", rows={"satlas": "Satlas"})
        for name in ("m-eurosat", "m-so2sat")
    ]
    seen = visit([*RECORDS[:2], RECORDS[6], *parts])
    assert seen.tab.inner_text(".lead").startswith("3 encoders and 1 floor on 2 datasets, from 5 records.")


def test_metrics_are_called_as_papers_do_and_their_own_name_is_pointed_at(visit):
    seen = visit([_record(0.7, "croma", dataset="m-bigearthnet", metric="f1_micro")])
    small = seen.tab.locator(".scores thead th", has_text="m-bigearthnet").locator("small")
    assert (small.inner_text(), small.get_attribute("title")) == ("micro F1", "f1_micro")
    seen.tab.locator(".set:visible .open").click()
    assert "% micro F1" in seen.tab.inner_text("dialog .big")
    assert "f1_micro" not in seen.tab.inner_text("dialog dl.facts >> nth=0")


def test_a_curve_looks_the_same_in_every_set_and_whatever_the_filter_leaves(visit):
    def curve(encoder, value, **changes):
        return [_record(value, encoder, **changes), _record(value / 2, encoder, partition="0.10x_train", **changes)]

    seen = visit([*curve("croma", 0.7), *curve("dofa", 0.8), *curve("dofa", 0.8, bands="authors")])

    def looks():
        lines = seen.tab.locator("#fractions .key span")
        return dict(
            lines.evaluate_all("all => all.map(one => [one.innerText, one.querySelector('g').className.baseVal])")
        )

    found = []
    for number in range(seen.tab.locator("#set option").count()):
        seen.tab.select_option("#set", str(number))
        if seen.tab.locator("#fractions").is_visible():
            found.append(looks())
            seen.tab.fill("#filter", "dofa")
            found.append(looks())
            seen.tab.fill("#filter", "")
    assert {len(one) for one in found} == {1, 2}
    assert len({one["DOFA"] for one in found}) == 1
    assert all(one["DOFA"] != one["CROMA"] for one in found if "CROMA" in one)
    circle = seen.tab.locator("#fractions circle").first
    circle.press("Enter")
    assert seen.tab.get_by_role("dialog").is_visible()


def test_a_phone_shows_it_without_scrolling_the_page_sideways(visit):
    seen = visit(viewport={"width": 375, "height": 700})
    seen.tab.select_option("#set", "1")
    assert seen.tab.evaluate("document.documentElement.scrollWidth") == 375
    seen.tab.locator(".set:visible .open").first.click()
    assert seen.tab.evaluate("document.querySelector('dialog').scrollWidth") == 375


def test_label_fractions_are_curves_of_the_rows_that_the_filter_leaves(visit):
    parts = [
        _record(value, encoder, partition=partition)
        for encoder, value in (("croma", 0.9), ("dofa", 0.8))
        for partition, value in (("0.10x_train", value - 0.2), ("stratified_0.10_draw0", value - 0.3), ("stratified_0.10_draw1", value - 0.1))
    ]  # fmt: skip
    seen = visit([one for one in RECORDS if one.run.dataset == "m-eurosat" and one.run.bands == "rgb"] + parts)
    panels = seen.tab.locator("#fractions .panel")
    assert [text.split("; ")[1] for text in panels.locator("small").all_inner_texts()] == [
        "GEO-Bench's one draw", "stratified draws of our own"
    ]  # fmt: skip
    tips = panels.nth(1).locator("circle").evaluate_all("all => all.map(one => one.dataset.tip)")
    assert "CROMA\n10 %: 70.0 ± 14.1 over 2" in tips
    assert "CROMA\n100 %: 90.0 ± 1.4 over 2" in tips
    assert seen.tab.locator("#fractions .key span").all_inner_texts() == ["CROMA", "DOFA"]
    seen.tab.fill("#filter", "dofa")
    assert seen.tab.locator("#fractions .key span").all_inner_texts() == ["DOFA"]
    panels.first.locator("path").first.click(force=True)
    assert seen.tab.locator("#detail-title").inner_text().strip() == "DOFA"


def test_published_numbers_stand_apart_with_their_sources_and_only_beside_their_set(visit):
    seen = visit()
    seen.tab.select_option("#set", label=seen.tab.locator("#set option", has_text="rgb").inner_text())
    table = seen.tab.locator("#published table:visible")
    assert table.locator("thead th").all_inner_texts() == ["Encoder", "Ours", "torchgeo-bench, lineara", "DINOv3 cardb"]
    assert "never ranked" in seen.tab.inner_text("#published")
    assert "https://github.com/torchgeo/torchgeo-bench" in seen.tab.inner_text("#published")
    assert seen.tab.locator("#published .best, #published .second, #published a").count() == 0
    seen.tab.select_option("#set", label=seen.tab.locator("#set option", has_text="authors").inner_text())
    assert "OlmoEarth, kNN" in seen.tab.inner_text("#published")
    assert seen.tab.locator("#published table:visible").count() == 1


def test_pictures_are_in_the_file_as_many_as_it_has_room_for(chromium, tmp_path, monkeypatch):
    store = RecordStore(tmp_path)
    for record in RECORDS:
        store.write(record, PREDICTIONS)
    merged = merge([tmp_path])
    picture = io.BytesIO()
    Image.new("RGB", (30, 20)).save(picture, "WEBP")
    drawn = [
        Drawn(task, table, f"weights-{task}", HOSTILE, (), picture.getvalue())
        for task, table in enumerate((0, 0, 1, PREVIEWS))
    ]
    drawn.append(Drawn(9, None, "scores-9", "a chart", (), None))
    monkeypatch.setattr(pictures, "MOST_BYTES", 3 * len(picture.getvalue()))
    path = page.write(page.content(merged, tables(merged.records)), tmp_path, drawn)
    seen = Visit(chromium, path)
    assert seen.tab.locator("img").count() == 3
    assert seen.tab.evaluate("[...document.images].every(one => one.naturalWidth === 30)")
    assert seen.tab.locator("#pictures img:visible").count() == 2  # of the chosen set, and of encoders
    assert seen.tab.locator("#pictures figcaption").first.inner_text() == HOSTILE
    left_out = seen.tab.locator("#pictures .said", has_text="Left out here").all_inner_texts()
    assert left_out == ["Left out here, as the page would be too large: figures/weights-1.png, beside it."]
    assert seen.tab.evaluate("typeof hacked") == "undefined"
    assert not seen.tab.get_by_text("draws them into this page").is_visible()
    seen.close()
    seen = Visit(chromium, page.write(page.content(merged, tables(merged.records)), tmp_path))
    assert seen.tab.get_by_text("draws them into this page").is_visible()
    seen.close()


def test_without_scripts_the_tables_are_there(visit):
    seen = visit(java_script_enabled=False)
    assert seen.tab.locator("tr[data-row]:visible").count() == 6
    assert not seen.tab.locator("#filter").is_visible()


def test_dark_and_light_follow_the_system_until_the_reader_chooses(visit):
    seen = visit(color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = seen.tab.evaluate(paper)
    seen.tab.click("#theme")
    light = seen.tab.evaluate(paper)
    assert sum(map(int, re.findall(r"\d+", light))) > 600
    assert sum(map(int, re.findall(r"\d+", dark))) < 150
    seen.tab.click("#theme")
    assert seen.tab.evaluate(paper) == dark


@pytest.mark.parametrize("hostile_text", HOSTILES, ids=HOSTILES.get)
def test_names_that_users_supply_stay_text(visit, hostile_text):
    config = {
        "dataset": {"class_names": [hostile_text, hostile_text]},
        "protocol": {hostile_text: hostile_text},
        "card": {"paper": hostile_text},
    }
    card = {
        **CARD,
        "notes": [hostile_text],
        "channels": [dict.fromkeys(("wanted", "source", "rule", "unit", "filled"), hostile_text)],
    }
    hostile = _record(
        0.7, hostile_text, title=hostile_text, fusion=hostile_text, fuser={"kind": "none", hostile_text: hostile_text}, flags=(hostile_text,),
        weights={hostile_text: hostile_text}, inputs=(hostile_text,), dataset=hostile_text, protocol=hostile_text, partition=hostile_text, input_card=card,
        provenance=replace(PROVENANCE, device=hostile_text, packages={hostile_text: hostile_text}, git_commit=hostile_text, config=config),
    )  # fmt: skip
    seen = visit([hostile, _record(0.8, "croma")])
    number = next(
        i for i, table in enumerate(tables([hostile, RECORDS[0]])) if table.settings["protocol"] == hostile_text
    )
    seen.tab.select_option("#set", str(number))
    seen.tab.locator(".set:visible .open").click()
    shown = page.written_out(hostile_text)
    assert seen.tab.locator("#detail-title").text_content().startswith(shown)
    assert seen.tab.locator("#classes thead th").last.text_content().startswith(shown)
    assert not page.DIRECTIONS.search(seen.tab.content())
    assert seen.tab.evaluate("typeof hacked") == "undefined"
    assert seen.tab.locator("img, script:not(#data ~ script):not(#data), iframe").count() == 0


def test_the_file_names_nothing_outside_itself_and_runs_only_its_own_script(tmp_path):
    text = _page(tmp_path, RECORDS).read_text()
    assert not re.search(r"""(src|href)=["']?(https?:|//)|@import|url\(""", text)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]


def test_records_are_linked_to_only_where_they_lie_beside_the_page(tmp_path):
    def linked(folder):
        path = page.write(page.content(merged, tables(merged.records)), folder)
        return json.loads(path.read_text().split('id="data">')[1].split("</script>")[0])["linked"]

    _page(tmp_path / "here", RECORDS)
    merged = merge([tmp_path / "here"])
    assert linked(tmp_path / "here")
    assert not linked(tmp_path / "elsewhere")


def test_confusions_add_up_over_seeds_and_keep_only_margins_of_many_classes():
    assert added([[[1, 2], [3, 4]], [[10, 0], [0, 10]]]) == {"kind": "matrix", "size": 2, "cells": [11, 2, 3, 14]}
    assert added([[[[5, 1], [2, 7]]]]) == {"kind": "counts", "size": 1, "cells": [7, 9, 8]}
    assert added([[[1]], [[1, 0], [0, 1]]]) is None
    size = MOST_CLASSES + 1
    many = [[int(i == j) for j in range(size)] for i in range(size)]
    assert added([many]) == {"kind": "counts", "size": size, "cells": [1] * 3 * size}
