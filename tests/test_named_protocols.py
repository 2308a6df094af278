"""The protocols of other projects: each states every choice in its file, and gives a record that holds them."""

import dataclasses
import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import configs
import evaluate
from benchmark.protocol import Protocol, hash_of
from benchmark.protocol_parts import Augment
from benchmark.record_store import RecordStore
from benchmark.records import Record

FOLDER = configs.ROOT / "protocol"
NAMES = ("geobreeze", "pangaea", "satdifuser_code", "satdifuser_paper", "torchgeo_bench")
SHORT: dict[str, Any] = {"test_bootstraps": 50}
NARROW = {"fuser_width": 32, "fuser_norm_groups": 4}
SHORT_WALK = ("encoder.options.save_indices=[49,48,47]",)
# Two epochs, so that validation chooses, but for what is read off before any.
CELLS: dict[str, tuple[str, str, dict[str, Any], tuple[str, ...]]] = {
    "geobreeze": (
        "dofa_tiny",
        "m-eurosat",
        {"epochs": 2, "learning_rates": [0.001, 0.1], "classification_size": 64},
        ("--bands", "authors"),
    ),
    "pangaea": ("satlas_tiny", "m-eurosat", {"epochs": 2}, ()),
    "satdifuser_code": ("satdifuser_tiny-moe", "m-eurosat", {"epochs": 2, "warmup_epochs": 1} | NARROW, SHORT_WALK),
    "satdifuser_paper": (
        "satdifuser_tiny-gw",
        "real-neontree-crops",
        {"epochs": 2, "warmup_epochs": 1, "segmentation_size": 32, "upernet_channels": 16} | NARROW,
        ("encoder.options.num_steps=10", "encoder.options.save_timesteps=[1,101,201]"),
    ),
    "torchgeo_bench": ("satlas_tiny_aerial", "real-neontree-crops", {"epochs": 2, "head_channels": 16}, ()),
}
"""A row, a dataset, what is shorter than the protocol says, and more options: walks of 3 and 4 steps for 10 and 201."""


def stated(name: str) -> dict[str, Any]:
    """What a protocol's file says, by YAML alone."""
    plain: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return plain


def test_these_are_the_protocols_of_others() -> None:
    ours = {"demo", "frozen", "frozen_quick", "smoke"}
    assert {path.stem for path in FOLDER.glob("*.yaml")} - ours == set(NAMES) == set(CELLS)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_states_every_field_so_that_nothing_is_inherited_in_silence(name: str) -> None:
    assert set(stated(name)) == {field.name for field in dataclasses.fields(Protocol)}


@pytest.mark.parametrize("name", NAMES)
def test_a_record_made_under_it_holds_what_its_file_says(
    name: str,
    geobench_written: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(tmp_path))
    row, dataset, changes, more = CELLS[name]
    changes = SHORT | changes
    overrides = [f"protocol.{key}={json.dumps(value).replace(' ', '')}" for key, value in changes.items()]
    asked = ["--encoder", row, "--dataset", dataset, "--protocol", name, "--data-root", str(geobench_written)]
    assert evaluate.main([*asked, *more, *overrides, "--output", str(tmp_path), "--device", "cpu"]) == 0
    (record,) = RecordStore(tmp_path)

    expected = stated(name) | changes
    expected["fresh"] = [dataclasses.asdict(Augment(**one)) for one in expected["fresh"]]
    kept = record.provenance.config["protocol"]
    assert _rounded(kept) == _rounded(expected)
    assert record.run.protocol_hash == hash_of(kept) != hash_of(kept | changes | {"epochs": 3})
    assert (record.run.protocol, record.run.seed) == (name, expected["first_seed"])
    _holds_choices(record, expected, dataset)

    shown = {"terminal": capsys.readouterr().out}
    shown |= {file: (tmp_path / file).read_text(encoding="utf-8") for file in ("leaderboard.md", "index.html")}
    for where, text in shown.items():
        said = " ".join(html.unescape(text).replace("\\", "").split())
        assert f"protocol {name} “{expected['title'].split(':')[0]}” ({record.run.protocol_hash})" in said, where
        assert f"Protocol {name}: {expected['title']}." in said, where
    assert f"``{expected['title'].split(':')[0]}''" in (tmp_path / "leaderboard.tex").read_text(encoding="utf-8")


def _holds_choices(record: Record, expected: dict[str, Any], dataset: str) -> None:
    """What follows from the file, in the places of a record where it acts."""
    run = record.run
    task = "classification" if dataset == "m-eurosat" else "segmentation"
    assert run.probe == expected[f"{task}_probe"]
    metric = expected["segmentation_metric"] if task == "segmentation" else expected["single_label_metric"]
    assert run.dataset_facts["metric"] == metric
    assert 0 <= record.score.metrics[metric] <= 1
    assert (run.band_names, list(run.missing_bands)) == (expected["band_names"], expected["missing_bands"])
    options = expected["encoder_options"].get(run.adapter, {})
    # The user's own go before.
    kept = {key: value for key, value in options.items() if key not in ("num_steps", "save_timesteps", "save_indices")}
    assert {key: run.encoder_options[key] for key in kept} == kept


def _rounded(plain: Any) -> Any:
    """Plain data as JSON has it: no tuples, and 1 equal to 1.0."""
    return json.loads(re.sub(r"(?<=\d)\.0\b", "", json.dumps(plain, sort_keys=True)))
