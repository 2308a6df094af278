"""Families: one row whose checkpoint is fixed by dataset and track; never merged with another, never split in two."""

from pathlib import Path

import pytest

import encoders
import evaluate
from benchmark.data import datasets, families, inputs
from benchmark.record_store import RecordStore
from benchmark.request import configuration
from encoders.errors import UserError
from reports.tables import tables
from tests.record_factory import PREDICTIONS, make_record
from tests.writing import write_dataset

TRACKS: tuple[inputs.Track, ...] = ("rgb", "authors")


@pytest.mark.parametrize("track", TRACKS)
@pytest.mark.parametrize("name", families.families())
def test_every_dataset_has_a_checkpoint_that_can_be_fed(name: str, track: inputs.Track) -> None:
    for dataset in map(datasets.dataset, datasets.names()):
        card = encoders.card(families.choose(name, dataset, track))
        inputs.plan(dataset, encoders.inputs_of(card), track=track)
        assert card.weights.random == name.endswith(families.TINY)


@pytest.mark.parametrize("name", families.full())
def test_tiny_models_are_fed_what_the_checkpoints_are_fed(name: str) -> None:
    for choice in families.families()[name].choices:
        full, tiny = encoders.card(choice.encoder), encoders.card(choice.tiny)
        assert (full.adapter, full.inputs) == (tiny.adapter, tiny.inputs)
        assert len(choice.reason.split()) > 5


def test_the_rows_are_those_fixed_beforehand() -> None:
    twelve = [datasets.dataset(data) for data in datasets.select("all")]

    def row(name: str, track: inputs.Track) -> dict[str, str]:
        return {dataset.name: families.choose(name, dataset, track) for dataset in twelve}

    joint = {data for data, one in row("croma", "authors").items() if one == "croma_large_joint"}
    assert joint == {"m-so2sat"}
    assert set(row("croma", "rgb").values()) == {"croma_large_optical"}
    assert set(row("dofa", "rgb").values()) | set(row("dofa", "authors").values()) == {"dofa_v1_large"}
    assert set(row("satmae", "rgb").values()) == {"satmae_rgb_vitl"}
    group = {data for data, one in row("satmae", "authors").items() if one == "satmae_group_vitl"}
    assert group == {dataset.name for dataset in twelve if dataset.sensor == "sentinel2"}
    assert row("satlas", "authors")["m-forestnet"] == "satlas_s2_swinb_si_rgb"
    assert row("satlas", "authors")["m-eurosat"] == "satlas_s2_swinb_si_ms"
    assert row("satlas", "rgb")["m-eurosat"] == "satlas_s2_swinb_si_rgb"
    assert row("satlas", "rgb")["m-nz-cattle"] == "satlas_aerial_swinb_si"
    assert set(row("satdifuser", "rgb").values()) | set(row("satdifuser", "authors").values()) == {"satdifuser"}


def test_only_a_family_of_one_encoder_bears_its_name_and_title() -> None:
    shared = set(families.families()) & set(encoders.names())
    assert shared == {"satdifuser"}
    assert families.members("satdifuser") == ["satdifuser"]
    titles = {name: family.title for name, family in families.families().items()}
    assert len(set(titles.values())) == len(titles)
    assert titles.pop("satdifuser") == encoders.card("satdifuser").title
    assert not set(titles.values()) & {encoders.card(name).title for name in encoders.names()}


def test_a_family_of_one_encoder_is_its_row_and_takes_its_options() -> None:
    (row,) = compose("satdifuser", overrides=("encoder.options.save_indices=[48,43]",)).rows
    assert (row.name, row.title) == ("satdifuser", "SatDiFuser")
    assert {card.options["save_indices"] == [48, 43] for card in row.cards.values()} == {True}
    (tiny,) = compose("satdifuser:tiny").rows
    assert {card.name for card in tiny.cards.values()} == {"satdifuser_tiny"}


def test_rows_that_no_dataset_tells_apart_are_named_once() -> None:
    with pytest.raises(UserError, match="satdifuser:tiny and satdifuser_tiny are one encoder on every dataset asked"):
        compose("satdifuser:tiny", "satdifuser_tiny")
    with pytest.raises(UserError, match="satmae:tiny-gw and satmae_group_tiny-gw are one encoder"):
        compose("satmae:tiny-gw", "imagestats", "satmae_group_tiny-gw")
    # Another fuser, or one dataset that differs, makes two rows.
    assert len(compose("satmae:tiny", "satmae_group_tiny-gw", "croma:tiny", "croma_tiny").rows) == 4


def compose(*rows: str, overrides: tuple[str, ...] = ()) -> configuration.Request:
    return configuration.compose(
        rows=rows,
        dataset_choice="m-so2sat,m-eurosat",
        probe=None,
        protocol="smoke",
        settings={"bands": "authors"},
        overrides=overrides,
    )


def test_a_family_is_composed_to_the_encoder_of_each_dataset() -> None:
    family, own = compose("croma:tiny-gw", "croma_tiny").rows
    assert (family.name, family.title, family.fusion.name) == ("croma:tiny", "CROMA family, tiny", "gw")
    assert {data: card.name for data, card in family.cards.items()} == {
        "m-so2sat": "croma_tiny_joint",
        "m-eurosat": "croma_tiny",
    }
    assert family.cards["m-eurosat"] == own.cards["m-eurosat"]


def test_the_track_may_come_as_an_override() -> None:
    (row,) = configuration.compose(
        rows=["satmae:tiny"],
        dataset_choice="m-eurosat",
        probe=None,
        protocol="smoke",
        settings={},
        overrides=["bands=authors"],
    ).rows
    assert row.cards["m-eurosat"].name == "satmae_group_tiny"


def test_what_a_family_fixes_is_not_overridden() -> None:
    with pytest.raises(UserError, match="checkpoints of family croma:tiny are fixed; name an encoder to change it"):
        compose("imagestats", "croma:tiny", overrides=("encoder.options.seed=1",))
    with pytest.raises(UserError, match="no encoder 'cromo'; did you mean croma"):
        compose("cromo")


def test_a_family_is_one_row_and_two_families_are_two() -> None:
    croma = {"rows": {"croma": "CROMA"}}
    records = [
        make_record(0.9, encoder="croma_large_optical", encoder_options={"modality": "optical"}, **croma),
        make_record(0.8, encoder="croma_large_joint", dataset="m-so2sat", weights={"j": "cd"}, **croma),
        make_record(0.7, encoder="dofa_v1_large", rows={"dofa": "DOFA"}),
        make_record(0.85, encoder="dofa_v1_large", dataset="m-so2sat", rows={"dofa": "DOFA"}),
    ]
    (table,) = tables(records)
    found = {row.title: {data: (cell.percent, cell.mark) for data, cell in row.cells.items()} for row in table.rows}
    assert found == {
        "CROMA": {"m-eurosat": ("90.0", "best"), "m-so2sat": ("80.0", "second")},
        "DOFA": {"m-eurosat": ("70.0", "second"), "m-so2sat": ("85.0", "best")},
    }
    assert [row.encoder for row in table.rows] == ["croma", "dofa"]


def test_an_encoder_named_beside_its_family_has_a_row_of_its_own() -> None:
    both = {"croma": "CROMA", "croma_large_optical": "CROMA large"}
    records = [
        make_record(0.9, encoder="croma_large_optical", rows=both),
        make_record(0.8, encoder="croma_large_joint", dataset="m-so2sat", rows={"croma": "CROMA"}),
    ]
    (table,) = tables(records)
    assert {row.title: sorted(row.cells) for row in table.rows} == {
        "CROMA": ["m-eurosat", "m-so2sat"],
        "CROMA large": ["m-eurosat"],
    }


def test_two_checkpoints_of_a_family_on_one_dataset_are_two_rows_and_say_which() -> None:
    family = {"rows": {"croma": "CROMA"}}
    records = [make_record(0.9, encoder="croma_large_optical", **family), make_record(0.8, encoder="other", **family)]
    (table,) = tables(records)
    assert [row.title for row in table.rows] == ["CROMA (encoder croma_large_optical)", "CROMA (encoder other)"]


def test_a_record_is_put_in_one_more_row_and_nothing_else_of_it_changes(tmp_path: Path) -> None:
    store, record = RecordStore(tmp_path), make_record()
    store.write(record, PREDICTIONS)
    before = store.path(record.key).stat().st_mtime_ns
    store.ask(record.key, {record.run.encoder: record.title}, "", ())
    assert store.path(record.key).stat().st_mtime_ns == before
    store.ask(record.key, {"family": "Family"}, "", ())
    again = store.read(record.key)
    assert again.rows == record.rows | {"family": "Family"}
    assert (again.run, again.score, again.title) == (record.run, record.score, record.title)


def test_rows_do_not_depend_on_which_was_asked_for_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(tmp_path))
    write_dataset(tmp_path, "m-eurosat", n=(12, 4, 4), seed=0)
    shared = ("--dataset", "m-eurosat", "--protocol", "smoke", "--device", "cpu", "--data-root", str(tmp_path))
    for output, order in (("a", ("croma:tiny", "croma_tiny")), ("b", ("croma_tiny", "croma:tiny"))):
        for name in order:
            assert evaluate.main(["--encoder", name, *shared, "--output", str(tmp_path / output)]) == 0
    (first,), (second,) = RecordStore(tmp_path / "a"), RecordStore(tmp_path / "b")
    assert first.rows == second.rows == {"croma:tiny": "CROMA family, tiny", "croma_tiny": "CROMA tiny"}
    assert first.run.encoder == "croma_tiny"
