"""The linear probe: logistic regression on a frozen encoder's embedding, the strength of its regularisation
picked on the validation split.

Convex, so there is one answer and no seed. Embeddings wider than the train split is long are rotated into the
span of the train rows first, which changes the cost and not the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from decoders.logistic import Problem, Solution
from decoders.probe import Array, FittedProbe, Metric, Scorer, check_train_labels

MAX_ITER = 1000
"""Ten times scikit-learn's default. What is unfinished then has next to no penalty left; it is flagged."""


class LinearProbe:
    """Logistic regression by L-BFGS: multinomial; for multi-label one binary problem a class.

    Features are standardised by train mean and deviation, unless asked not to be. C runs from small to large, each
    fit starting at the one before; the best validation metric wins, the smallest C where several tie. Where a weak
    penalty separates the train split, the path stands still within the tolerance, so such ties are common.
    Probabilities are softmax (single label) or sigmoid (multi-label); a class absent from train scores 0, a
    label that every train image has scores 1.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        multilabel: bool,
        grid: Sequence[float],
        max_iter: int = MAX_ITER,
        standardised: bool = True,
        refit: bool = False,
    ) -> None:
        """
        Args:
            grid: values of C.
            standardised: whether features are scaled to mean 0 and deviation 1 over train.
            refit: whether what is reported is fitted once more, on train and validation together, at the chosen C.
        """
        self.standardised, self.refit = standardised, refit
        self.class_names = tuple(class_names)
        self.multilabel = multilabel
        self.grid = tuple(sorted(grid))
        self.max_iter = max_iter

    def fit(self, x: Array, y: Array, val_x: Array, val_y: Array, metric: Metric) -> FittedProbe:
        """Fit on train along the path of C, choose on validation; see `Probe.fit`."""
        check_train_labels(y, self.class_names, self.multilabel)
        space, train = _Space.of(x, standardised=self.standardised)
        validation = space.coordinates(val_x)
        path = _Path(train, y, len(self.class_names), self.multilabel, self.max_iter)
        best: tuple[float, float, _Weights] | None = None
        unfinished = []
        for c in self.grid:
            weights = path.fit(c)
            value = float(metric(weights.scores(validation), val_y))
            if best is None or value > best[0]:
                best = (value, c, weights)
            if not weights.converged:
                unfinished.append(c)
        assert best is not None
        value, c, weights = best
        scorer = _scorer(space, weights)
        if self.refit:
            both = np.concatenate([x, val_x]), np.concatenate([y, val_y])
            scorer = self.fit_replicate(*both, np.arange(len(both[0])), {"C": c})
        return FittedProbe(
            scorer=scorer,
            chosen={"C": c},
            validation=value,
            trained_parameters=weights.rows_fitted * (x.shape[1] + 1),
            flags=(*self._edge_flag(c), *self._convergence_flag(c, unfinished)),
        )

    def fit_replicate(self, x: Array, y: Array, rows: Array, chosen: dict[str, float]) -> Scorer:
        """Refit at the chosen C on a bootstrap of train, standardised anew; see `Probe.fit_replicate`.

        A row drawn n times enters once with weight n: the same objective on fewer rows. A bootstrap that
        caught one class alone gives that class probability 1.
        """
        distinct, times = np.unique(np.asarray(rows), return_counts=True)
        space, train = _Space.of(x[distinct], times, self.standardised)
        path = _Path(train, y[distinct], len(self.class_names), self.multilabel, self.max_iter, times)
        return _scorer(space, path.fit(chosen["C"]))

    def _edge_flag(self, c: float) -> tuple[str, ...]:
        if c not in (self.grid[0], self.grid[-1]) or len(self.grid) == 1:
            return ()
        end = "low" if c == self.grid[0] else "high"
        return (f"validation chose C = {c:g}, the {end} edge of its grid",)

    def _convergence_flag(self, c: float, unfinished: list[float]) -> tuple[str, ...]:
        if not unfinished:
            return ()
        which = "the chosen one among them" if c in unfinished else "not the chosen one"
        return (
            f"logistic regression did not converge within {self.max_iter} iterations at {len(unfinished)} of "
            f"{len(self.grid)} values of C, {which}",
        )


@dataclass(frozen=True)
class _Weights:
    """A linear map to logits: coef (K, D), intercept (K,); an intercept of -inf (inf) is a score of 0 (1)."""

    coef: Array
    intercept: Array
    multilabel: bool
    rows_fitted: int
    converged: bool

    def scores(self, z: Array) -> Array:
        from sklearn.utils.extmath import softmax

        logits = z @ self.coef.T + self.intercept
        # The tanh form of the sigmoid overflows at neither end.
        probabilities: Array = (1 + np.tanh(logits / 2)) / 2 if self.multilabel else softmax(logits)
        return probabilities.astype(np.float32)


@dataclass(frozen=True)
class _Space:
    """Embeddings, standardised or not, in coordinates of the train rows' span where D > N.

    The minimiser of an L2-regularised loss of X w lies in the span of the rows of X (w's part outside it
    costs and does nothing). So with X^T = Q R, Q (D, N) orthonormal, w = Q a gives X w = R^T a and |w| = |a|:
    the same problem in N unknowns instead of D, exactly.
    """

    scaler: Any
    basis: Array | None

    @classmethod
    def of(cls, x: Array, weights: Array | None = None, standardised: bool = True) -> tuple["_Space", Array]:
        """The space of train rows x (N, D), and their coordinates (N, min(N, D)) float64."""
        from sklearn.preprocessing import StandardScaler

        x = np.asarray(x, dtype=np.float64)
        scaler = StandardScaler(with_mean=standardised, with_std=standardised).fit(x, sample_weight=weights)
        z = scaler.transform(x)
        if z.shape[1] <= z.shape[0]:
            return cls(scaler, None), z
        basis, triangle = np.linalg.qr(z.T)
        return cls(scaler, basis), np.ascontiguousarray(triangle.T)

    def standardise(self, x: Array) -> Array:
        z: Array = self.scaler.transform(np.asarray(x, dtype=np.float64))
        return z

    def coordinates(self, x: Array) -> Array:
        z = self.standardise(x)
        return z if self.basis is None else z @ self.basis


def _scorer(space: _Space, weights: _Weights) -> Scorer:
    coef = weights.coef if space.basis is None else weights.coef @ space.basis.T
    full = _Weights(coef, weights.intercept, weights.multilabel, weights.rows_fitted, weights.converged)
    # The basis would weigh more than everything else; the closure must not keep it alive.
    standardise = _Space(space.scaler, None).standardise
    return lambda x: full.scores(standardise(x))


class _Path:
    """The regression problem of one train set, solved for one C after another, each from the last.

    What train does not show is left out of it: a class no image has, a label every image or none has. Two
    classes are one sigmoid, as in scikit-learn: a softmax of two would halve the penalty.
    """

    def __init__(
        self,
        z: Array,
        y: Array,
        num_classes: int,
        multilabel: bool,
        max_iter: int,
        weights: Array | None = None,
    ) -> None:
        self.multilabel, self.max_iter = multilabel, max_iter
        self.width = (num_classes, z.shape[1])
        one_hot = y.astype(np.int64) if multilabel else np.eye(num_classes, dtype=np.int64)[y]
        self.always, never = one_hot.all(axis=0), ~one_hot.any(axis=0)
        self.fitted = np.flatnonzero(~self.always & ~never)
        self.pair = not multilabel and len(self.fitted) == 2
        columns = self.fitted[1:] if self.pair else self.fitted
        link: Literal["softmax", "sigmoid"] = "sigmoid" if multilabel or self.pair else "softmax"
        self.problem = Problem(z, one_hot[:, columns], link, weights) if len(columns) else None
        self.last: Solution | None = None

    def fit(self, c: float) -> _Weights:
        """The weights at C."""
        coef = np.zeros(self.width)
        intercept = np.where(self.always, np.inf if self.multilabel else 0.0, -np.inf)
        if self.problem is None:
            return _Weights(coef, intercept, self.multilabel, 0, converged=True)
        self.last = self.problem.solve(c, self.last, self.max_iter)
        columns = self.fitted[1:] if self.pair else self.fitted
        coef[columns] = self.last.coef
        # sigmoid(l) is the softmax of (0, l): the first of two classes keeps the logit 0.
        intercept[self.fitted] = 0.0
        intercept[columns] = self.last.intercept
        return _Weights(coef, intercept, self.multilabel, len(columns), self.last.converged)
