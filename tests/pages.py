"""Records with all that a page shows, and the page of them in a browser."""

from dataclasses import replace

from benchmark.record_store import RecordStore
from reports import page
from reports.merging import merge
from reports.tables import tables
from tests.record_factory import COST, PREDICTIONS, PROVENANCE, make_record

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


def page_record(value, encoder, speed=1.0, **changes):
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
    page_record(value + shift, encoder, seed=seed, **more)
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


def page_of(folder, records):
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
