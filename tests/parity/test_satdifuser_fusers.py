"""SatDiFuser's fusers, heads and training against the official code's outputs (recordings/satdifuser/README.md).

Recordings are read from `$PARITY_DIR/satdifuser` where that is set, else from the copy beside this file.
Widths, experts, classes and steps are the recording's own; every tensor of a file must be compared.
"""

import dataclasses
import functools
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmark.training.bank import Member, Trainee
from benchmark.training.prediction import Task, headline
from decoders import decoder as decoders
from decoders.fusion import build_fuser
from decoders.heads import PooledClassifier
from decoders.moe import MixtureOfExperts, Routing
from decoders.neck import Neck
from decoders.schedule import official_learning_rate
from decoders.upernet import UPerNet
from decoders.weighted import GlobalWeighted, LocalWeighted
from encoders.base import Level
from encoders.checkpoints import load_tensors
from tests.parity import figures
from tests.parity.recorded import unpacked
from tests.test_protocol import protocol

ROOT = Path(os.environ.get("PARITY_DIR") or Path(__file__).parent / "recordings")
FOLDER = ROOT / "satdifuser"
FUSERS_FOLDER = unpacked("satdifuser/fusers")
NAME = f"{ROOT.name}-{FOLDER.name}"
META: dict[str, Any] = json.loads((FUSERS_FOLDER / "meta.json").read_text())
STEPS: dict[str, Any] = json.loads((FUSERS_FOLDER / "train_steps.json").read_text())
SCHEDULE: dict[str, Any] = json.loads((FOLDER / "lr_schedule.json").read_text())

ATOL_MAPS, ATOL_GATES, RTOL_TRAINING, RTOL_RATE = 2e-5, 1e-6, 1e-5, 1e-12
"""README.md of the recordings."""

FUSERS = sorted(key for key in STEPS if not key.startswith("_"))
MOE_STATES: dict[str, dict[str, Any]] = META["moe_counters"]


def expected_files() -> list[tuple[str, str, str]]:
    """(fuser, head, what) of every output that must be there, with the file `<fuser>_<head>.<what>...`."""
    listed = []
    for head in sorted(MOE_STATES):
        for fuser in FUSERS:
            if fuser == "moe":
                listed += [(fuser, head, f"{state}.expected") for state in sorted(MOE_STATES[head])]
            else:
                listed.append((fuser, head, "expected"))
        listed.append(("lw", head, "fixed-slicing"))
    return listed


def file_name(fuser: str, head: str, what: str) -> str:
    return f"{fuser}_{head}.{what}.safetensors"


every_output = pytest.mark.parametrize(
    ("fuser", "head", "what"),
    expected_files(),
    ids=[f"{NAME}-{file_name(*listed).removesuffix('.safetensors')}" for listed in expected_files()],
)
every_fuser = pytest.mark.parametrize("fuser", FUSERS, ids=[f"{NAME}-{fuser}" for fuser in FUSERS])
whole_folder = pytest.mark.parametrize("folder", [FUSERS_FOLDER], ids=[NAME])


class Recording:
    """A file of expected tensors, and which of them were compared."""

    def __init__(self, name: str) -> None:
        self.fuser = name.partition("_")[0] + (" (fixed slicing)" if "fixed-slicing" in name else "")
        self.tensors = load_tensors(FUSERS_FOLDER / name)
        self.open = set(self.tensors)
        self.worst: dict[str, float] = {}

    def compare(self, key: str, actual: Tensor, atol: float = ATOL_MAPS) -> None:
        """Compare where the file has the tensor; what a recording leaves out is not asked for."""
        if key not in self.tensors:
            return
        self.open.discard(key)
        expected = self.tensors[key].reshape(actual.shape) if key == "lb_loss" else self.tensors[key]
        assert actual.shape == expected.shape, key
        kind = key.split(".", maxsplit=1)[0]
        error = (actual.double() - expected.double()).abs().max().item()
        self.worst[kind] = max(self.worst.get(kind, 0.0), error)
        torch.testing.assert_close(actual, expected, rtol=0, atol=atol, msg=lambda text: f"{key}: {text}")
        if atol:
            figures.note(self.fuser, "gates" if atol == ATOL_GATES else "maps and logits", error, atol, "absolute")

    def done(self) -> None:
        assert "output" in self.tensors, "no output is stored"
        assert not self.open, f"nothing compares {sorted(self.open)}"
        print("max abs error", {kind: f"{error:.1e}" for kind, error in self.worst.items()})


def sides() -> list[int]:
    return list(META["widths_large_to_small"])


def views() -> list[int]:
    return sorted(META["save_timesteps"], reverse=True)


def levels() -> list[Level]:
    """Level by level as recorded; strides count cells of the finest grid."""
    dims = META["feature_dims"]
    return [
        Level(sides()[0] // side, tuple((f"module{n}", c) for n, c in enumerate(dims[str(side)]))) for side in sides()
    ]


@functools.cache
def maps() -> tuple[Tensor, ...]:
    stored = load_tensors(FUSERS_FOLDER / "inputs.safetensors")
    keys = [[f"feat.s{k}.w{side}" for k in views()] for side in sides()]
    assert {key for level in keys for key in level} == set(stored)
    return tuple(torch.stack([stored[key] for key in level], dim=1) for level in keys)


def fuser_options(fuser: str, what: str) -> dict[str, object]:
    options = {key: META[key] for key in ("projection_dim", "num_norm_groups", "num_res_blocks")}
    if fuser == "lw":
        options["temperature"] = META["lw_gating_temperature"]
        options["slicing"] = "fixed" if what == "fixed-slicing" else "official"
    if fuser == "moe":
        options |= {key: META["moe"][key] for key in ("num_experts", "top_k", "warmup_steps")}
    return options


class Decoder(nn.Module):
    """Fuser, neck and head, loaded strictly from the official flat state dict."""

    def __init__(self, fuser: str, head: str, what: str = "expected") -> None:
        super().__init__()
        names = [str(k) for k in views()]
        self.fuser = build_fuser(fuser, levels(), names, fuser_options(fuser, what))
        self.neck = Neck(self.fuser.strides, self.fuser.widths)
        if head == "classifier":
            self.head: nn.Module = PooledClassifier(self.fuser.widths, META["num_classes"], add=self.fuser.additive)
        else:
            assert set(META["rescales"]) == {1}
            assert not META["align_corners"]
            self.head = UPerNet(
                self.neck.widths,
                META["seg_num_classes"],
                channels=META["upernet_channels"],
                pool_scales=META["pool_scales"],
            )
        self.load_official(load_tensors(FUSERS_FOLDER / file_name(fuser, head, "weights")))
        self.eval()

    def load_official(self, weights: dict[str, Tensor]) -> None:
        ours, theirs = self.fuser.state_dict(), self.head.state_dict()
        assert not ours.keys() & theirs.keys()
        assert ours.keys() | theirs.keys() == weights.keys()
        assert not list(self.neck.parameters())
        self.fuser.load_state_dict({key: weights[key] for key in ours})
        self.head.load_state_dict({key: weights[key] for key in theirs})

    def forward(self, given: Sequence[Tensor]) -> Tensor:
        fused = self.fuser(given)
        logits: Tensor
        if isinstance(self.head, UPerNet):
            logits = self.head(self.neck(fused), tuple(META["output_shape"]))
        else:
            logits = self.head(fused)
        return logits


def official_lb_loss(routings: Sequence[Routing]) -> Tensor:
    """The scalar the official MoE returns and never uses: wrong sign, and of the coarsest level alone."""
    probabilities = routings[-1].probabilities
    use = probabilities.mean(0)
    by_view = -(use * torch.log(use * probabilities.shape[-1] + 1e-8)).sum(-1)
    return by_view.sum() / (len(routings) * len(by_view))


def compare_routings(recording: Recording, routings: Sequence[Routing]) -> None:
    for side, routing in zip(sides(), routings, strict=True):
        recording.compare(f"gate_conv_out.w{side}", routing.logits.transpose(0, 1))
        recording.compare(f"gating_probs.w{side}", routing.probabilities.transpose(0, 1), ATOL_GATES)
        recording.compare(f"topk_index.w{side}", routing.top_index.transpose(0, 1), 0)
        recording.compare(f"topk_weight.w{side}", routing.top_weight.transpose(0, 1), ATOL_GATES)
    recording.compare("lb_loss", official_lb_loss(routings), ATOL_GATES)


@every_output
@torch.no_grad()
def test_outputs_and_gates_are_the_official_ones(fuser: str, head: str, what: str) -> None:
    recording = Recording(file_name(fuser, head, what))
    decoder = Decoder(fuser, head, what)
    if isinstance(decoder.fuser, MixtureOfExperts):
        state = MOE_STATES[head][what.removesuffix(".expected")]
        decoder.fuser.calls.count = state["counter_before"]
        recording.compare("output", decoder(maps()))
        assert decoder.fuser.calls.count == state["counter_after_one_forward"]
        decoder.fuser.calls.count = state["counter_before"]
        compare_routings(recording, decoder.fuser.routes(maps()))
    else:
        recording.compare("output", decoder(maps()))
    if isinstance(decoder.fuser, GlobalWeighted):
        recording.compare("gate", decoder.fuser.gate(), ATOL_GATES)
    if isinstance(decoder.fuser, LocalWeighted):
        for side, gate in zip(sides(), decoder.fuser.gates(maps()), strict=True):
            recording.compare(f"gate.w{side}", gate, ATOL_GATES)
    fused = decoder.fuser(maps())
    for side, fused_map in zip(sides(), fused, strict=True):
        recording.compare(f"fused.w{side}", fused_map)
    if isinstance(decoder.head, UPerNet):
        recording.compare("pre_conv_seg", decoder.head.features(decoder.neck(fused)))
    recording.done()


def recipe() -> tuple[float, dict[str, float]]:
    """Weight decay and schedule of the recorded training, from its own words."""
    text = STEPS["_recipe"]
    decay = re.search(r"weight_decay=([\d.e-]+)", text)
    schedule = re.search(r"warmup (\d+) / total (\d+) / max ([\d.e-]+) / min ([\d.e-]+)", text)
    assert decay
    assert schedule
    warmup, total, highest, lowest = schedule.groups()
    return float(decay[1]), {
        "warmup_epochs": int(warmup),
        "total_epochs": int(total),
        "max_lr": float(highest),
        "min_lr": float(lowest),
    }


@every_fuser
def test_training_steps_are_the_official_ones(fuser: str) -> None:
    decoder = Decoder(fuser, "classifier").train()
    decay, schedule = recipe()
    optimiser = torch.optim.Adam(decoder.parameters(), weight_decay=decay)
    worst = {"loss": 0.0, "grad_norm": 0.0}
    assert STEPS[fuser]
    for number, recorded in enumerate(STEPS[fuser]):
        rate = official_learning_rate(number, **schedule)  # type: ignore[arg-type]
        assert rate == pytest.approx(recorded["lr"], rel=RTOL_RATE, abs=0)
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(decoder(maps()), torch.tensor(STEPS["_labels"]))
        loss.backward()
        gradients = [parameter.grad for parameter in decoder.parameters()]
        norm = torch.stack([grad.double().norm() for grad in gradients if grad is not None]).norm().item()
        assert sum(grad is None for grad in gradients) == recorded["params_without_grad"]
        for key, actual in (("loss", loss.item()), ("grad_norm", norm)):
            error = abs(actual / recorded[key] - 1)
            worst[key] = max(worst[key], error)
            assert actual == pytest.approx(recorded[key], rel=RTOL_TRAINING), (key, number)
            figures.note(fuser, "losses and gradient norms of six steps", error, RTOL_TRAINING, "relative")
        assert recorded.keys() == {"step", "lr", "loss", "grad_norm", "params_without_grad"}
        assert recorded["step"] == number
        optimiser.step()
    print("max relative error", {key: f"{error:.1e}" for key, error in worst.items()})


@every_fuser
def test_the_bank_under_satdifuser_code_trains_as_officially(fuser: str) -> None:
    """The protocol's own optimiser, schedule and step, with the recording's numbers in place of the dataset's."""
    decay, schedule = recipe()
    rules = dataclasses.replace(
        protocol("satdifuser_code"),
        weight_decay=decay,
        epochs=int(schedule["total_epochs"]),
        warmup_epochs=int(schedule["warmup_epochs"]),
        final_rate=schedule["min_lr"],
        learning_rates=(schedule["max_lr"],),
    )
    official = Decoder(fuser, "classifier")
    member = Member(fuser, 42, rules.learning_rates[0], lambda _: decoders.Decoder(official.fuser, official.head))
    task = Task("single_label", META["num_classes"], headline("single_label", "accuracy"))
    # The recording has one batch an epoch.
    trainee = Trainee(member, task, rules, len(STEPS[fuser]), "cpu", steps_per_epoch=1)
    trainee.decoder.train()
    given, labels = tuple(level.float() for level in maps()), torch.tensor(STEPS["_labels"])
    for number, recorded in enumerate(STEPS[fuser]):
        trainee.learn(given, labels)
        told = trainee.told(number)
        assert told.learning_rate == pytest.approx(recorded["lr"], rel=RTOL_RATE, abs=0)
        assert told.loss == pytest.approx(recorded["loss"], rel=RTOL_TRAINING), number


@whole_folder
def test_learning_rates_are_the_official_ones(folder: Path) -> None:
    constants = {key: value for key, value in SCHEDULE.items() if key != "lr_used_in_epoch"}
    assert SCHEDULE["lr_used_in_epoch"]
    for epoch, recorded in enumerate(SCHEDULE["lr_used_in_epoch"]):
        assert official_learning_rate(epoch, **constants) == pytest.approx(recorded, rel=RTOL_RATE, abs=0)


@whole_folder
def test_every_recorded_file_is_compared(folder: Path) -> None:
    read = {file_name(*listed) for listed in expected_files()} | {"inputs.safetensors"}
    read |= {file_name(fuser, head, "weights") for fuser, head, _ in expected_files()}
    assert {path.name for path in folder.glob("*.safetensors")} == read
