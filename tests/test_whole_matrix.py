"""Every cell of the matrix is run, footnoted or refused with its reason: tiny models on made-up images, end to end.

The default takes one dataset of each sensor; `SATDIFUSER_BENCH_MATRIX=all` takes all twelve.
"""

import os
from pathlib import Path

import pytest

from benchmark.data import datasets, families, inputs, matrix, synthetic
from benchmark.evaluation import _is_ranked
from benchmark.grid import failures
from benchmark.grid.cells import Cell, cells, plan_inputs
from benchmark.grid.sweep import sweep
from benchmark.places import Places
from benchmark.record_store import RecordStore
from benchmark.records import Record
from benchmark.request import configuration
from benchmark.request.executor_options import Inline
from encoders.errors import UserError

WHOLE = os.environ.get("SATDIFUSER_BENCH_MATRIX") == "all"
DATASETS = datasets.select("all") if WHOLE else ["m-so2sat", "m-forestnet", "m-pv4ger"]
TINY = [name for name in families.families() if name.endswith(families.TINY)]
INLINE = Inline(name="inline", title="", kind="inline", threads=None)
PICKY = [
    "croma_tiny_joint",
    "croma_tiny_sar",
    "dofa_v2_tiny",
    "satlas_tiny_aerial",
    "satlas_tiny_ms",
    "satmae_group_tiny",
]
"""Models that some datasets cannot feed, on which their families take others."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("geobench", reason="geobench needs Python 3.12")
    folder = tmp_path_factory.mktemp("matrix") / "root"
    synthetic.write_root(folder, DATASETS, sizes=(4, 2, 2))
    return folder


def asked(rows: list[str], names: list[str], track: str, protocol: str, *overrides: str) -> list[Cell]:
    request = configuration.compose(
        rows=rows,
        dataset_choice=",".join(names),
        probe=None,
        protocol=protocol,
        settings={"bands": track, "device": "cpu"},
        overrides=list(overrides),
    )
    return cells(request)


def planned(cell: Cell) -> inputs.InputPlan | str:
    try:
        return plan_inputs(cell)
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("track", matrix.TRACKS)
def test_every_cell_is_run_or_footnoted_or_refused(root: Path, track: str) -> None:
    where = Places(data_root=root, ingest_dir=root.parent / "data", features_dir=root.parent / "features",
                   weights_dir=root.parent / "weights", output=root.parent / track)  # fmt: skip
    results = sweep(asked([*TINY, *PICKY], DATASETS, track, "smoke"), where, INLINE)
    assert len(results) == len(DATASETS) * (len(TINY) + len(PICKY))
    records = {(row, record.run.dataset): record for record in RecordStore(where.output) for row in record.rows}
    refused = 0
    for result in results:
        cell, plan = result.cell, planned(result.cell)
        record: Record | None = records.get((cell.row, cell.dataset.name))
        if isinstance(plan, str):
            assert result.outcome == "impossible"
            assert (result.message, record) == (plan, None)
            refused += 1
            continue
        assert result.outcome in ("done", "skipped"), result.message
        assert record is not None
        assert (record.run.encoder, record.run.inputs) == (cell.card.name, plan.describe())
        named = [flag for flag in record.flags if flag.startswith("filled bands: ")]
        assert len(named) == bool(plan.filled)
        assert all(f"{channel.wanted.name} (" in flag for flag in named for channel in plan.filled)
    assert 0 < refused < len(results)
    absent = failures.read(where.output)
    assert (len(absent), {one.type for one in absent}) == (refused, {failures.IMPOSSIBLE})


@pytest.mark.parametrize("track", matrix.TRACKS)
def test_released_models_are_ranked_unless_three_bands_are_filled(track: str) -> None:
    names = datasets.select("all")
    ranked = {
        (cell.row, cell.dataset.name): _is_ranked(cell, plan_inputs(cell))
        for cell in asked(list(families.full()), names, track, "frozen")
    }
    assert len(ranked) == len(families.full()) * len(names)
    unranked = {cell for cell, is_ranked in ranked.items() if not is_ranked}
    sentinel2 = {name for name in names if datasets.dataset(name).sensor == "sentinel2"}
    filled_up = set(names) - sentinel2 if track == "authors" else set(names)
    assert unranked == {("croma", name) for name in filled_up}


@pytest.mark.parametrize(
    ("row", "dataset", "override", "ranked"),
    [
        ("croma_base_optical", "m-brick-kiln", "missing_bands=[nearest,mean]", True),
        ("croma_base_optical", "m-brick-kiln", "missing_bands=[nearest,zero_scaled]", False),
        ("croma_base_optical", "m-eurosat", "missing_bands=[zero_scaled]", True),  # nothing is filled
        ("croma_base_optical", "m-eurosat", "encoder.image_size=120", True),
        ("croma_base_optical", "m-eurosat", "encoder.image_size=224", False),
        ("dofa_v2_base", "m-cashew-plant", "batch_size=8", True),  # 224 pixels are all it takes
    ],
)
def test_what_is_fed_otherwise_than_the_protocol_says_is_not_ranked(
    row: str, dataset: str, override: str, ranked: bool
) -> None:
    (cell,) = asked([row], [dataset], "authors", "frozen", override)
    assert _is_ranked(cell, plan_inputs(cell)) == ranked
