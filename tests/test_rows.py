"""Rows by name: an encoder and its fuser, with every option of it."""

from typing import Any

import pytest
import yaml

import configs
from benchmark.request import configuration
from benchmark.request.rows import Fusion, fuser_options, fusion_names, split
from encoders.errors import UserError, validate
from tests.test_protocol import protocol


def fusion(name: str, **changed: Any) -> Fusion:
    plain = yaml.safe_load((configs.ROOT / "fusion" / f"{name}.yaml").read_text())
    return validate(Fusion, {**plain, **changed}, name)


def options(name: str, task: str = "classification", **changed: Any) -> dict[str, object]:
    return fuser_options(fusion(name, **changed), task, protocol())


def test_a_row_names_its_fuser_or_takes_each_that_is_asked_for() -> None:
    assert split(["rcf", "satdifuser-lw-fixed"], ["none", "gw"]) == [
        ("rcf", "none"),
        ("rcf", "gw"),
        ("satdifuser", "lw-fixed"),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["satdifusr-gw"], "no encoder 'satdifusr'; did you mean satdifuser"),
        (["satdifuser-lwfixed"], "satdifuser: no fusion 'lwfixed'; did you mean lw-fixed"),
        (["satdifuser-gw", "satdifuser-gw"], "row satdifuser-gw is named twice"),
        (["satdifuser", "satdifuser-none"], "row satdifuser-none is named twice"),
    ],
)
def test_a_wrong_row_is_one_sentence(rows: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        split(rows, ["none"])


@pytest.mark.parametrize("name", fusion_names())
def test_every_fuser_has_a_name_and_options_that_fit_both_tasks(name: str) -> None:
    assert fusion(name).name == name
    for task in ("classification", "segmentation"):
        assert options(name, task)["kind"] == fusion(name).kind


def test_the_papers_rows_are_the_official_code_and_ours_differ_where_they_say() -> None:
    assert options("lw")["slicing"] == "official"
    assert options("lw-fixed") == options("lw") | {"slicing": "fixed"}
    official = {"num_experts": 8, "top_k": 2, "counter": "official", "balance": "none", "warmup_steps": 300}
    assert official.items() <= options("moe").items()
    assert options("moe", "segmentation")["warmup_steps"] == 500
    assert options("moe-balanced") == options("moe") | {"balance": "load", "counter": "train_only"}


def test_width_and_groups_are_the_protocols() -> None:
    assert options("gw")["projection_dim"] == protocol().fuser_width
    with pytest.raises(UserError, match=r"'projection_dim' is the protocol's; set protocol\.fuser_width"):
        options("gw", options={"projection_dim": 64})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": 0.0}, "'temperature' is 0.0; it must be more than 0"),
        ({"temprature": 1.0}, "did you mean temperature"),
    ],
)
def test_a_wrong_option_names_it(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        options("lw", options=wrong)


def test_an_override_into_the_fusion_reaches_the_run() -> None:
    request = configuration.compose(
        rows=["satdifuser_tiny-lw"],
        dataset_choice="m-eurosat",
        probe=None,
        protocol="smoke",
        settings={},
        overrides=["fusion.options.temperature=0.5"],
    )
    (row,) = request.rows
    assert fuser_options(row.fusion, "classification", request.protocol)["temperature"] == 0.5
