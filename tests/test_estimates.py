"""What a plan is said to take is what it takes in bytes, what was measured in seconds, and else unknown."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

import encoders
from benchmark.features import arrays, shapes
from benchmark.grid import dry_run, estimates, rates
from benchmark.grid.cells import Cell, cells, plan_inputs
from benchmark.grid.estimates import Estimate, Estimator, device_of
from benchmark.grid.identity import feature_identity, identify
from benchmark.grid.planning import Planner
from benchmark.grid.rates import Rates
from benchmark.grid.sweep import sweep
from benchmark.places import Places
from benchmark.record_store import RecordStore
from benchmark.request import configuration
from benchmark.request.executor_options import Inline
from encoders.base import Encoder
from encoders.spec import EncoderCard
from tests.record_factory import COST, PREDICTIONS, PROVENANCE, make_record

INLINE = Inline(name="inline", title="", kind="inline", threads=None)
PATCHES = "real-chesapeake-patches"
IMAGES = 109 + 34 + 51


def asked(
    rows: str, *overrides: str, dataset: str = PATCHES, protocol: str = "smoke", **settings: object
) -> list[Cell]:
    request = configuration.compose(
        rows=rows.split(","),
        dataset_choice=dataset,
        probe=None,
        protocol=protocol,
        settings={"device": "cpu", **settings},
        overrides=overrides,
    )
    return cells(request)


def places(folder: Path) -> Places:
    return Places(None, folder / "data", folder / "features", folder / "weights", folder / "results")


def measured(
    folder: Path, cell: Cell, encode: float, train: float, images: int = 200, n_train: int = 100, *, seed: int = 0,
    device: str = "Some GPU", created: str = "2026-01-01",
) -> None:  # fmt: skip
    """Write a record of a cell that took so many seconds."""
    fed = plan_inputs(cell)
    record = make_record(
        encoder=cell.card.name,
        inputs=fed.describe(),
        image_size=fed.side,
        fusion=cell.fusion.name,
        seed=seed,
        protocol_hash=cell.protocol.hash,
        cost=replace(COST, encode_seconds=encode, train_seconds=train, images=images),
        provenance=replace(PROVENANCE, config=json.loads(json.dumps(asdict(cell))), device=device, created=created),
    )
    record = replace(record, score=replace(record.score, n_train=n_train))
    RecordStore(folder / "results").write(record, PREDICTIONS)


def estimated(folder: Path, found: Sequence[Cell], known: Rates | None = None) -> list[Estimate]:
    planner = Planner(places(folder))
    estimator = Estimator(planner, known or rates.read(folder / "results", None))
    return [estimator.estimate(planner.plan(cell)) for cell in found]


def test_every_built_in_encoder_says_what_its_features_look_like() -> None:
    remedy = "run: python -m benchmark.features.shapes > configs/features.yaml"
    assert [name for name in shapes.declared() if " " not in name] == encoders.built_in(), remedy


FLOORS = [name for name in encoders.built_in() if encoders.card(name).role == "floor"]


@pytest.mark.parametrize("name", [*FLOORS, "croma_tiny", "dofa_v2_tiny", "satlas_tiny"])
def test_shapes_are_those_of_the_built_encoder(name: str) -> None:
    card = encoders.card(name)
    side = encoders.inputs_of(card).side(64)
    check_shapes(card, side, encoders.build(card, image_size=side))
    assert shapes.declare(card) == shapes.declared()[name]


@pytest.mark.parametrize("name", FLOORS)
def test_shapes_of_a_floor_hold_for_any_number_of_bands(name: str) -> None:
    card = encoders.card(name)
    bands = encoders.inputs_of(card).usual_bands()
    check_shapes(card, 64, encoders.build(card, bands=[bands[0]] * 5, image_size=64))


def check_shapes(card: EncoderCard, side: int, encoder: Encoder) -> None:
    """See that a plan counts the features that the encoder gives."""
    stem = encoder.stem(torch.rand(1, encoder.channels, side, side))
    features = encoder.body(stem)
    measured = shapes.shapes(card, side, encoder.channels)
    assert measured is not None
    assert measured.stem == tuple(stem.shape[1:])
    assert measured.maps == tuple(tuple(one.shape[1:]) for one in features.maps)
    assert measured.embedding == features.embedding.shape[1]


def test_satdifuser_has_the_bytes_its_page_says() -> None:
    measured = shapes.shapes(encoders.card("satdifuser"), 256, 3)
    assert measured is not None
    assert round(measured.row_bytes("maps", "float16") / 1e6) == 21
    assert (measured.stem_bytes(), measured.image_bytes()) == (49152, 786432)


def test_shapes_of_other_options_are_not_known() -> None:
    card = encoders.card("rcf")
    assert shapes.shapes(card, 64, 3)
    assert shapes.shapes(replace(card, options=card.options | {"features": 8}), 64, 3) is None


def test_bytes_are_those_that_are_written_and_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    found = asked("imagestats,imagestats-mean,imagestats-gw,imagestats-lw-fixed")
    before = estimated(tmp_path, found)
    assert [one.tier for one in before] == ["embedding", "pooled", "maps", "maps"]
    assert before[3].bytes == 0  # the cell before it brings them
    assert {one.outcome for one in sweep(found, places(tmp_path), INLINE)} <= {"done", "failed"}
    written: dict[str, int] = {}
    for folder in (tmp_path / "features").glob("*/"):
        about = arrays.read_about(folder)
        assert about is not None
        written[about.tier] = written.get(about.tier, 0) + about.bytes
        last = folder
    assert {str(one.tier): one.bytes for one in before[:3]} == written
    after = estimated(tmp_path, asked("imagestats,imagestats-mean,imagestats-gw"))
    assert [(one.bytes, one.encode_seconds) for one in after] == [(0, 0.0)] * 3
    seconds = np.load(last / arrays.SECONDS)
    np.save(last / arrays.SECONDS, np.where(np.arange(len(seconds)) == 0, 0, seconds))
    assert estimates.encoded_rows(last) < arrays.SHARD * len(seconds)


def test_flipped_copies_are_counted(tmp_path: Path) -> None:
    (plain,), (flipped,) = (
        estimated(tmp_path, asked("imagestats", f"protocol.augmentation={kind}")) for kind in ("none", "flips")
    )
    assert plain.bytes == 2 * 27 * IMAGES
    assert flipped.bytes == 2 * 27 * (IMAGES + 3 * 109)


def test_seconds_are_measured_ones_in_proportion_to_images_and_epochs(tmp_path: Path) -> None:
    probe, trained = asked("imagestats,imagestats-gw", "protocol.epochs=3", "protocol.min_steps=0")
    measured(tmp_path, probe, encode=20, train=5)
    measured(tmp_path, probe, encode=40, train=5, seed=1)  # the same cell's next seed
    measured(tmp_path, trained, encode=2, train=30)
    first, second = estimated(tmp_path, [probe, trained])
    assert first.encode_seconds == pytest.approx(IMAGES * 20 / 200)
    assert first.train_seconds == pytest.approx(109 * 5 / 100)
    assert second.encode_seconds == pytest.approx(IMAGES * 2 / 200)
    assert second.train_seconds == pytest.approx(30 * 109 / 100)
    assert first.seconds == pytest.approx(first.encode_seconds + first.train_seconds)


@pytest.mark.parametrize(
    "other",
    [
        asked("rcf"),
        asked("imagestats", precision="bfloat16"),
        asked("imagestats", "encoder.version=9"),
        asked("imagestats", "+encoder.image_size=96"),
        asked("imagestats-gw"),
    ],
    ids=["encoder", "precision", "version", "size", "tier"],
)
def test_what_differs_has_no_rate(tmp_path: Path, other: list[Cell]) -> None:
    measured(tmp_path, *asked("imagestats"), encode=20, train=5)
    (one,) = estimated(tmp_path, other)
    assert (one.encode_seconds, one.seconds) == (None, None)


def test_another_protocol_has_a_rate_of_encoding_alone(tmp_path: Path) -> None:
    measured(tmp_path, *asked("imagestats"), encode=20, train=5)
    (one,) = estimated(tmp_path, asked("imagestats", protocol="frozen"))
    assert one.encode_seconds == pytest.approx(IMAGES * 20 / 200)
    assert (one.train_seconds, one.seconds) == (None, None)


def test_rates_are_of_one_device_and_damaged_records_are_passed_over(tmp_path: Path) -> None:
    (cell,), (other,) = asked("imagestats"), asked("imagestats", "protocol.test_bootstraps=7")
    measured(tmp_path, cell, encode=20, train=5, device="old", created="2026-01-01")
    measured(tmp_path, other, encode=2, train=5, device="new", created="2026-02-01", n_train=50)
    (tmp_path / "results" / "records" / "x.json").write_text('{"run": 3}')
    (tmp_path / "results" / "records" / "y.json").write_bytes(b"\xff")
    assert RecordStore(tmp_path / "results").path("x").exists()
    found = {device: rates.read(tmp_path / "results", device) for device in (None, "old", "none")}
    assert [(one.device, one.cells) for one in found.values()][1:] == [("old", 1), ("none", 0)]
    assert estimated(tmp_path, [cell], found["none"])[0].encode_seconds is None


def test_the_dry_run_says_how_much_of_its_total_is_known_and_from_where(tmp_path: Path) -> None:
    found = asked("imagestats,rcf,croma_tiny_sar,satdifuser")
    device = device_of(INLINE, "cpu")
    assert device
    measured(tmp_path, found[0], encode=7200, train=0, images=IMAGES, n_train=109, device=device)
    said = dry_run.lines(found, places(tmp_path), INLINE)
    assert said[0].startswith(f"imagestats / {PATCHES} / linear: would run; 3 bands")
    assert said[0].endswith("features 10.5 kB (embedding), encode 2 h, train 0 s")
    assert said[1].endswith("features 199 kB (embedding), encode unknown, train unknown")
    assert said[2].endswith("linear: impossible [1]")
    assert "waits for weights [2]; 3 bands, 256 px" in said[3]
    assert said[4].startswith("[1] ")
    assert "is impossible: CROMA" in said[4]
    assert said[5].startswith("[2] satdifuser at 256 px: 10 weight files are missing; get them with")
    assert said[6] == "4 cells: 0 done, 2 would run in 2 groups, 1 impossible, 1 wait for data or weights."
    assert "209 kB;" in said[7]
    assert said[8] == f"Time on {device}: about 2 h (2 device-hours) for 1 of 2 cells, unknown for the others."
    assert said[9].startswith(f"Times are those of 1 cells in {tmp_path / 'results'}, run on {device} with 1 threads")
    assert not (tmp_path / "features").exists()


def test_a_gpu_is_named_as_records_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H200'\necho 'NVIDIA H200'\n")
    program.chmod(0o755)
    cpu = device_of(INLINE, "cpu")
    monkeypatch.setenv("PATH", "")
    assert (device_of(INLINE, "auto"), device_of(INLINE, "cuda")) == (cpu, "")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert (device_of(INLINE, "auto"), device_of(INLINE, "cpu")) == ("NVIDIA H200", cpu)


@pytest.mark.parametrize(("seconds", "text"), [(None, "unknown"), (0.0, "0 s"), (90, "1.5 min"), (9000, "2.5 h")])
def test_durations_read_as_people_say_them(seconds: float | None, text: str) -> None:
    assert dry_run.duration(seconds) == text


def test_arithmetic_is_part_of_a_runs_key_and_leaves_present_keys_as_they_are() -> None:
    (plain,), (compiled,), (half,) = (
        asked("satdifuser_tiny"), asked("satdifuser_tiny", compile=True), asked("satdifuser_tiny", precision="bfloat16")
    )  # fmt: skip
    keys, features = set(), set()
    for cell in (plain, compiled, half):
        plan = plan_inputs(cell)
        (run, *_) = identify(cell, plan, {}, dict.fromkeys(("train", "valid", "test"), ""))
        keys.add(run.key)
        features.add(json.dumps(feature_identity(run, plan, "float16", "test"), sort_keys=True))
    assert len(keys) == len(features) == 3
    assert plain.settings.arithmetic == "float32"
