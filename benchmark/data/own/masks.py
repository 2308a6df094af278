"""From the values in a mask to class numbers."""

from collections.abc import Sequence

import numpy as np

from encoders.errors import UserError


def numbered(mask: np.ndarray, values: Sequence[int], where: str) -> np.ndarray:
    """A mask's class numbers, (H, W).

    Args:
        mask: (H, W) integers.
        values: what stands for each class, in class order; empty where class numbers do.
        where: the file, for a sentence.

    Raises:
        UserError: a value stands for no class.
    """
    if not values or tuple(values) == tuple(range(len(values))):
        return mask
    found = np.full(mask.shape, -1, np.int64)
    for number, value in enumerate(values):
        found[mask == value] = number
    if (found < 0).any():
        stranger, known = int(mask[found < 0][0]), ", ".join(map(str, values))
        raise UserError(f"{where}: holds {stranger}, which is no class; 'files.mask_values' and 'no_data' are {known}")
    return found
