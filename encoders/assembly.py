"""What the adapters of released models share: drawn or released weights, their precision, the default taps."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from encoders.base import EncoderCard, Setup
from encoders.checkpoints import find, fit, load_tensors
from encoders.errors import UserError, nearest

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}

TAPS = {6: (2, 3, 4, 5), 12: (3, 5, 7, 11), 24: (7, 11, 15, 23)}
"""Depth of a transformer -> the blocks read by default: PANGAEA's and Copernicus-Bench's (6 and 12), DOFA's (24).

DOFA v2's cards name its authors' instead: 4, 6, 10, 11 (base) and 5, 11, 17, 23 (large)."""

M = TypeVar("M", bound=nn.Module)


def weighted(
    setup: Setup,
    make: Callable[[], M],
    *,
    read: Callable[[Mapping[str, Tensor], M], Mapping[str, Tensor]],
    seed: int,
    constants: bool = False,
) -> M:
    """The model `make` builds, with the weights a card names: drawn from `seed`, or those of its one released file.

    Args:
        read: named tensors of the file and the model -> the model's own names; what the file is known to hold
            beyond the model is left out, anything else stays and is refused.
        constants: whether the model holds some that no file does, so that it cannot be made on the meta device.

    Raises:
        UserError: an unknown precision, or a file that is missing, damaged or of another model.
    """
    card = setup.card
    dtype = dtype_of(card, setup.precision)
    if not card.weights.random and not card.weights.files:
        raise UserError(f"{card.name}: 'weights.files' names no file; name one, or set encoder.weights.random=true")
    released = None if card.weights.random else next(iter(find(card, setup.weights_dir, setup.image_size).values()))
    with torch.random.fork_rng(devices=[]), torch.device("meta" if released and not constants else "cpu"):
        torch.manual_seed(seed)
        model = make()
    if released:
        fit(model, read(load_tensors(released), model), released)
    return model.to(dtype)


def dtype_of(card: EncoderCard, precision: str) -> torch.dtype:
    """The dtype a precision names.

    Raises:
        UserError: no such precision.
    """
    if precision not in PRECISIONS:
        raise UserError(f"{card.name}: unknown precision '{precision}'; {nearest(precision, PRECISIONS)}")
    return PRECISIONS[precision]


def taps(layers: Sequence[int] | None, depth: int, where: str) -> tuple[int, ...]:
    """The blocks to read of `depth`, counted from 0: those asked for, else `TAPS`, else the last four.

    Raises:
        UserError: none, one that is not there, or not in ascending order.
    """
    if layers is None:
        return TAPS.get(depth, tuple(range(depth))[-4:])
    if not layers or list(layers) != sorted(set(layers)) or not 0 <= layers[0] <= layers[-1] < depth:
        raise UserError(f"{where}: 'layers' is {list(layers)}; name some of 0 to {depth - 1} in ascending order")
    return tuple(layers)
