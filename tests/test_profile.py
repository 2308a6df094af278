"""What `profile` measures: the official way gives the same features, sums are alike for seconds and operations."""

import re
from pathlib import Path

import pytest
import torch

import encoders
from benchmark.flops.running import counted
from benchmark.profiling import official
from benchmark.profiling.costs import Costs, Work
from benchmark.profiling.timing import Timed, Times, in_turns
from encoders.satdifuser import SatDiFuser
from tests.commands import process, refused, run

SET = "real-chesapeake-patches"
SMALL = ("--images", "4", "--rounds", "1", "--protocol", "smoke", "--device", "cpu", "batch_size=4")


def test_the_official_way_gives_the_features_of_the_stored_one_with_a_call_for_every_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = encoders.build("satdifuser_tiny", image_size=32)
    assert isinstance(encoder, SatDiFuser)
    calls: list[int] = []
    original = SatDiFuser._unet

    def noting(self: SatDiFuser, x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        return original(self, x, *rest)

    monkeypatch.setattr(SatDiFuser, "_unet", noting)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = official.encoded(encoder, images)
    assert calls == [2] * 10
    assert encoder.steps == [-1, 1, 21, 41, 61, 81, 101, 121, 141, 161]
    assert "VAE and 10 UNet calls" in official.said(encoder)
    for ours, theirs in zip(encoder(images).maps, found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_an_encoder_that_looks_once_is_simply_called() -> None:
    encoder = encoders.build("imagestats", image_size=32)
    images = torch.rand(2, 3, 32, 32)
    for ours, theirs in zip(encoder(images).maps, official.encoded(encoder, images), strict=True):
        assert torch.equal(ours, theirs)
    assert not official.walks(encoder)


def test_operations_are_counted_with_their_backward_pass() -> None:
    weight, x = torch.randn(5, 7, requires_grad=True), torch.randn(3, 7)
    _, forward = counted(lambda: x @ weight.T)
    assert forward == 2 * 3 * 5 * 7
    _, both = counted(lambda: (x @ weight.T).sum().backward())
    assert both == 2 * forward  # the input wants no gradient


def test_a_run_costs_what_its_images_cost() -> None:
    work = Work(train=100, valid=10, test=20, epochs=5, decoders=6, scored=3)
    costs = Costs(extract=2.0, train=3.0, predict=1.0, official_train=50.0, official_predict=40.0)
    assert work.ours(costs) == 130 * 2 + 5 * (100 * 3 + 10 * 1) + 20 * 1
    assert work.official(costs) == 6 * 5 * (100 * 50 + 10 * 40) + 3 * 20 * 40
    assert work.run_ratio(costs) == work.official(costs) / work.ours(costs)
    assert work.epoch_ratio(costs) == 6 * 50 / 3


def test_parts_are_timed_in_turns_after_a_time_that_does_not_count() -> None:
    order: list[str] = []
    parts = {name: (lambda name=name: order.append(name)) for name in ("a", "b")}
    times = in_turns(parts, 2, "cpu")
    assert order == ["a", "b"] * 3
    assert len(times.series("a")) == 2
    own = in_turns({"own": lambda: 7.5}, 1, "cpu")
    assert own.best("own") == 7.5
    rounds = {"a": [Timed(seconds, 2 * seconds) for seconds in (3.0, 1.0, 2.0)]}
    assert (Times(rounds).best("a"), Times(rounds).median("a")) == (1.0, 2.0)


def test_a_decoder_is_profiled_against_the_official_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("profile", "satdifuser_tiny", SET, "--fusion", "gw", "--against", "recompute")
    assert run(tmp_path, *arguments, *SMALL, "encoder.image_size=32", "feature_tier=stem") == 0
    said = capsys.readouterr().out
    for part in ("reading", "scaling", "encoding", "storing, tier stem", "extraction", "loading", "training 1 decoder"):
        assert part in said
    assert "of encoding alone" in said or "of storing alone" in said
    assert "epoch of training, with the VAE" in said
    assert "whole run, without the VAE" in said
    assert "VAE and 10 UNet calls one after another" in said
    assert not list((tmp_path / "features").iterdir()), "what was stored is removed"


def test_linear_candidates_are_profiled_beside_one_of_each_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = ("--probe", "bn_linear", "--protocol", "geobreeze", "protocol.fresh=[]", "protocol.learning_rates=[0.1,1.0]")
    assert run(tmp_path, "profile", "imagestats", SET, "--against", "recompute", *bank, *SMALL) == 0
    said = capsys.readouterr().out
    assert "training 6 decoders" in said
    assert "training 3 decoders, one of each kind" in said
    said = " ".join(said.split())
    assert "as long as one of each kind" in said
    assert all(float(times) < 1000 for times in re.findall(r"([\d.]+) times the CPU time", said))


def test_a_probe_on_embeddings_is_profiled_without_a_decoder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "profile", "imagestats", SET, "--top", "3", *SMALL) == 0
    said = capsys.readouterr().out
    assert "storing, tier embedding" in said
    assert "training" not in said.replace("epochs", "")
    assert "109, 34, 51" in said
    assert "the 3 operations that take longest" in said
    assert "aten::" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("imagestats", SET, "--against", "recompute"), "choose --fusion mean or gw"),
        (("imagestats", SET, "m-eurosat"), "takes ENCODER DATASET, not 3 names"),
        (("imagestats",), "did you mean|choose from|no dataset"),
        (("imagestats", SET, "--images", "0"), "--images: '0' is no whole number from 1"),
        (("imagestats", SET, "--rounds", "many"), "--rounds: 'many' is no whole number from 1"),
        ((SET,), "is bundled; profile a dataset of a GEO-Bench root"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    assert re.search(sentence, refused(tmp_path, capsys, "profile", *arguments, "--device", "cpu"))


def test_help_of_profile_imports_no_framework(tmp_path: Path) -> None:
    code = (
        "import sys, evaluate\ntry: evaluate.main(sys.argv[1:])\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    )
    assert process(tmp_path, code, "profile", "--help").stdout.splitlines()[-1] == "False"
