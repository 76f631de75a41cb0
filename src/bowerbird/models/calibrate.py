"""Turns scores into probabilities: log odds corrected for how pairs were drawn, then bent to what came true later.

    prior correction    log odds = log odds in the sample + log(rate at which negatives were drawn / rate of positives)
    Platt               p = 1 / (1 + exp(-(slope * score + intercept))), of the least weighted log loss
    isotonic            p of a bin = its part of positives, made monotone by pooling neighbours; log odds on straight lines

King and Zeng, "Logistic regression in rare events data", Political Analysis 2001, equation 7; here the rate of negatives may
differ from item to item. Platt, "Probabilistic outputs for support vector machines", 1999; here slope and intercept are drawn
towards 1 and 0 with the strength of one observation, so that a slice with few positives, or none, cannot run away.
Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002, for the isotonic
curve, here over bins with at least 50 positives and rising throughout, so that no two items are tied by it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

NUM_BINS, POSITIVES_A_BIN = 20, 50
FAR = 1000.0  # log odds beyond all scores, to which the ends of a curve are drawn out
LEAST_RISE = 1e-3
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


def curve(scores_P: NDArray[np.float64], labels_P: NDArray[np.bool_], weights_P: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find how scores become log odds: points to be joined by straight lines, scores first; float64 [2, K].

    Bins hold a like number of positives. With fewer than two bins, and beyond the outermost, Platt's line says how to go on.
    """
    slope, intercept = platt(scores_P, labels_P, weights_P)
    num_bins = min(NUM_BINS, int(labels_P.sum()) // POSITIVES_A_BIN)
    if num_bins < 2:
        return np.array([[-FAR, FAR], [intercept - slope * FAR, intercept + slope * FAR]])
    edges = np.unique(np.quantile(scores_P[labels_P], np.arange(1, num_bins) / num_bins))
    bins_P = np.searchsorted(edges, scores_P, side="right")
    summed = (weights_P * labels_P, weights_P, weights_P * labels_P * scores_P)
    sums_3K: NDArray[np.float64] = np.stack([np.bincount(bins_P, of, minlength=len(edges) + 1) for of in summed])
    positives, everything, sums = sums_3K
    is_there = positives > 0
    x = sums[is_there] / positives[is_there]
    share = np.minimum(_pooled(positives[is_there], everything[is_there]), 1 - 1e-9)
    y = logit(share) + LEAST_RISE * (x - x[0])
    ends = np.array([[x[0] - FAR, x[-1] + FAR], [y[0] - slope * FAR, y[-1] + slope * FAR]])
    return np.stack([np.concatenate([ends[row, :1], of, ends[row, 1:]]) for row, of in enumerate((x, y))])


def probabilities(scores_P: NDArray[np.float64], curve_2K: NDArray[np.float64]) -> NDArray[np.float64]:
    """Read probabilities off a curve; float64 [P]."""
    p: NDArray[np.float64] = expit(np.interp(scores_P, *curve_2K))
    return p


def _pooled(positives: NDArray[np.float64], everything: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return shares of positives that never fall, by pooling bins that do (pool adjacent violators)."""
    pools: list[list[float]] = []
    for own, total in zip(positives, everything, strict=True):
        pools.append([own, total, 1])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] > pools[-1][0] * pools[-2][1]:
            last = pools.pop()
            pools[-1] = [first + second for first, second in zip(pools[-1], last, strict=True)]
    return np.repeat([own / total for own, total, _ in pools], [int(size) for *_, size in pools])


def _first_intercept(scores_P: NDArray[np.float64], labels_P: NDArray[np.bool_], weights_P: NDArray[np.float64]) -> float:
    """Move the mean probability to where the labels have it, roughly, which spares the search a long way."""
    if len(scores_P) == 0:
        return 0.0
    expected, observed = (np.clip(np.average(of, weights=weights_P), 1e-9, 1 - 1e-9) for of in (expit(scores_P), labels_P))
    return float(logit(observed) - logit(expected))
