"""The arithmetic of looking at an image through a diffusion model: timesteps, and one DDIM inversion step.

Pure functions on tensors: no model inside, noise passed in. Formulas: DDIM (arXiv 2010.02502, eta = 0) run
from the image towards noise, as the official SatDiFuser extractor does; velocity: arXiv 2202.00512.

A *save index* k is the official name of a step (`save_timesteps`): it counts the n inference steps from noise
to image, so k = n-1 is the image itself. The *model timestep* t is what the UNet is told at that step.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from encoders.errors import UserError

Mode = Literal["inversion", "generation"]
Prediction = Literal["epsilon", "v_prediction"]

CLEAN = -1
"""The official timestep of the image before any noise; the UNet's embedding of -1 is computed as it is."""


def alphas_cumprod(scheduler: Any) -> Tensor:
    """abar(t), the share of signal left at t = 0, 1, ...: (T,) float32, from a diffusers scheduler."""
    return torch.as_tensor(scheduler.alphas_cumprod, dtype=torch.float32)


def ascending_grid(scheduler: Any, num_steps: int) -> tuple[int, ...]:
    """The scheduler's timesteps for n inference steps, image to noise: 1, 21, ..., 981 for n = 50 of 1000.

    Raises:
        UserError: n is not between 1 and the number of training timesteps.
    """
    most = int(scheduler.config.num_train_timesteps)
    if not 1 <= num_steps <= most:
        raise UserError(f"num_steps is {num_steps}; choose from 1 to {most}")
    scheduler.set_timesteps(num_steps)
    return tuple(sorted(int(t) for t in scheduler.timesteps))


def model_timesteps(grid: Sequence[int], mode: Mode, num_train_timesteps: int = 1000) -> dict[int, int]:
    """Save index -> model timestep, in ascending order of t.

    Inversion lags the grid by one step: k = n-1 is t = -1 and k is t = 1 + r (n-2-k), r = 1000 // n.
    Generation is on it: t = 1 + r (n-1-k). Timesteps the schedule does not reach are left out.
    """
    n = len(grid)
    walked = (CLEAN, *grid[:-1]) if mode == "inversion" else tuple(grid)
    return {n - 1 - position: t for position, t in enumerate(walked) if t < num_train_timesteps}


def choose(
    table: dict[int, int], indices: Sequence[int] | None = None, timesteps: Sequence[int] | None = None
) -> dict[int, int]:
    """The saved steps, save index -> model timestep, in the official order: save index descending.

    Args:
        table: `model_timesteps`.
        indices: save indices, or
        timesteps: model timesteps.

    Raises:
        UserError: a step that the table lacks (names the nearest), one given twice, or none.
    """
    known = {t: k for k, t in table.items()}
    if indices is None:
        what, asked, choices = "save_timesteps", list(timesteps or ()), list(known)
    else:
        what, asked, choices = "save_indices", list(indices), sorted(table)
    if not asked:
        raise UserError(f"{what} is empty; name at least one step, such as {choices[len(choices) // 2]}")
    for step in asked:
        if step not in choices:
            near = sorted(sorted(choices, key=lambda choice: abs(choice - step))[:2])
            raise UserError(
                f"{what}: {step} is not a step of this walk of {len(table)} steps "
                f"({choices[0]} to {choices[-1]}); nearest: {' and '.join(map(str, near))}"
            )
    if len(set(asked)) < len(asked):
        raise UserError(f"{what}: a step stands twice in {asked}; name each once")
    chosen = set(asked) if indices is not None else {known[t] for t in asked}
    return {k: table[k] for k in sorted(chosen, reverse=True)}


def walk(table: dict[int, int], last: int) -> list[tuple[int, int]]:
    """The inversion's moves (t, next t) from the image to model timestep `last`; none where `last` is -1."""
    return list(pairwise(t for t in sorted(table.values()) if t <= last))


def signal(abar: Tensor, t: int) -> Tensor:
    """abar(t), a 0-dimensional tensor; 1 before any noise."""
    return abar.new_ones(()) if t == CLEAN else abar[t]


def clean_and_noise(x: Tensor, output: Tensor, abar_t: Tensor, prediction: Prediction) -> tuple[Tensor, Tensor]:
    """(x0, epsilon) that a model's output says x_t is made of; same shape as x.

    epsilon: x0 = (x - sqrt(1-abar) e) / sqrt(abar). v_prediction: x0 = sqrt(abar) x - sqrt(1-abar) v and
    e = sqrt(abar) v + sqrt(1-abar) x.
    """
    keep, lose = abar_t.sqrt(), (1 - abar_t).sqrt()
    if prediction == "v_prediction":
        return keep * x - lose * output, keep * output + lose * x
    return (x - lose * output) / keep, output


def add_noise(x0: Tensor, noise: Tensor, abar_t: Tensor) -> Tensor:
    """x_t = sqrt(abar) x0 + sqrt(1-abar) noise."""
    return abar_t.sqrt() * x0 + (1 - abar_t).sqrt() * noise


def invert(x: Tensor, output: Tensor, abar_t: Tensor, abar_next: Tensor, prediction: Prediction) -> Tensor:
    """One step towards noise: the x_next of the same x0 and epsilon."""
    x0, noise = clean_and_noise(x, output, abar_t, prediction)
    return add_noise(x0, noise, abar_next)


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (arXiv 2207.12598): unconditional + scale (conditional - unconditional)."""
    return unconditional + scale * (conditional - unconditional)
