"""PANGAEA's encoders behind our interface, on a stand-in of its checkout: bands, maps, weights, identity, mistakes."""

import argparse
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import encoders
import evaluate
from benchmark.data import datasets, inputs
from benchmark.record_store import RecordStore
from encoders.bands import KNOWN
from encoders.errors import UserError
from encoders.spec import EncoderCard
from tests.pangaea_checkout import STAND_IN, checkout

TWELVE = datasets.select("all")


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with checkout(STAND_IN, monkeypatch) as folder:
        yield folder


def drawn(name: str, **options: Any) -> EncoderCard:
    card = encoders.card(f"pangaea:{name}")
    return replace(card, weights=replace(card.weights, random=True), options=card.options | options)


def images(channels: int, side: int = 32) -> torch.Tensor:
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))


def saved(folder: Path, seed: int = 3, **changes: torch.Tensor | None) -> Path:
    """A weights file of `plain`: its own tensors, some replaced or left out."""
    state = dict(encoders.build(drawn("plain", seed=seed)).network.state_dict())
    state = {name: one for name, one in (state | changes).items() if one is not None}
    path = folder / "pangaea" / "plain.pth"
    path.parent.mkdir(exist_ok=True)
    torch.save(state, path)
    return path


def test_maps_are_its_classes_list_and_the_embedding_their_means() -> None:
    encoder = encoders.build(drawn("plain"))
    batch = images(3)
    features, given = encoder(batch), encoder.network({"optical": batch})
    (level,) = encoder.levels
    assert (level.stride, level.modules) == (8, (("output 0", 6), ("output 1", 6)))
    assert torch.equal(features.maps[0][:, 0], torch.cat(given, dim=1))
    assert torch.equal(features.embedding, torch.cat([one.mean((2, 3)) for one in given], dim=1))
    assert not any(one.requires_grad for one in encoder.parameters())


def test_maps_of_several_grids_become_levels_finest_first() -> None:
    bands = [KNOWN[name] for name in ("B02", "B03", "B04", "B08")]
    encoder = encoders.build(drawn("pyramid"), bands=bands, image_size=40)
    assert [(level.stride, level.channels) for level in encoder.levels] == [(2, 4), (4, 8), (8, 16)]
    features = encoder(images(4, 40))
    assert [one.shape[-1] for one in features.maps] == [20, 10, 5]
    coarsest_first = encoder.network({"optical": images(4, 40)})
    assert torch.equal(features.maps[0][:, 0], coarsest_first[-1])


def test_an_encoder_over_time_is_given_one_date_and_its_maps_lose_it() -> None:
    encoder = encoders.build(drawn("over_time"))
    assert encoder(images(6)).maps[0].shape == (2, 1, 6, 4, 4)


def test_seed_draws_the_weights_and_leaves_the_callers_generator_alone() -> None:
    state = torch.get_rng_state()
    one, same, other = (encoders.build(drawn("plain", seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one(images(3)).embedding, same(images(3)).embedding)
    assert not torch.equal(one(images(3)).embedding, other(images(3)).embedding)


@pytest.mark.parametrize("name", TWELVE)
def test_each_dataset_gives_an_encoder_of_any_bands_the_bands_pangaea_knows(name: str) -> None:
    card = drawn("any_bands")
    dataset = datasets.dataset(name)
    plan = inputs.plan(dataset, encoders.inputs_of(card))
    assert plan.side == 32
    assert not plan.filled
    encoder = encoders.build(card, bands=[one.wanted for one in plan.channels], image_size=plan.side)
    told = [card.options["arguments"]["wavelengths"][band] for band in encoder.network.input_bands["optical"]]  # type: ignore[index]
    assert encoder.network.wavelengths == told
    # What PANGAEA tells an encoder of a band is what the band is, wherever the dataset's own names are wrong.
    really = [one.stored.wavelength_um for one in plan.channels if one.stored]
    known = [(mine, theirs) for mine, theirs in zip(told, really, strict=True) if theirs is not None]
    assert all(abs(mine - theirs) < 0.05 for mine, theirs in known)
    counts = {"m-eurosat": 13, "m-brick-kiln": 10, "m-forestnet": 6, "m-chesapeake": 4, "m-so2sat": 10}
    assert len(told) == counts.get(name, 12 if dataset.sensor == "sentinel2" else 3)


def test_every_value_is_the_datasets_z_score_and_a_missing_band_is_zero() -> None:
    spec = encoders.inputs_of(drawn("over_time"))
    plan = inputs.plan(datasets.dataset("m-pv4ger"), spec, missing_bands=("mean",))
    assert {one.constant for one in plan.filled} == {0.0}
    assert {one.rule.steps[-1].op for one in plan.channels} == {"zscore"}


def test_radar_goes_in_as_its_own_modality_in_decibels_and_only_where_there_is_some() -> None:
    card = drawn("joint")
    plan = inputs.plan(datasets.dataset("m-so2sat"), encoders.inputs_of(card))
    assert [one.wanted.name for one in plan.channels] == ["B04", "B03", "B02", "VV", "VH"]
    assert [step.op for step in plan.channels[3].rule.steps] == ["decibel", "zscore"]
    encoder = encoders.build(card, bands=[one.wanted for one in plan.channels])
    batch = images(5)
    seen = encoder.network({"optical": batch[:, :3], "sar": batch[:, 3:]})
    assert torch.equal(encoder(batch).maps[0][:, 0], torch.cat(seen, dim=1))
    for name in ("m-eurosat", "m-forestnet", "m-nz-cattle"):
        with pytest.raises(UserError, match=r"impossible: it (has no VV or VH|holds no radar)"):
            inputs.plan(datasets.dataset(name), encoders.inputs_of(card))


def test_a_released_file_is_read_by_the_classes_own_rules(tmp_path: Path) -> None:
    torch.save({**torch.load(saved(tmp_path)), "surplus": torch.zeros(1)}, saved(tmp_path))
    encoder = encoders.build("pangaea:plain", weights_dir=tmp_path)
    assert torch.equal(encoder(images(3)).embedding, encoders.build(drawn("plain", seed=3))(images(3)).embedding)


def test_what_a_file_does_not_fill_is_refused_unless_asked_for(tmp_path: Path) -> None:
    saved(tmp_path, position=None)
    with pytest.raises(
        UserError, match=r"does not fill its class \(Missing parameters: \['position'\]\).*another image"
    ):
        encoders.build("pangaea:plain", weights_dir=tmp_path)
    saved(tmp_path)
    with pytest.raises(UserError, match=r"Incompatible parameters: \['position'\]"):
        encoders.build("pangaea:plain", weights_dir=tmp_path, image_size=64)
    partial = encoders.card("pangaea:plain")
    partial = replace(partial, options=partial.options | {"partial_weights": True})
    assert encoders.build(partial, weights_dir=tmp_path, image_size=64)(images(3, 64)).maps[0].shape[-1] == 8


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_nothing_in_a_weights_file_is_executed_though_the_class_asks_for_it(tmp_path: Path) -> None:
    path = saved(tmp_path)
    torch.save({**torch.load(path), "args": argparse.Namespace(lr=0.1)}, path)
    encoders.build("pangaea:plain", weights_dir=tmp_path)
    torch.save({"trap": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(UserError, match=r"plain\.pth, because it is damaged or holds more than tensors"):
        encoders.build("pangaea:plain", weights_dir=tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_run_reaches_no_server(tmp_path: Path) -> None:
    """Neither where the base class would download a missing file, nor where a class downloads by itself."""
    with pytest.raises(
        UserError, match=r"weight files are missing: pangaea/plain\.pth; .* from https://weights\.example"
    ):
        encoders.build("pangaea:plain", weights_dir=tmp_path)
    with pytest.raises(
        UserError, match=r"its class downloads from weights\.example by itself, and a run downloads nothing"
    ):
        encoders.build("pangaea:downloading")
    with pytest.raises(UserError, match=r"torchvision's 'DEFAULT', which it downloads.*timm:resnet50"):
        encoders.card("pangaea:torchvision")


MISTAKES = {
    "plian": "PANGAEA has no encoder 'plian'; did you mean plain",
    "odd_band": "wants band ASC_VV, which no dataset",
    "odd_key": "'topology' is .*distribution.*, which no dataset here can say",
    "elsewhere": "'_target_' names no class of pangaea.encoders",
    "lacking": "cannot be imported .*a_package_that_is_nowhere.*the extra satdifuser-bench",
    "no_class": "has no encoder class 'build'",
    "no_list": "gives no list of maps but",
}


@pytest.mark.parametrize(("name", "message"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_one_sentence(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        encoders.build(f"pangaea:{name}")


def test_wrong_arguments_sizes_and_precisions_are_named() -> None:
    with pytest.raises(UserError, match=r"class fails \(TypeError: .*'dept'.*correct encoder\.options\.arguments"):
        encoders.build(drawn("plain", arguments={**encoders.card("pangaea:plain").options["arguments"], "dept": 1}))  # type: ignore[dict-item]
    with pytest.raises(UserError, match=r"images of 64 x 64 pixels and 3 bands .*set encoder\.image_size"):
        encoders.build(drawn("plain"))(images(3, 64))
    with pytest.raises(UserError, match="run in float32; leave precision=bfloat16 out"):
        encoders.build(drawn("plain"), precision="bfloat16")


def test_without_a_checkout_the_variable_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PANGAEA_DIR")
    with pytest.raises(UserError, match="PANGAEA_DIR is not set; set it to a checkout"):
        encoders.card("pangaea:plain")
    monkeypatch.setenv("PANGAEA_DIR", str(tmp_path))
    with pytest.raises(
        UserError, match=f"PANGAEA_DIR is {re.escape(str(tmp_path))}, which holds no pangaea/encoders/base"
    ):
        encoders.card("pangaea:plain")


def test_another_checkout_in_the_same_process_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    encoders.build(drawn("plain"))
    other = shutil.copytree(STAND_IN, tmp_path / "other")
    monkeypatch.setenv("PANGAEA_DIR", str(other))
    with pytest.raises(UserError, match=r"this process has imported PANGAEA from .*, not from .*other; start another"):
        encoders.build(drawn("plain"))


def test_the_code_that_is_used_identifies_an_encoder_and_no_other_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(STAND_IN, tmp_path / "other"))
    card = encoders.card("pangaea:plain")
    before = encoders.sources(card)
    assert list(before) == [
        "code:pangaea/encoders/small.py:Plain",
        "code:pangaea/encoders/embedding.py",
        "code:pangaea/encoders/base.py",
    ]
    monkeypatch.setenv("PANGAEA_DIR", str(other))
    assert encoders.sources(card) == before
    (other / "pangaea/encoders/lacking.py").write_text("# Another encoder's.\n")
    assert encoders.sources(card) == before
    (other / "pangaea/encoders/embedding.py").write_text("# What it imports.\n")
    assert encoders.sources(card) != before
    (other / "configs/encoder/plain.yaml").write_text((other / "configs/encoder/pyramid.yaml").read_text())
    assert "code:pangaea/encoders/small.py:Pyramid" in encoders.sources(card)


def test_a_run_ends_in_a_record_that_names_the_code_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SATDIFUSER_BENCH_HOME", str(tmp_path / "home"))
    saved(tmp_path)
    command = ["--encoder", "pangaea:plain", "--dataset", "real-chesapeake-patches", "--protocol", "smoke"]
    command += ["--output", str(tmp_path / "results"), "--weights", str(tmp_path)]
    assert evaluate.main(command) == 0
    (record,) = RecordStore(tmp_path / "results")
    assert record.run.encoder == "pangaea:plain"
    assert {"pangaea/plain.pth", "code:pangaea/encoders/small.py:Plain"} <= record.run.weights.keys()
    assert record.ranked is False
    capsys.readouterr()
    path = RecordStore(tmp_path / "results").path(record.key)
    assert evaluate.main(["rerun", str(path), "--weights", str(tmp_path)]) == 0
    assert "same" in capsys.readouterr().out
    assert json.loads(path.read_text())["title"] == "PANGAEA plain"


def test_a_name_on_the_command_line_is_consent_to_the_checkouts_code_and_a_file_that_names_its_class_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run above was given no flag. Nor can a file say where the checkout is, or that it is one of its encoders."""
    given = tmp_path / "given.yaml"
    command = ["--encoder", str(given), "--dataset", "real-chesapeake-patches", "--output", str(tmp_path / "results")]
    plain = {"name": "given", "_target_": "pangaea.encoders.small:Plain"} | {
        key: getattr(encoders.card("imagestats"), key) for key in ("title", "version", "licence", "pretraining")
    }
    for more, said in (({}, "add --allow-code"), ({"adapter": "pangaea"}, "'adapter' is not for encoders of your own")):
        given.write_text(json.dumps(plain | {"inputs": "imagestats"} | more))
        assert evaluate.main(command) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
