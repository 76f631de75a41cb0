"""Turns scores into probabilities: log odds corrected for how pairs were drawn, and Platt's scaling.

    prior correction    log odds = log odds in the sample + log(rate at which negatives were drawn / rate of positives)
    Platt               p = 1 / (1 + exp(-(slope * score + intercept))), of the least weighted log loss

King and Zeng, "Logistic regression in rare events data", Political Analysis 2001, equation 7; here the rate of negatives may
differ from item to item. Platt, "Probabilistic outputs for support vector machines", 1999; here slope and intercept are drawn
towards 1 and 0 with the strength of one observation, so that a slice with few positives, or none, cannot run away.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

SMALLEST_SLOPE = 0.05  # a slice on which higher scores mean less would turn the ranking around


def prior_corrected(
    log_odds_P: NDArray[np.floating[Any]],  # Any: float32 or float64
    negative_rates_P: NDArray[np.float64] | float,
    positive_rate: float = 1.0,
) -> NDArray[np.float64]:
    """Correct log odds that were learned on a sample; rates are the expected number of times that a pair was drawn."""
    corrected: NDArray[np.float64] = log_odds_P.astype(np.float64) + np.log(negative_rates_P) - np.log(positive_rate)
    return corrected


def platt(
    scores_P: NDArray[np.float64], labels_P: NDArray[np.bool_], weights_P: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Find slope and intercept; float64 [2]. The slope is above 0, so the order of scores stays."""
    weights = np.ones(len(scores_P)) if weights_P is None else weights_P
    total = weights.sum() or 1.0

    def loss(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = line[0] * scores_P + line[1]
        fits = weights * (np.logaddexp(0, odds) - labels_P * odds)
        residuals = weights * (expit(odds) - labels_P)
        towards = line - [1, 0]
        gradient = np.array([residuals @ scores_P, residuals.sum()]) + towards
        return (fits.sum() + towards @ towards / 2) / total, gradient / total

    start = np.array([1.0, _first_intercept(scores_P, labels_P, weights)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(SMALLEST_SLOPE, None), (None, None)], tol=1e-14)
    line: NDArray[np.float64] = found.x
    return line


def _first_intercept(scores_P: NDArray[np.float64], labels_P: NDArray[np.bool_], weights_P: NDArray[np.float64]) -> float:
    """Move the mean probability to where the labels have it, roughly, which spares the search a long way."""
    if len(scores_P) == 0:
        return 0.0
    expected, observed = (np.clip(np.average(of, weights=weights_P), 1e-9, 1 - 1e-9) for of in (expit(scores_P), labels_P))
    return float(logit(observed) - logit(expected))
