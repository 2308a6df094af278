"""Principal components of train: many features become few, before a probe that labels fit.

The wide embedding of a diffusion model (21 modules at 3 timesteps) holds more values than train splits have images.
"""

from collections.abc import Callable

from decoders.probe import Array


def fit_pca(train: Array, components: int) -> tuple[Callable[[Array], Array], int]:
    """Fit a reduction on train rows, without their labels.

    Every feature is standardised first, so that no module outweighs another by the scale of its activations. Where
    the randomised solver of Halko et al. (arXiv 0909.4061) is scikit-learn's choice, its seed is 0.

    Args:
        train: (N, D) floating point, N at least 2.
        components: kept at most; no more than N - 1 and D there are.

    Returns:
        Rows (M, D) -> (M, k) float32 in order of falling variance, and k.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train)
    kept = min(components, len(train) - 1, train.shape[1])
    pca = PCA(kept, random_state=0).fit(scaler.transform(train))

    def reduce(rows: Array) -> Array:
        reduced: Array = pca.transform(scaler.transform(rows)).astype("float32")
        return reduced

    return reduce, kept
