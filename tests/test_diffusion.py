"""The arithmetic of inversion against its definitions, in float64 and by hand."""

import math

import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st

from encoders import diffusion
from encoders.diffusionsat import SCHEDULER
from encoders.errors import UserError


def table(num_steps: int, mode: diffusion.Mode = "inversion") -> dict[int, int]:
    return diffusion.model_timesteps(diffusion.ascending_grid(DDIMScheduler(**SCHEDULER), num_steps), mode)


def test_signal_is_the_product_of_one_minus_beta() -> None:
    abar = diffusion.alphas_cumprod(DDIMScheduler(**SCHEDULER))
    ramp = torch.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000, dtype=torch.float64) ** 2
    torch.testing.assert_close(abar.double(), torch.cumprod(1 - ramp, 0), rtol=1e-5, atol=0)
    assert diffusion.signal(abar, -1) == 1
    noise = [math.sqrt(1 - diffusion.signal(abar, t)) for t in (1, 21, 61, 161, 201)]
    # spec: sqrt(1-abar) of the default steps.
    assert noise == pytest.approx([0.041, 0.140, 0.245, 0.433, 0.498], abs=6e-4)


@given(st.sampled_from([1, 2, 3, 7, 10, 20, 50, 100, 999]))
def test_inversion_lags_the_grid_by_one_step(n: int) -> None:
    steps, ratio = table(n), 1000 // n
    assert steps == {n - 1: -1} | {k: 1 + ratio * (n - 2 - k) for k in reversed(range(n - 1))}
    assert table(n, "generation") == {k: 1 + ratio * (n - 1 - k) for k in reversed(range(n))}


@pytest.mark.parametrize(
    ("n", "indices", "timesteps"),
    [
        (50, (47, 45, 40), (21, 61, 161)),
        (50, (49, 44, 39), (-1, 81, 181)),
        (50, (48, 43, 38), (1, 101, 201)),
        (10, (8, 7, 6), (1, 101, 201)),
        (1000, (998, 899, 799), (1, 100, 200)),
    ],
)
def test_save_indices_and_model_timesteps_name_the_same_steps(
    n: int, indices: tuple[int, ...], timesteps: tuple[int, ...]
) -> None:
    expected = dict(zip(indices, timesteps, strict=True))
    for asked in (indices, indices[::-1]):
        chosen = diffusion.choose(table(n), indices=asked)
        assert chosen == expected
        assert list(chosen) == list(indices)
    assert diffusion.choose(table(n), timesteps=timesteps[::-1]) == expected
    assert len(diffusion.walk(table(n), timesteps[-1])) == n - 1 - indices[-1]


def test_generation_and_inversion_mean_different_timesteps_by_one_index() -> None:
    assert (table(50)[40], table(50, "generation")[40]) == (161, 181)


def test_timestep_beyond_the_schedule_is_no_step() -> None:
    assert 0 not in table(1000, "generation")
    assert max(table(1000).values()) == 999


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"timesteps": [1, 100, 200]}, r"save_timesteps: 100 is not a step .* nearest: 81 and 101"),
        ({"timesteps": [1000]}, "nearest: 941 and 961"),
        ({"indices": [50]}, r"save_indices: 50 is not a step .* nearest: 48 and 49"),
        ({"indices": [-1]}, "nearest: 0 and 1"),
        ({"indices": [40, 40]}, "stands twice"),
        ({"indices": []}, "empty"),
    ],
)
def test_step_that_is_not_on_the_walk_is_refused(asked: dict[str, list[int]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        diffusion.choose(table(50), **asked)


@pytest.mark.parametrize("n", [0, 1001])
def test_number_of_steps_out_of_range_is_refused(n: int) -> None:
    with pytest.raises(UserError, match="choose from 1 to 1000"):
        table(n)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_true_prediction_carries_a_point_along_its_own_path(prediction: diffusion.Prediction) -> None:
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 2, 4, 3, 5, generator=generator)
    now, later = torch.tensor(0.9), torch.tensor(0.7)
    x = diffusion.add_noise(x0, noise, now)
    velocity = now.sqrt() * noise - (1 - now).sqrt() * x0
    output = noise if prediction == "epsilon" else velocity
    clean, epsilon = diffusion.clean_and_noise(x, output, now, prediction)
    torch.testing.assert_close(clean, x0, rtol=0, atol=1e-6)
    torch.testing.assert_close(epsilon, noise, rtol=0, atol=1e-6)
    moved = diffusion.invert(x, output, now, later, prediction)
    torch.testing.assert_close(moved, diffusion.add_noise(x0, noise, later), rtol=0, atol=1e-6)


def test_first_step_leaves_the_image_and_adds_the_first_noise() -> None:
    x, output, abar = torch.tensor([2.0]), torch.tensor([0.5]), torch.tensor(0.64)
    moved = diffusion.invert(x, output, torch.tensor(1.0), abar, "epsilon")
    torch.testing.assert_close(moved, torch.tensor([0.8 * 2 + 0.6 * 0.5]))


def test_guidance_of_one_is_the_conditional_output() -> None:
    conditional, unconditional = torch.tensor([3.0]), torch.tensor([1.0])
    assert diffusion.guide(conditional, unconditional, 1.0) == 3
    assert diffusion.guide(conditional, unconditional, 2.5) == 6
    assert diffusion.guide(conditional, unconditional, 0.0) == 1
