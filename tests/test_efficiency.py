"""What a row costs: means over its datasets, and times of one device alone."""

from dataclasses import replace

import pytest

from benchmark.records import Record
from reports.efficiency import efficiency, measured_on
from reports.other_sheets import of_costs
from reports.tables import tables
from tests.record_factory import COST, PROVENANCE, make_record


def on(device: str, dataset: str, seconds: float, memory: int = 1 << 30, encoder: str = "croma") -> Record:
    cost = replace(COST, encode_seconds=seconds, train_seconds=0.0, peak_memory_bytes=memory)
    made = replace(PROVENANCE, device=device)
    return make_record(dataset=dataset, cost=cost, provenance=made, encoder=encoder)


SLOW = on("CPU", "m-eurosat", 100.0, memory=8 << 30)
FAST = [on("H200", "m-so2sat", 1.0), on("H200", "m-brick-kiln", 3.0, memory=2 << 30)]


def test_times_and_memory_of_a_row_are_of_the_device_of_most_of_its_datasets() -> None:
    found = efficiency([SLOW, *FAST])
    assert (found.seconds, found.images_per_second) == (2.0, pytest.approx(200 / 4))
    assert found.peak_memory_bytes == 2 << 30
    assert (found.device, found.timed) == ("H200", ("m-so2sat", "m-brick-kiln"))
    assert efficiency([*FAST, SLOW]) == found


def test_what_hangs_on_no_device_is_a_mean_over_all_datasets() -> None:
    other = replace(SLOW, cost=replace(SLOW.cost, flops_per_image=8_000_000_000, finest_grid=30))
    found = efficiency([other, *FAST])
    assert (found.gflops, found.finest_grid) == (4.0, (15, 30))


def test_of_as_many_datasets_the_first_device_by_name_counts_whatever_the_order() -> None:
    assert efficiency([SLOW, FAST[0]]) == efficiency([FAST[0], SLOW])
    found = efficiency([FAST[0], SLOW])
    assert (found.device, found.timed) == ("CPU", ("m-eurosat",))


def test_speed_is_of_the_datasets_that_had_images_to_encode() -> None:
    found = efficiency([FAST[0], on("H200", "m-brick-kiln", 0.0)])
    assert (found.timed, found.encoded) == (("m-so2sat", "m-brick-kiln"), ("m-so2sat",))
    assert found.images_per_second == pytest.approx(100)
    assert efficiency([on("H200", "m-brick-kiln", 0.0)]).encoded == ()


@pytest.mark.parametrize(
    ("datasets", "told"),
    [
        (("a", "b", "c"), "H200"),
        (("a", "c"), "H200 (2 of 3 datasets: all but b)"),
        (("c",), "H200 (1 of 3 datasets: c)"),
    ],
)
def test_where_not_all_datasets_were_measured_it_is_said_which(datasets: tuple[str, ...], told: str) -> None:
    assert measured_on("H200", datasets, ["a (accuracy)", "a (micro F1)", "b", "c"]) == told


def test_rows_share_a_table_of_costs_where_device_and_datasets_agree() -> None:
    datasets = ("m-eurosat", "m-so2sat", "m-brick-kiln")
    elsewhere = {"croma": "m-eurosat", "dofa": "m-so2sat", "satmae": "m-eurosat", "satlas": ""}
    records = [
        on("A100" if dataset == other else "H200", dataset, 1.0, encoder=encoder)
        for encoder, other in elsewhere.items()
        for dataset in datasets
    ]
    sheets = of_costs(tables(records))
    found = [
        (sheet.title.split("costs on ")[1].split(": Classification")[0], [line[0].text for line in sheet.body[0][1]])
        for sheet in sheets
    ]
    assert found == [
        ("H200", ["SATLAS"]),
        ("H200 (2 of 3 datasets: all but m-so2sat)", ["DOFA"]),
        ("H200 (2 of 3 datasets: all but m-eurosat)", ["CROMA", "SATMAE"]),
    ]
