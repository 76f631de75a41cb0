"""A linear support vector machine: a plane between pairs that come true and the rest, with a wide margin.

    minimise   1/2 |w|^2 + 1 / regularization * sum over pairs of max(0, 1 - y (w . z + b))^2,   y = 1 or -1
    z_f        = (t(x_f) - mean) / standard deviation,   t(x) = sign(x) log(1 + |x|), and 0 where x is missing
    log odds   = slope * (w . z + b) + intercept, Platt's line on the sample

Fan et al., "LIBLINEAR: A library for large linear classification", JMLR 2008, equation 2 (b is part of w). A feature that does
not vary gets z = 0. ``pointwise`` says how rows, labels and weights enter. P pairs, F features.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bowerbird.extras import import_extra
from bowerbird.models.base import Arrays, ModelConfig
from bowerbird.models.calibrate import platt
from bowerbird.models.pointwise import Pointwise, PointwiseConfig


class LinearSvmConfig(PointwiseConfig):
    """How wide the margin, and how long to search."""

    regularization: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
    """Larger values keep the weights smaller."""
    max_iterations: Annotated[int, Field(ge=1, le=100_000)] = 200
    """Newton steps of the solver at most."""


class LinearSvm(Pointwise):
    """A plane, and the line from distances to log odds."""

    name: ClassVar[str] = "linear_svm"
    Config: ClassVar[type[ModelConfig]] = LinearSvmConfig
    config: LinearSvmConfig

    def _train(self, x_PF: NDArray[np.float32], labels_P: NDArray[np.bool_]) -> Arrays:
        kind = import_extra("sklearn.svm", "scikit-learn", extra="boosting").LinearSVC
        scales = [_scale(dampened(x_P)) for x_P in x_PF.T]
        learned: Arrays = {"mean": np.array([mean for mean, _ in scales]), "deviation": np.array([width for _, width in scales])}
        z_PF = np.stack([standardized(x_P, *scale) for x_P, scale in zip(x_PF.T, scales, strict=True)], axis=1)
        fitted = kind(
            C=1 / self.config.regularization, dual=False, max_iter=self.config.max_iterations, random_state=self.seed
        ).fit(z_PF, labels_P)
        learned |= {"weights": fitted.coef_[0].copy(), "bias": fitted.intercept_.copy()}
        return learned | {"line": platt(distances(learned, x_PF), labels_P)}

    def _log_odds(self, x_PF: NDArray[np.float32]) -> NDArray[np.float64]:
        slope, intercept = self._learned["line"]
        log_odds_P: NDArray[np.float64] = slope * distances(self._learned, x_PF) + intercept
        return log_odds_P


def distances(learned: Arrays, x_PF: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return w . z + b, summed feature by feature, so that a pair gets the same in any company; float64 [P]."""
    distances_P = np.full(len(x_PF), learned["bias"][0])
    for x_P, mean, deviation, weight in zip(x_PF.T, learned["mean"], learned["deviation"], learned["weights"], strict=True):
        if weight != 0:
            distances_P += weight * standardized(x_P, mean, deviation)
    return distances_P


def dampened(x_P: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return sign(x) log(1 + |x|), which tames counts and days."""
    return np.copysign(np.log1p(np.abs(x_P)), x_P)


def standardized(x_P: NDArray[np.float32], mean: float, deviation: float) -> NDArray[np.float64]:
    """Return z of one feature; 0 where the value is missing."""
    z_P = (dampened(x_P).astype(np.float64) - mean) / deviation
    return np.where(np.isnan(z_P), 0.0, z_P)


def _scale(values_P: NDArray[np.float32]) -> tuple[float, float]:
    there = values_P[~np.isnan(values_P)].astype(np.float64)
    mean, deviation = (there.mean(), there.std()) if len(there) else (0.0, 0.0)
    return (float(mean), float(deviation)) if deviation > 1e-6 * (1 + abs(mean)) else (float(mean), np.inf)
