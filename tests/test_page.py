"""The page: sorted, filtered and opened in a real browser, from disk; no request, no error, no markup out of a name."""

import io
import json
import re
from dataclasses import replace

import pytest
from PIL import Image

from benchmark.record_store import RecordStore
from reports import page
from reports.figures.catalogue import PREVIEWS
from reports.figures.painters import Drawn
from reports.merging import merge
from reports.page import pictures
from reports.page.behind import MOST_CLASSES, added
from reports.tables import tables
from tests.pages import CARD, RECORDS, Visit, page_of, page_record
from tests.record_factory import PREDICTIONS, PROVENANCE

HOSTILE = '</script></title><img src=x onerror="hacked=1"><script>hacked=1</script>\'&amp;\u2028{{ 7*7 }}'
HOSTILES = {
    HOSTILE: "markup",
    "\"onmouseover=hacked=1 x='\"'onfocus=hacked=1 autofocus ": "quotes",
    "javascript:hacked=1//`${hacked=1}`": "a script's address",
    "\u202egnp.egami\u2066 \u0627\u0644\u0639": "turned right to left",
    "\\u202egnp.egami \\\u202e": "turned right to left behind a backslash",
    "a\x1b[2J\x1b]0;hacked\x07\x9b31m": "steers a terminal",
}


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
        page_record(0.7, f"satlas_{name}", dataset=name, title="a checkpoint", rows={"satlas": "Satlas"})
        for name in ("m-eurosat", "m-so2sat")
    ]
    seen = visit([*RECORDS[:2], RECORDS[6], *parts])
    assert seen.tab.inner_text(".lead").startswith("3 encoders and 1 floor on 2 datasets, from 5 records.")


def test_metrics_are_called_as_papers_do_and_their_own_name_is_pointed_at(visit):
    seen = visit([page_record(0.7, "croma", dataset="m-bigearthnet", metric="f1_micro")])
    small = seen.tab.locator(".scores thead th", has_text="m-bigearthnet").locator("small")
    assert (small.inner_text(), small.get_attribute("title")) == ("micro F1", "f1_micro")
    seen.tab.locator(".set:visible .open").click()
    assert "% micro F1" in seen.tab.inner_text("dialog .big")
    assert "f1_micro" not in seen.tab.inner_text("dialog dl.facts >> nth=0")


def test_a_phone_shows_it_without_scrolling_the_page_sideways(visit):
    seen = visit(viewport={"width": 375, "height": 700})
    seen.tab.select_option("#set", "1")
    assert seen.tab.evaluate("document.documentElement.scrollWidth") == 375
    seen.tab.locator(".set:visible .open").first.click()
    assert seen.tab.evaluate("document.querySelector('dialog').scrollWidth") == 375


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
    hostile = page_record(
        0.7, hostile_text, title=hostile_text, fusion=hostile_text, fuser={"kind": "none", hostile_text: hostile_text}, flags=(hostile_text,),
        weights={hostile_text: hostile_text}, inputs=(hostile_text,), dataset=hostile_text, protocol=hostile_text, partition=hostile_text, input_card=card,
        provenance=replace(PROVENANCE, device=hostile_text, packages={hostile_text: hostile_text}, git_commit=hostile_text, config=config),
    )  # fmt: skip
    seen = visit([hostile, page_record(0.8, "croma")])
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
    text = page_of(tmp_path, RECORDS).read_text()
    assert not re.search(r"""(src|href)=["']?(https?:|//)|@import|url\(""", text)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]


def test_records_are_linked_to_only_where_they_lie_beside_the_page(tmp_path):
    def linked(folder):
        path = page.write(page.content(merged, tables(merged.records)), folder)
        return json.loads(path.read_text().split('id="data">')[1].split("</script>")[0])["linked"]

    page_of(tmp_path / "here", RECORDS)
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
