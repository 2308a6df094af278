"""A plan asks each question once, groups what belongs together wherever it stands, and knows what needs no work."""

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import configs
import encoders
from benchmark.data import inputs
from benchmark.grid import planning
from benchmark.grid.cells import Cell, cells
from benchmark.grid.executors.inline import InlineExecutor
from benchmark.grid.planning import Planner
from benchmark.grid.sweep import sweep
from benchmark.places import Places
from benchmark.record_store import RecordStore
from benchmark.request import composing, configuration


def request(
    rows: str, datasets: str, fusions: str = "none", *overrides: str, **settings: object
) -> configuration.Request:
    return configuration.compose(
        rows=rows.split(","),
        fusions=fusions.split(","),
        dataset_choice=datasets,
        probe=None,
        protocol="smoke",
        settings={"device": "cpu", **settings},
        overrides=overrides,
    )


def asked(rows: str, datasets: str, fusions: str = "none") -> list[Cell]:
    return cells(request(rows, datasets, fusions))


def places(folder: Path, root: Path | None = None) -> Places:
    return Places(root, folder / "data", folder / "features", folder / "weights", folder / "results")


def counted(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[object]:
    """What a function is called with from now on."""
    calls: list[object] = []
    original = getattr(owner, name)

    def counting(*arguments: object, **named: object) -> object:
        calls.append(arguments)
        return original(*arguments, **named)

    monkeypatch.setattr(owner, name, counting)
    return calls


def test_each_question_of_a_large_grid_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    composed = counted(monkeypatch, composing, "composed")
    cards, profiles = counted(monkeypatch, encoders, "card"), counted(monkeypatch, planning, "inputs_of")
    fed, folders = counted(monkeypatch, inputs, "plan"), counted(monkeypatch, planning.ingest, "source_folder")
    names = encoders.built_in()
    found = asked(",".join(names), "all", "none,mean,concat,gw,lw,moe")
    planner = Planner(places(tmp_path))
    plans = [planner.plan(cell) for cell in found]
    assert len(plans) == len(names) * 12 * 6
    assert len(composed) == 1
    assert len(cards) <= len(names) + 1
    assert len(profiles) == len(names)
    assert len(fed) == len(names) * 12
    assert len(folders) == 12
    assert {plan.state for plan in plans} == {"impossible", "waits"}


def test_a_plan_loads_no_deep_learning_framework(tmp_path: Path) -> None:
    script = """
import sys, evaluate
assert evaluate.main(["--encoder", "imagestats,croma", "--dataset", "all", "--fusion", "none,gw", "--dry-run",
                      "--output", sys.argv[1], "--features-dir", sys.argv[1], "--weights", sys.argv[1]]) == 0
assert not {"torch", "sklearn", "pandas"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True)


@pytest.mark.parametrize("group", ["encoder", "fusion", "dataset", "probe"])
def test_a_file_says_the_same_whether_hydra_reads_it_or_not(group: str) -> None:
    files = sorted((configs.ROOT / group).glob("*.yaml"))
    assert files
    for path in files:
        assert configs.load(path) == OmegaConf.to_container(OmegaConf.load(path)), path


def test_an_override_into_a_group_reaches_every_choice_of_it() -> None:
    plain, changed = (
        cells(request("rcf,imagestats,rcf-gw", "real-chesapeake-patches", "none", *more))
        for more in ((), ("+encoder.options.more=3", "fusion.title=T", "dataset.title=D"))
    )
    assert all("more" not in cell.card.options for cell in plain)
    assert [cell.card.options["more"] for cell in changed] == [3, 3, 3]
    assert [cell.card.name for cell in changed] == ["rcf", "imagestats", "rcf"]
    assert {cell.fusion.title for cell in changed} == {"T"}
    assert {cell.dataset.title for cell in changed} == {"D"}


def grouped(found: list[Cell], folder: Path) -> list[list[str]]:
    return [[cell.title for cell in group] for group in Planner(places(folder)).groups(found)]


def test_cells_that_share_features_are_grouped_wherever_they_stand(tmp_path: Path) -> None:
    found = asked("imagestats,rcf,imagestats-gw,rcf-gw,imagestats-moe", "m-cashew-plant,m-chesapeake")
    named = [[title.replace(" / upernet", "") for title in group] for group in grouped(found, tmp_path)]
    assert named == [
        [f"{row} / {dataset}" for row in rows]
        for dataset in ("m-cashew-plant", "m-chesapeake")
        for rows in (("imagestats", "imagestats-gw", "imagestats-moe"), ("rcf", "rcf-gw"))
    ]


def test_groups_of_one_encoder_and_dataset_follow_one_another(tmp_path: Path) -> None:
    found = asked("imagestats,rcf,imagestats-gw,imagestats-mean,rcf-mean,imagestats-concat,imagestats-lw", "m-eurosat")
    named = [[title.split(" / ")[0] for title in group] for group in grouped(found, tmp_path)]
    assert named == [
        ["imagestats"],  # a probe on the embedding
        ["imagestats-gw", "imagestats-lw"],  # on maps
        ["imagestats-mean", "imagestats-concat"],  # on their means
        ["rcf"],
        ["rcf-mean"],
    ]


def test_equal_cells_of_two_grids_are_one_group(tmp_path: Path) -> None:
    first, again = asked("imagestats-gw", "m-eurosat"), asked("imagestats-moe,rcf-gw", "m-eurosat")
    assert [len(group) for group in grouped(first + again, tmp_path)] == [2, 1]


def test_a_family_and_its_checkpoint_are_measured_once_and_stand_in_two_rows(tmp_path: Path) -> None:
    found = asked("satlas:tiny", "real-chesapeake-patches") + asked("satlas_tiny_aerial", "real-chesapeake-patches")
    assert [cell.card.name for cell in found] == ["satlas_tiny_aerial"] * 2
    results = sweep(found, places(tmp_path), request("imagestats", "real-chesapeake-patches").executor)
    assert [result.outcome for result in results] == ["done", "done"]
    (record,) = RecordStore(tmp_path / "results")
    assert set(record.rows) == {"satlas:tiny", "satlas_tiny_aerial"}


def test_what_is_impossible_is_known_without_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InlineExecutor, "run", lambda *_: pytest.fail("nothing is left to run"))
    (result,) = sweep(asked("croma_tiny_sar", "m-eurosat"), places(tmp_path), request("rcf", "m-eurosat").executor)
    assert result.outcome == "impossible"
    assert "is impossible: on the rgb track it has no" in result.message


def test_what_is_done_is_known_by_its_fuser_and_all_its_seeds(tmp_path: Path) -> None:
    where = places(tmp_path)
    two = cells(request("imagestats-gw", "real-chesapeake-patches", seeds=2))
    assert [one.outcome for one in sweep(two, where, request("rcf", "m-eurosat").executor)] == ["done"]
    planned = Planner(where).plan(two[0])
    assert [run.seed for run in planned.runs] == [0, 1]
    assert Planner(where).plan(*cells(request("imagestats-moe", "real-chesapeake-patches", seeds=2))).state == "runs"
    RecordStore(where.output).path(planned.runs[1].key).unlink()
    assert Planner(where).plan(two[0]).state == "runs"
