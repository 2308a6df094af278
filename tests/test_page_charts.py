"""The charts of the page: score against cost, bars, scores by class, label fractions."""

from dataclasses import replace

from reports.figures import cost
from reports.tables import tables
from tests.pages import RECORDS, page_record
from tests.record_factory import PROVENANCE


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
        page_record(value, encoder, speed=speed, dataset=dataset, metric=metric)
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
    records = [*RECORDS[:2], page_record(0.99, "imagestats", role="floor", provenance=elsewhere)]
    seen = visit([*records, page_record(0.95, "satmae", speed=90)])
    assert seen.tab.locator("#cost .front").count() == 0  # one model beats all
    assert "The line joins" in seen.tab.inner_text("#cost .said")
    seen = visit([*records, page_record(0.95, "satlas", speed=90, provenance=elsewhere)])
    assert "Measured on 2 kinds of device" in seen.tab.inner_text("#cost .said")
    seen.tab.select_option("#cost-kind", "frozen_parameters")
    assert "The line joins" in seen.tab.inner_text("#cost .said")


def _on_three(value, encoder, speed, elsewhere):
    """On an H200, 96 GB, but for one dataset."""
    datasets = ("m-eurosat", "m-so2sat", "m-brick-kiln")
    devices = {dataset: "A100" if dataset == elsewhere else "H200, 96 GB" for dataset in datasets}
    return [
        page_record(value, encoder, speed, dataset=dataset, provenance=replace(PROVENANCE, device=device, config={}))
        for dataset, device in devices.items()
    ]


def test_speeds_over_different_datasets_make_no_front_and_it_is_said_which_they_are(visit):
    seen = visit([*_on_three(0.9, "croma", 10, "m-eurosat"), *_on_three(0.8, "dofa", 40, "m-so2sat")])
    said = seen.tab.locator("#cost .said")
    assert "Speeds are means over different datasets, which don't compare: no front is drawn." in said.inner_text()
    seen.tab.locator("#cost summary").click()
    assert seen.tab.locator("#efficiency tbody td:last-child").all_inner_texts() == [
        "H200, 96 GB (2 of 3 datasets: all but m-eurosat)",
        "H200, 96 GB (2 of 3 datasets: all but m-so2sat)",
    ]
    seen = visit([*_on_three(0.9, "croma", 10, "m-eurosat"), *_on_three(0.8, "dofa", 40, "m-eurosat")])
    said = seen.tab.locator("#cost .said")
    assert "The line joins" in said.inner_text()
    assert "Its speeds are of H200, 96 GB (2 of 3 datasets: all but m-eurosat)." in said.inner_text()


def test_a_single_dataset_is_of_the_device_of_its_own_cells(visit):
    seen = visit([*_on_three(0.9, "croma", 10, "m-eurosat"), *_on_three(0.8, "dofa", 40, "")])
    said = seen.tab.locator("#cost .said")
    seen.tab.select_option("#cost-score", label="m-eurosat (accuracy)")
    assert "Measured on 2 kinds of device" in said.inner_text()
    seen.tab.select_option("#cost-score", label="m-so2sat (accuracy)")
    assert "The line joins" in said.inner_text()
    assert "speeds are of" not in said.inner_text()


def _confused(record, right):
    return replace(record, score=replace(record.score, confusion=[[right, 100 - right], [100 - right, right]]))


def test_by_class_only_ranked_scores_compete_and_others_are_marked(visit):
    records = [
        _confused(page_record(0.9, "croma", ranked=False), 99),  # a model: ranked elsewhere
        page_record(0.85, "croma", dataset="m-so2sat"),
        _confused(page_record(0.8, "dofa"), 80),
        _confused(page_record(0.7, "satmae"), 70),
        _confused(page_record(0.6, "satlas", weights={"random": "0"}), 60),
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


def test_a_curve_looks_the_same_in_every_set_and_whatever_the_filter_leaves(visit):
    def curve(encoder, value, **changes):
        return [
            page_record(value, encoder, **changes),
            page_record(value / 2, encoder, partition="0.10x_train", **changes),
        ]

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


def test_label_fractions_are_curves_of_the_rows_that_the_filter_leaves(visit):
    parts = [
        page_record(value, encoder, partition=partition)
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
