"""What a policy would have earned, from impressions that another policy chose and logged with their probabilities.

For an impression let r be its reward, p the logged policy's probability of showing the item at that place to that user, t the
target policy's, and w = t / p. A reward model guesses q for what was shown, and b = sum of t q over all that the target policy
might have shown there. With a bound s:

    ips             mean of w r                        Horvitz and Thompson, 1952
    snips           sum of w r / sum of w              Swaminathan and Joachims, NeurIPS 2015
    dr              mean of b + w (r - q)              Dudík, Langford and Li, ICML 2011
    switch_dr       dr with w where w <= s, else 0     Wang, Agarwal and Dudík, ICML 2017
    dr_optimistic   dr with s w / (w^2 + s)            Su, Dimakopoulou, Krishnamurthy and Dudík, ICML 2020
    dr_pessimistic  dr with min(w, s)                  the same

The first three are unbiased (snips nearly so) where p is right and above 0 wherever t is, whatever the reward model says. The
last three give up some of that for less variance: s minimises variance + bias^2 as in the papers, but by the weights alone, for
a bound that luck with the rewards has chosen makes intervals too short. Items at several places of one page are judged place by
place, as in Saito et al., Open Bandit Dataset and Pipeline, NeurIPS 2021: a reward depends on its own item and place alone.

Intervals: each estimate is a ratio of sums over units (users, or impressions where there are none), so its error is linear in
the units' residuals (the delta method; clustered by user), with Student's t. N impressions, U units.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from bowerbird.errors import DataError
from bowerbird.evaluation.decision import OffPolicyEstimate, OffPolicyResult
from bowerbird.evaluation.overlap import doubts
from bowerbird.evaluation.statistics import LEVEL, Interval
from bowerbird.recipe_gate import Estimator, OffPolicy

Values = NDArray[np.float64]
Codes = NDArray[np.int64]

NUM_BOUNDS: Final = 12
"""Bounds that are tried beside cutting nothing."""
MODEL_ERROR: Final = 0.25
"""How wrong the reward model is taken to be where weights are cut, in standard deviations of a residual."""
BLOCK: Final = 1 << 16
"""Impressions that are tried together, so that they stay in the cache."""
SHRINK: Final[dict[Estimator, Callable[[Values, float], Values]]] = {
    "switch_dr": lambda weights, bound: np.where(weights <= bound, weights, 0.0),
    "dr_optimistic": lambda weights, bound: weights / (1 + np.square(weights) / bound),
    "dr_pessimistic": np.minimum,
}
"""What a weight becomes under a bound; infinity leaves it as it is."""


@dataclass(frozen=True, eq=False)
class Impressions:
    """Logged impressions, and what the target policy would have done in their place; each float64 [N].

    Attributes
    ----------
    rewards
        What was earned, such as 1 for a click.
    propensities
        The logged policy's probability of what was shown, in (0, 1].
    targets
        The target policy's probability of what was shown, in [0, 1].
    predicted, baselines
        A reward model's guess for what was shown, and for what the target policy would show; all 0 where there is no model.
    units
        The user of each impression, as a code from 0 on; None where each impression stands for itself.
    """

    rewards: Values
    propensities: Values
    targets: Values
    predicted: Values
    baselines: Values
    units: Codes | None = None

    def __post_init__(self) -> None:
        for name, values in vars(self).items():
            if values is not None and len(values) != len(self.rewards):
                raise DataError(f"{len(self.rewards)} rewards and {len(values)} {name}", next_step="give one an impression")
            if values is not None and not np.isfinite(values).all():
                raise DataError(f"some of the {name} are not finite", next_step="leave those impressions out")
        if len(self.rewards) and not (self.propensities.min() > 0 and self.propensities.max() <= 1):
            raise DataError("a propensity is not in (0, 1]", next_step="log how probable each item was at its place")
        if len(self.rewards) and not (self.targets.min() >= 0 and self.targets.max() <= 1 + 1e-9):
            raise DataError("a target probability is not in [0, 1]", next_step="mend the target policy")


def joined(parts: Sequence[Impressions]) -> Impressions:
    """Put logs after one another; their units are codes of the same users, or all are None."""
    columns = {name: [getattr(part, name) for part in parts] for name in vars(parts[0])}
    units = columns.pop("units")
    whole = {name: np.concatenate(values) for name, values in columns.items()}
    return Impressions(**whole, units=None if units[0] is None else np.concatenate(units))


def evaluate(log: Impressions, policy: OffPolicy, *, level: float = LEVEL) -> OffPolicyResult:
    """Estimate what the target policy would have earned an impression, by every estimator.

    Parameters
    ----------
    log : Impressions
        At least two units.
    policy : OffPolicy
        Floor, clip, the estimator that decides, and when the evidence is too thin for that.
    level : float
        Share of logs in which an interval holds the truth.

    Returns
    -------
    OffPolicyResult
        Not applicable where nothing of what the target policy shows was ever logged.

    Raises
    ------
    DataError
        For fewer than two units.
    """
    weights = log.targets / np.maximum(log.propensities, policy.floor)
    units = _Units(log, level)
    if not weights.any():
        reason = f"none of the {len(weights):,} logged impressions is one that the target policy would show"
        return OffPolicyResult(applicable=False, reason=reason)
    clipped = np.minimum(weights, policy.clip)
    result = OffPolicyResult(
        applicable=True,
        estimator=policy.estimator,
        estimates=_estimates(log, weights, clipped, units),
        logged_value=units.logged,
        num_impressions=len(weights),
        num_units=units.num_units,
        unit="impression" if log.units is None else "user",
        effective_sample_size=float(clipped.sum() ** 2 / np.square(clipped).sum()),
        mean_weight=units.bound(weights).value,
        max_weight=float(weights.max()),
        clip=policy.clip,
        floor=policy.floor,
        num_clipped=int((weights > policy.clip).sum()),
        num_floored=int((log.propensities < policy.floor).sum()),
    )
    warnings, is_sound = doubts(result, units.bound(weights), policy)
    return result.model_copy(update={"warnings": warnings, "is_sound": is_sound, "decides": is_sound and not result.is_level})


def _estimates(log: Impressions, weights: Values, clipped: Values, units: _Units) -> tuple[OffPolicyEstimate, ...]:
    residuals = log.rewards - log.predicted
    found = [
        units.estimate("ips", clipped * log.rewards),
        units.estimate("snips", clipped * log.rewards, clipped),
        units.estimate("dr", log.baselines + clipped * residuals),
    ]
    for name, shrink in SHRINK.items():
        bound = choose_bound(name, weights)
        values = log.baselines + shrink(weights, bound) * residuals
        found.append(units.estimate(name, values, setting=bound if math.isfinite(bound) else None))
    return tuple(found)


class _Units:
    """Sums of the log by unit, and the intervals that follow from how they scatter."""

    def __init__(self, log: Impressions, level: float) -> None:
        self.log = log
        self.sizes_U = self._sum(np.ones(len(log.rewards)))
        self.num_units = int(np.count_nonzero(self.sizes_U))
        if self.num_units < 2:
            unit = "impressions" if log.units is None else "users"
            raise DataError(f"{self.num_units} {unit} are too few to estimate from", next_step="bring a longer log")
        rewards_U = self._sum(log.rewards)
        self.logged = float(rewards_U.sum() / len(log.rewards))
        self.logged_errors_U = (rewards_U - self.logged * self.sizes_U) / len(log.rewards)
        self.quantile = float(stdtrit(self.num_units - 1, (1 + level) / 2))

    def estimate(
        self, name: Estimator, values_N: Values, weights_N: Values | None = None, *, setting: float | None = None
    ) -> OffPolicyEstimate:
        """Bound the sum of the values over the sum of the weights (their number where None), and how far that is from the log."""
        own, errors_U = self._ratio(values_N, weights_N)
        apart = self._interval(own - self.logged, errors_U - self.logged_errors_U)
        interval = self._interval(own, errors_U)
        return OffPolicyEstimate(
            estimator=name,
            **vars(interval),
            difference=apart.value,
            difference_low=apart.low,
            difference_high=apart.high,
            setting=setting,
        )

    def bound(self, values_N: Values) -> Interval:
        """Bound the mean of one value an impression."""
        return self._interval(*self._ratio(values_N, None))

    def _ratio(self, values_N: Values, weights_N: Values | None) -> tuple[float, Values]:
        values_U = self._sum(values_N)
        weights_U = self.sizes_U if weights_N is None else self._sum(weights_N)
        total = float(weights_U.sum())
        ratio = float(values_U.sum()) / total
        return ratio, (values_U - ratio * weights_U) / total

    def _interval(self, value: float, errors_U: Values) -> Interval:
        half = self.quantile * math.sqrt(self.num_units / (self.num_units - 1) * float(np.square(errors_U).sum()))
        return Interval(value, value - half, value + half)

    def _sum(self, values_N: Values) -> Values:
        units = self.log.units
        return values_N if units is None else np.bincount(units, values_N).astype(np.float64)


def choose_bound(name: Estimator, weights: Values) -> float:
    """Choose the bound s of ``switch_dr`` or a shrinking estimator by the weights alone; infinity where cutting nothing is best.

    Tried are bounds from the median of the positive weights to ten times the greatest, evenly in logarithms (their squares where
    s is on that scale). With residuals of standard deviation 1 and a reward model that is wrong by MODEL_ERROR, the estimate's
    variance is mean(w_s^2) / N and its bias MODEL_ERROR mean(w - w_s): the bound with the least variance + bias^2 is taken.
    """
    tried = np.geomspace(np.median(weights[weights > 0]), 10 * weights.max(), NUM_BOUNDS)
    bounds = np.append(tried, np.inf)
    bounds = np.square(bounds) if name == "dr_optimistic" else bounds
    lost, squares = np.zeros(len(bounds)), np.zeros(len(bounds))
    for start in range(0, len(weights), BLOCK):
        weights_B = weights[start : start + BLOCK]
        for place, bound in enumerate(bounds):
            kept_B = SHRINK[name](weights_B, float(bound))
            lost[place] += (weights_B - kept_B).sum()
            squares[place] += np.dot(kept_B, kept_B)
    costs = squares / len(weights) ** 2 + np.square(MODEL_ERROR * lost / len(weights))
    return float(bounds[len(bounds) - 1 - np.argmin(costs[::-1])])
