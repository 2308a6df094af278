"""Principal components against their definition."""

import numpy as np
import pytest

from decoders.fusion import build_fuser
from decoders.reduction import fit_pca
from encoders.base import Level
from encoders.errors import UserError


def rows(n: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    # Features of very different scales and offsets, correlated.
    mixed = rng.standard_normal((n, 5)) @ rng.standard_normal((5, width)) + 0.1 * rng.standard_normal((n, width))
    return (mixed * np.geomspace(1e-3, 1e3, width) + 7).astype(np.float32)


def test_components_are_the_right_singular_vectors_of_standardised_train() -> None:
    train, test = rows(40, 12), rows(9, 12, seed=1)
    reduce, kept = fit_pca(train, 4)
    mean, deviation = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
    _, _, axes = np.linalg.svd((train - mean) / deviation, full_matrices=False)
    expected = (test - mean) / deviation @ axes[:4].T
    found = reduce(test)
    assert kept == 4
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("n", "width", "kept"), [(6, 12, 5), (40, 12, 12), (40, 3, 3)])
def test_no_more_components_than_there_are(n: int, width: int, kept: int) -> None:
    reduce, found = fit_pca(rows(n, width), 1024)
    assert found == kept
    assert reduce(rows(2, width)).shape == (2, kept)


def test_the_randomised_solver_gives_the_same_again_and_keeps_most_of_the_variance() -> None:
    train = rows(600, 700)
    first, second = (fit_pca(train, 5)[0](train) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    standard = (train - train.mean(0, dtype=np.float64)) / train.std(0, dtype=np.float64)
    best = (np.linalg.svd(standard, compute_uv=False)[:5] ** 2).sum()
    assert (first.astype(np.float64) ** 2).sum() > 0.999 * best


def test_it_is_no_fuser_of_maps() -> None:
    with pytest.raises(UserError, match="fusion pca fuses no maps"):
        build_fuser("pca", [Level(16, (("block", 8),))], ["image"])
