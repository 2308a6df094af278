"""What a row costs: means over its datasets, and times of one device alone."""

from dataclasses import replace

import pytest

from benchmark.records import Record
from reports.efficiency import efficiency
from reports.other_sheets import of_costs
from reports.tables import tables
from tests.record_factory import COST, PROVENANCE, make_record


def on(device: str, dataset: str, seconds: float, memory: int = 1 << 30) -> Record:
    cost = replace(COST, encode_seconds=seconds, train_seconds=0.0, peak_memory_bytes=memory)
    return make_record(dataset=dataset, cost=cost, provenance=replace(PROVENANCE, device=device))


SLOW = on("CPU", "m-eurosat", 100.0, memory=8 << 30)
FAST = [on("H200", "m-so2sat", 1.0), on("H200", "m-brick-kiln", 3.0, memory=2 << 30)]


def test_times_and_memory_of_a_row_are_of_the_device_of_most_of_its_datasets() -> None:
    found = efficiency([SLOW, *FAST])
    assert (found.seconds, found.images_per_second) == (2.0, pytest.approx(200 / 4))
    assert found.peak_memory_bytes == 2 << 30
    assert found.device == "H200 (2 of 3 datasets)"
    assert efficiency([*FAST, SLOW]) == found


def test_what_hangs_on_no_device_is_a_mean_over_all_datasets() -> None:
    other = replace(SLOW, cost=replace(SLOW.cost, flops_per_image=8_000_000_000, finest_grid=30))
    found = efficiency([other, *FAST])
    assert (found.gflops, found.finest_grid) == (4.0, (15, 30))


def test_of_as_many_datasets_the_first_device_by_name_counts_whatever_the_order() -> None:
    assert efficiency([SLOW, FAST[0]]) == efficiency([FAST[0], SLOW])
    assert efficiency([FAST[0], SLOW]).device == "CPU (1 of 2 datasets)"
    assert efficiency(FAST).device == "H200"


def test_means_over_fewer_datasets_stand_in_a_table_of_their_own() -> None:
    whole = [replace(one, run=replace(one.run, encoder="b"), rows={"b": "B"}) for one in FAST]
    whole = [replace(one, key=one.run.key) for one in whole]
    sheets = of_costs(tables([SLOW, *FAST, *whole]))
    assert [("H200 (2 of 3 datasets)" in sheet.title, len(sheet.body[0][1])) for sheet in sheets] == [
        (False, 1),
        (True, 1),
    ]
