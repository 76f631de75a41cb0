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
the units' residuals (the delta method; clustered by user), with Student's t.

A log comes in parts, which are read several times, one at a time: memory grows with the users and with a part, not with the log.
N impressions of a block, R units of a block, S sums, E estimates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from bowerbird.errors import DataError
from bowerbird.evaluation.decision import OffPolicyEstimate, OffPolicyResult
from bowerbird.evaluation.overlap import doubts
from bowerbird.evaluation.statistics import LEVEL, Interval
from bowerbird.evaluation.weight_bounds import SHRINK, choose_bounds
from bowerbird.recipe_gate import Estimator, OffPolicy

Values = NDArray[np.float64]
Codes = NDArray[np.int64]

BLOCK: Final = 1 << 16
"""Impressions that are looked at together, so that they stay in the cache."""


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


def evaluate(log: Impressions, policy: OffPolicy, *, level: float = LEVEL) -> OffPolicyResult:
    """Estimate what the target policy would have earned an impression; see ``evaluate_parts``."""
    return evaluate_parts([log], policy, level=level)


def evaluate_parts(parts: Iterable[Impressions], policy: OffPolicy, *, level: float = LEVEL) -> OffPolicyResult:
    """Estimate what the target policy would have earned an impression, by every estimator.

    Parameters
    ----------
    parts : iterable of Impressions
        The log, with at least two units; it is gone through a dozen times. Units are codes of the same users in all parts, or
        None in all.
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
    facts = _Facts(parts, policy)
    if facts.num_units < 2:
        unit = "users" if facts.has_users else "impressions"
        raise DataError(f"{facts.num_units} {unit} are too few to estimate from", next_step="bring a longer log")
    if not facts.greatest:
        reason = f"none of the {facts.num:,} logged impressions is one that the target policy would show"
        return OffPolicyResult(applicable=False, reason=reason)
    bounds = choose_bounds(lambda: _weights(parts, policy), num=facts.num, greatest=facts.greatest)
    sums = _Sums(parts, policy, bounds, facts, level)
    mean_weight = sums.interval(WEIGHT)
    result = OffPolicyResult(
        applicable=True,
        estimator=policy.estimator,
        estimates=tuple(sums.estimate(name, setting=bounds.get(name, math.inf)) for name in ESTIMATES),
        logged_value=sums.mean(REWARD),
        num_impressions=facts.num,
        num_units=facts.num_units,
        unit="user" if facts.has_users else "impression",
        effective_sample_size=facts.clipped_sum**2 / facts.clipped_squares,
        mean_weight=mean_weight.value,
        max_weight=facts.greatest,
        clip=policy.clip,
        floor=policy.floor,
        num_clipped=facts.num_clipped,
        num_floored=facts.num_floored,
    )
    warnings, is_sound = doubts(result, mean_weight, policy)
    return result.model_copy(update={"warnings": warnings, "is_sound": is_sound, "decides": is_sound and not result.is_level})


def _blocks(parts: Iterable[Impressions], policy: OffPolicy) -> Iterator[tuple[Impressions, slice, Values]]:
    """Go through the log: a part, some of its rows, and their weights."""
    for part in parts:
        for start in range(0, len(part.rewards), BLOCK):
            rows = slice(start, start + BLOCK)
            yield part, rows, part.targets[rows] / np.maximum(part.propensities[rows], policy.floor)


def _weights(parts: Iterable[Impressions], policy: OffPolicy) -> Iterator[Values]:
    """Go through the weights above 0."""
    for _, _, weights_N in _blocks(parts, policy):
        yield weights_N[weights_N > 0]


class _Facts:
    """What is counted of a log before anything is estimated."""

    def __init__(self, parts: Iterable[Impressions], policy: OffPolicy) -> None:
        self.num = self.num_clipped = self.num_floored = 0
        self.greatest = self.clipped_sum = self.clipped_squares = 0.0
        self.has_users = False
        sizes_U = np.zeros(0, np.int64)
        for part, rows, weights_N in _blocks(parts, policy):
            clipped_N = np.minimum(weights_N, policy.clip)
            self.num += len(weights_N)
            self.greatest = max(self.greatest, float(weights_N.max()))
            self.clipped_sum += float(clipped_N.sum())
            self.clipped_squares += float(np.dot(clipped_N, clipped_N))
            self.num_clipped += int((weights_N > policy.clip).sum())
            self.num_floored += int((part.propensities[rows] < policy.floor).sum())
            if part.units is not None:
                self.has_users = True
                most = int(part.units[rows].max()) + 1
                sizes_U = np.pad(sizes_U, (0, max(0, most - len(sizes_U))))
                np.add.at(sizes_U, part.units[rows], 1)
        self.num_codes = len(sizes_U)
        self.num_units = int(np.count_nonzero(sizes_U)) if self.has_users else self.num


SIZE, REWARD, WEIGHT, CLIPPED = range(4)
ESTIMATES: Final[tuple[Estimator, ...]] = ("ips", "snips", "dr", *SHRINK)
NUMERATORS: Final[dict[Estimator, int]] = {"ips": 4, "snips": 4, "dr": 5, "switch_dr": 6, "dr_optimistic": 7, "dr_pessimistic": 8}
NUM_SUMS: Final = 9
"""What is summed of each unit: impressions, rewards, weights, clipped weights, and the numerators of the estimates."""


class _Sums:
    """Sums of the log, and the intervals that follow from how the units' sums scatter."""

    def __init__(
        self,
        parts: Iterable[Impressions],
        policy: OffPolicy,
        bounds: Mapping[Estimator, float],
        facts: _Facts,
        level: float,
    ) -> None:
        self.num_units = facts.num_units
        self.quantile = float(stdtrit(self.num_units - 1, (1 + level) / 2))
        by_user_SU = _by_user(parts, policy, bounds, facts.num_codes) if facts.has_users else None

        def units() -> Iterator[Values]:
            if by_user_SU is None:
                yield from (_summed(*block, policy, bounds) for block in _blocks(parts, policy))
            else:
                yield from (by_user_SU[:, start : start + BLOCK] for start in range(0, facts.num_codes, BLOCK))

        self.sums_S = np.sum([sums_SR.sum(axis=1) for sums_SR in units()], axis=0)
        errors_ES = np.stack([*(self._errors(*self._ratio(name)) for name in ESTIMATES), self._errors(WEIGHT, SIZE)])
        apart_ES = errors_ES - self._errors(REWARD, SIZE)
        self.squares_E, self.squares_apart_E = np.zeros(len(errors_ES)), np.zeros(len(errors_ES))
        for sums_SR in units():
            self.squares_E += np.square(errors_ES @ sums_SR).sum(axis=1)
            self.squares_apart_E += np.square(apart_ES @ sums_SR).sum(axis=1)

    def mean(self, column: int) -> float:
        """Return the mean of one sum over the impressions."""
        return float(self.sums_S[column] / self.sums_S[SIZE])

    def interval(self, column: int) -> Interval:
        """Bound the mean weight."""
        return self._interval(self.mean(column), float(self.squares_E[-1]))

    def estimate(self, name: Estimator, *, setting: float) -> OffPolicyEstimate:
        """Bound an estimate, and how far it is from what was earned."""
        above, below = self._ratio(name)
        value, place = float(self.sums_S[above] / self.sums_S[below]), ESTIMATES.index(name)
        interval = self._interval(value, float(self.squares_E[place]))
        apart = self._interval(value - self.mean(REWARD), float(self.squares_apart_E[place]))
        return OffPolicyEstimate(
            estimator=name,
            **vars(interval),
            difference=apart.value,
            difference_low=apart.low,
            difference_high=apart.high,
            setting=setting if math.isfinite(setting) else None,
        )

    def _ratio(self, name: Estimator) -> tuple[int, int]:
        """Return the sums of which an estimate is the ratio."""
        return NUMERATORS[name], CLIPPED if name == "snips" else SIZE

    def _errors(self, above: int, below: int) -> Values:
        """Return how a unit's error follows from its sums, (above - ratio below) / all below; [S]."""
        errors_S = np.zeros(NUM_SUMS)
        errors_S[above] = 1 / self.sums_S[below]
        errors_S[below] -= self.sums_S[above] / self.sums_S[below] ** 2
        return errors_S

    def _interval(self, value: float, squares: float) -> Interval:
        half = self.quantile * math.sqrt(self.num_units / (self.num_units - 1) * squares)
        return Interval(value, value - half, value + half)


def _summed(part: Impressions, rows: slice, weights_N: Values, policy: OffPolicy, bounds: Mapping[Estimator, float]) -> Values:
    """Lay out what is summed of each impression; [S, N]."""
    rewards_N, baselines_N = part.rewards[rows], part.baselines[rows]
    residuals_N, clipped_N = rewards_N - part.predicted[rows], np.minimum(weights_N, policy.clip)
    shrunk = [baselines_N + SHRINK[name](weights_N, bound) * residuals_N for name, bound in bounds.items()]
    numerators = [clipped_N * rewards_N, baselines_N + clipped_N * residuals_N, *shrunk]
    return np.stack([np.ones(len(weights_N)), rewards_N, weights_N, clipped_N, *numerators])


def _by_user(parts: Iterable[Impressions], policy: OffPolicy, bounds: Mapping[Estimator, float], num_codes: int) -> Values:
    """Sum by user; [S, U], zeros for codes without an impression, which add nothing."""
    sums_SU = np.zeros((NUM_SUMS, num_codes))
    for part, rows, weights_N in _blocks(parts, policy):
        assert part.units is not None
        for sums_U, values_N in zip(sums_SU, _summed(part, rows, weights_N, policy, bounds), strict=True):
            np.add.at(sums_U, part.units[rows], values_N)
    return sums_SU
