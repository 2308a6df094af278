"""Logistic regression as one smooth convex problem, minimised by SciPy's L-BFGS.

All labels of a multi-label problem are solved together: one matrix product an iteration instead of one a label.
Objective and tolerance are scikit-learn's: mean log loss + |w|^2 / (2 C n), the intercepts not penalised, until
the largest entry of the gradient is below the tolerance.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from decoders.probe import Array

TOLERANCE = 1e-5
"""On the largest entry of the gradient of the mean loss; ten times tighter than scikit-learn's default."""


@dataclass(frozen=True)
class Solution:
    """coef (L, D) and intercept (L,) float64 of L logits; whether the tolerance was reached."""

    coef: Array
    intercept: Array
    converged: bool


class Problem:
    """One train set: rows z (N, D), targets (N, L) of 0 and 1, weights (N,) of the rows."""

    def __init__(self, z: Array, targets: Array, link: Literal["softmax", "sigmoid"], weights: Array | None) -> None:
        """
        Args:
            link: `softmax` over the L columns (one-hot targets), or a `sigmoid` a column.
            weights: how often each row counts; None for once.
        """
        self.z, self.targets, self.link = z, targets.astype(np.float64), link
        total = np.ones(len(z)) if weights is None else np.asarray(weights, dtype=np.float64)
        self.weights = (total / total.sum())[:, None]
        self.rows = float(total.sum())

    def solve(self, c: float, start: Solution | None, max_iter: int) -> Solution:
        """Minimise at inverse penalty C, from `start` (zeros where None)."""
        from scipy.optimize import minimize

        shape = (self.targets.shape[1], self.z.shape[1] + 1)
        first = np.zeros(shape) if start is None else np.column_stack([start.coef, start.intercept])
        found = minimize(
            lambda flat: self._value_and_gradient(flat.reshape(shape), 1 / (c * self.rows)),
            first.ravel(),
            method="L-BFGS-B",
            jac=True,
            options={
                "maxiter": max_iter,
                "maxfun": 2 * max_iter,
                "gtol": TOLERANCE,
                "ftol": 64 * np.finfo(float).eps,
            },
        )
        parameters = found.x.reshape(shape)
        return Solution(parameters[:, :-1].copy(), parameters[:, -1].copy(), converged=found.status == 0)

    def _value_and_gradient(self, parameters: Array, penalty: float) -> tuple[float, Array]:
        coef, intercept = parameters[:, :-1], parameters[:, -1]
        logits = self.z @ coef.T + intercept
        if self.link == "softmax":
            shifted = logits - logits.max(axis=1, keepdims=True)
            log_total = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
            losses = self.targets * (log_total - shifted)
            probabilities = np.exp(shifted - log_total)
        else:
            # log(1 + e^x) - y x, and the tanh form of the sigmoid: neither overflows.
            losses = np.logaddexp(0, logits) - self.targets * logits
            probabilities = (1 + np.tanh(logits / 2)) / 2
        error = (probabilities - self.targets) * self.weights
        value = float((losses * self.weights).sum() + penalty / 2 * np.square(coef).sum())
        gradient = np.column_stack([error.T @ self.z + penalty * coef, error.sum(axis=0)])
        return value, gradient.ravel()
