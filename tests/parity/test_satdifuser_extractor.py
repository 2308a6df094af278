"""SatDiFuser's extractor against what the official code put out (recordings/satdifuser/README.md).

Recordings are read from `$PARITY_DIR/satdifuser` where that is set, else from the copy beside this file.
Names, sizes, steps and modules are the recording's own; every tensor of a run's file must be compared.
"""

import functools
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor

import encoders
from encoders import diffusion
from encoders.base import EncoderCard, Features
from encoders.checkpoints import fit, load_tensors
from encoders.diffusionsat import Parts
from encoders.satdifuser import SatDiFuser
from encoders.satdifuser_options import parse
from tests.parity import figures

ROOT = Path(os.environ.get("PARITY_DIR") or Path(__file__).parent / "recordings")
FOLDER = ROOT / "satdifuser"
NAME = f"{ROOT.name}-{FOLDER.name}"
META: dict[str, Any] = json.loads((FOLDER / "extractor_meta.json").read_text())
RUNS: list[dict[str, Any]] = META["runs"]
CARD = EncoderCard(name="parity", title="parity", adapter="satdifuser", inputs="satdifuser", version=1, licence="none")

ATOL_FEATURES, ATOL_LATENTS = 1e-4, 2e-5
"""README.md of the recordings; the official code's own float32 noise is 1e-5 and 1e-6."""

every_run = pytest.mark.parametrize("run", RUNS, ids=[f"{NAME}-{Path(run['file']).stem}" for run in RUNS])
whole_folder = pytest.mark.parametrize("folder", [FOLDER], ids=[NAME])


class Recording:
    """A run's file, and which of its tensors were compared."""

    def __init__(self, file: str) -> None:
        self.tensors = load_tensors(FOLDER / file)
        self.open = set(self.tensors)
        self.worst: dict[str, float] = {}

    def compare(self, key: str, actual: Tensor, atol: float) -> None:
        self.open.discard(key)
        expected = self.tensors[key]
        assert actual.shape == expected.shape, key
        kind = key.split(".")[1] if key.startswith("call") else key.partition(".s")[0]
        error = (actual - expected).abs().max().item()
        self.worst[kind] = max(self.worst.get(kind, 0.0), error)
        torch.testing.assert_close(actual, expected, rtol=0, atol=atol, msg=lambda text: f"{key}: {text}")
        if atol:
            figures.note("satdifuser", "features" if kind == "feat" else "latents", error, atol, "absolute")

    def compare_if_stored(self, key: str, actual: Tensor, atol: float) -> None:
        if key in self.tensors:
            self.compare(key, actual, atol)

    def done(self, at_least: str) -> None:
        assert any(key.startswith(at_least) for key in self.tensors), f"no {at_least} is stored"
        assert not self.open, f"nothing compares {sorted(self.open)}"
        print("max abs error", {kind: f"{error:.1e}" for kind, error in self.worst.items()})


def config(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return {key: value for key, value in content.items() if not key.startswith("_") and key != "skip_prk_steps"}


@functools.cache
def unet() -> Any:
    model = UNet2DConditionModel.from_config(config("unet_config.json"))
    fit(model, load_tensors(FOLDER / "unet.safetensors"), "unet.safetensors")
    return model


@functools.cache
def inputs() -> dict[str, Tensor]:
    return load_tensors(FOLDER / "extractor_inputs.safetensors")


def hooked() -> list[tuple[str, int, int]]:
    """(name, channels, width) of each hooked module, in the official order."""
    modules = []
    for module in META["hooked_modules_in_order"]:
        shape = module["output_shape"]
        modules.append(
            (
                module["module"],
                *((shape[1], shape[3]) if len(shape) == 4 else (shape[2], math.isqrt(shape[1]))),
            )
        )
    return modules


def build(run: dict[str, Any], **changed: object) -> SatDiFuser:
    modules: dict[str, list[int]] = {}
    for name, _, _ in hooked():
        blocks = modules.setdefault(name.rpartition(".")[2], [])
        number = int(name.split(".")[1])
        if number not in blocks:
            blocks.append(number)
    scale = run.get("guidance_scale", -1)
    corrected = "vpred" in run["mode"]
    options: dict[str, object] = {
        "num_steps": run["num_timesteps"],
        "save_indices": run["save_timesteps"],
        "guidance": None if scale == -1 else scale,
        "modules": modules,
        "mode": "generation" if run["mode"] == "generation" else "inversion",
        "prediction": "scheduler" if corrected else "epsilon",
    }
    if run["mode"] == "generation":
        # The official code looks at the smallest save index, whatever else is asked for.
        options["save_indices"] = [min(run["save_timesteps"])]
    scheduler = config("scheduler_config.json") | ({"prediction_type": "v_prediction"} if corrected else {})
    parts = Parts(unet(), None, DDIMScheduler.from_config(scheduler), inputs()["cond"], inputs()["uncond"])
    return SatDiFuser(CARD, encoders.input_spec("satdifuser"), parts, parse(options | changed, "parity"))


def latents_at(encoder: SatDiFuser, path: dict[int, Tensor]) -> Tensor:
    return torch.stack([path[t] for t in encoder.saved.values()], dim=1)


def maps_of(encoder: SatDiFuser, features: Features) -> Iterator[tuple[str, Tensor]]:
    for view, k in enumerate(encoder.saved):
        for level_map in features.maps:
            yield f"feat.s{k}.w{level_map.shape[-1]}", level_map[:, view]


@torch.no_grad()
def check_inversion(run: dict[str, Any], recording: Recording) -> None:
    encoder = build(run)
    path = encoder.trajectory(inputs()["latents"])
    recording.compare("traj.x", torch.stack(list(path.values())), ATOL_LATENTS)
    batch = len(inputs()["latents"])
    times = torch.tensor(list(path), dtype=torch.float32)[:, None].expand(-1, batch)
    recording.compare_if_stored("traj.t", times, 0)
    if "model_timesteps_of_every_call" in run:
        assert list(path) == run["model_timesteps_of_every_call"]
    if "model_timestep_of_saved" in run:
        assert {str(k): t for k, t in encoder.saved.items()} == run["model_timestep_of_saved"]
    assert len(path) * (1 if encoder.options.guidance is None else 2) == run["num_unet_calls"]
    if "traj.eps" in recording.tensors:
        raw = build(run, guidance=None)
        recording.compare("traj.eps", torch.stack([raw.predict(x, t) for t, x in path.items()]), ATOL_LATENTS)
    for k, t in encoder.saved.items():
        abar = diffusion.signal(encoder.abar, t)
        clean, _ = diffusion.clean_and_noise(path[t], encoder.predict(path[t], t), abar, encoder.prediction)
        recording.compare_if_stored(f"x0_pred.s{k}", clean, ATOL_LATENTS)
    for key, actual in maps_of(encoder, encoder.body(latents_at(encoder, path))):
        recording.compare_if_stored(key, actual, ATOL_FEATURES)
    recording.done(at_least="feat.")


@torch.no_grad()
def check_generation(run: dict[str, Any], recording: Recording) -> None:
    encoder = build(run)
    ((_, t),) = encoder.saved.items()
    assert t == run["model_timestep"]
    latents = inputs()["latents"]
    stream = torch.Generator().manual_seed(run["noise_seed"])
    for call in sorted(
        {key.split(".")[0] for key in recording.tensors}, key=lambda name: int(name.removeprefix("call"))
    ):
        noise = torch.randn(latents.shape, generator=stream)
        recording.compare_if_stored(f"{call}.noise", noise, 0)
        noisy = encoder.noised(latents, noise)
        recording.compare(f"{call}.noisy_latents", noisy, ATOL_LATENTS)
        output = encoder.predict(noisy, t)
        recording.compare_if_stored(f"{call}.eps", output, ATOL_LATENTS)
        clean, _ = diffusion.clean_and_noise(noisy, output, diffusion.signal(encoder.abar, t), encoder.prediction)
        recording.compare_if_stored(f"{call}.x0_pred", clean, ATOL_LATENTS)
        for key, actual in maps_of(encoder, encoder.body(noisy[:, None])):
            recording.compare_if_stored(f"{call}.{key}", actual, ATOL_FEATURES)
    recording.done(at_least="call0.feat.")


@every_run
def test_run_gives_the_official_latents_and_features(run: dict[str, Any]) -> None:
    checks = {
        "inversion": check_inversion,
        "inversion_vpred_not_official": check_inversion,
        "generation": check_generation,
    }
    checks[run["mode"]](run, Recording(run["file"]))


@every_run
@torch.no_grad()
def test_one_call_for_all_steps_gives_what_a_call_a_step_gives(run: dict[str, Any]) -> None:
    encoder = build(run)
    if encoder.options.mode == "generation":
        stem = encoder.noised(inputs()["latents"])[:, None]
    else:
        stem = latents_at(encoder, encoder.trajectory(inputs()["latents"]))
    together = encoder.body(stem)
    for view, k in enumerate(encoder.saved):
        alone = build(run, save_indices=[k]).body(stem[:, view : view + 1])
        for all_steps, one_step in zip(together.maps, alone.maps, strict=True):
            torch.testing.assert_close(all_steps[:, view : view + 1], one_step, rtol=0, atol=ATOL_FEATURES)


@whole_folder
def test_modules_their_order_and_widths_are_the_official_ones(folder: Path) -> None:
    encoder = build(RUNS[0])
    by_width: dict[int, list[tuple[str, int]]] = {}
    for name, channels, width in hooked():
        by_width.setdefault(width, []).append((name, channels))
    widths = sorted(by_width, reverse=True)
    assert [level.modules for level in encoder.levels] == [tuple(by_width[width]) for width in widths]
    dims = {int(width): channels for width, channels in META["feature_dims"].items()}
    assert {width: [channels for _, channels in by_width[width]] for width in widths} == dims
    finest = inputs()["latents"].shape[-1]
    assert [level.stride * width for level, width in zip(encoder.levels, widths, strict=True)] == [8 * finest] * len(
        widths
    )


@whole_folder
def test_every_recorded_run_is_listed(folder: Path) -> None:
    assert {"latents", "cond", "uncond"} <= set(inputs())
    recorded = {
        path.name
        for path in folder.glob("*.safetensors")
        if any("feat." in key or "traj." in key for key in load_tensors(path))
    }
    assert recorded <= {run["file"] for run in RUNS}
