"""How sure a figure is: bootstrap intervals, paired sign-flip tests and Holm's correction, with the user as the unit.

A user's value is his mean over the test windows, so the users are independent of each other and each counts once (a
bootstrap clustered by user). Above ``MAX_GROUPS`` users they are dealt at random into that many groups of equal size and
whole groups are drawn or flipped: the expected width stays, its own relative error is about 1 / sqrt(2 MAX_GROUPS) =
0.5 %, a quarter of what 2,000 draws have anyway, and the work no longer grows with the users.

Shapes: U users, G groups, M figures, S bootstrap samples, F flips. Percentile bootstrap: Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, chapter 13. Sign flips: Fisher's randomisation test; the +1 is Phipson and Smyth,
Permutation p-values should never be zero, 2010.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.errors import DataError

Values = NDArray[np.float64]
Figures: TypeAlias = "pd.Series[Any] | Values"  # Any: pandas leaves the type of a series open

LEVEL = 0.95
NUM_SAMPLES = 2000
NUM_FLIPS = 10_000
MAX_GROUPS = 20_000
CELLS = 4_000_000
"""Random numbers held at a time: 32 MB."""
DECIMALS = 12
"""Sums of equal numbers in another order differ in the 16th digit, and a bound of 0 must not turn into 1e-18."""


@dataclass(frozen=True)
class Interval:
    """A figure and the bounds between which it lies at the declared level."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        _check_finite(self)


@dataclass(frozen=True)
class Difference:
    """Candidate minus rival, user by user.

    Attributes
    ----------
    mean, low, high : float
        Mean over all users, and its bootstrap bounds.
    p_value : float
        Two-sided, of the sign-flip test.
    num_users, num_differing : int
        Users compared, and those whose two values differ.
    deviation : float
        Standard deviation of the users' differences.
    """

    mean: float
    low: float
    high: float
    p_value: float
    num_users: int
    num_differing: int
    deviation: float = 0.0

    def __post_init__(self) -> None:
        _check_finite(self)

    @property
    def users_needed(self) -> int | None:
        """Users that would prove a true difference of this size in four of five runs; None where none would."""
        return users_needed(self.deviation, self.mean)


def bootstrap_interval(values: Figures, *, level: float = LEVEL, num_samples: int = NUM_SAMPLES, seed: int) -> Interval:
    """Bound the mean of one value a user (float [U]) by the percentile bootstrap; see ``bootstrap_intervals``."""
    (interval,) = bootstrap_intervals(_values(values)[:, None], level=level, num_samples=num_samples, seed=seed)
    return interval


def bootstrap_intervals(values_UM: Values, *, level: float = LEVEL, num_samples: int = NUM_SAMPLES, seed: int) -> list[Interval]:
    """Bound the means of several figures by the percentile bootstrap over users; the same draws serve all of them.

    Parameters
    ----------
    values_UM : float [U, M]
        One row a user.
    level : float
        Share of runs in which the interval holds the truth.
    num_samples : int
        Resamples.
    seed : int
        The same seed gives the same intervals.

    Raises
    ------
    DataError
        Without a user, or for a value that is not finite.
    """
    _check_users(values_UM)
    rng = np.random.default_rng(seed)
    sums_GM, sizes_G = _grouped(values_UM, rng)
    means_SM = _resampled_means(sums_GM, sizes_G, num_samples, rng)
    tail = (1 - level) / 2
    bounds_2M = np.round(np.quantile(means_SM, [tail, 1 - tail], axis=0), DECIMALS)
    means_M = np.round(values_UM.mean(axis=0), DECIMALS)
    return [Interval(*map(float, row)) for row in zip(means_M, bounds_2M[0], bounds_2M[1], strict=True)]


def paired_difference(
    candidate: Figures,
    rival: Figures,
    *,
    seed: int,
    level: float = LEVEL,
    num_samples: int = NUM_SAMPLES,
    num_flips: int = NUM_FLIPS,
) -> Difference:
    """Compare two models on the same users.

    Parameters
    ----------
    candidate, rival : float [U]
        One value a user, in the same order; two series must have the same index.
    seed, level, num_samples
        See ``bootstrap_intervals``.
    num_flips : int
        Random sign flips; where all flips are not more than these, each is tried once and the p value is exact.

    Raises
    ------
    DataError
        Where the users are not the same, there is none, or a value is not finite.
    """
    if len(candidate) != len(rival) or not _is_same_index(candidate, rival):
        raise DataError("the two models were scored on different users", next_step="score both on the same targets")
    differences = np.round(_values(candidate) - _values(rival), DECIMALS)
    interval = bootstrap_interval(differences, level=level, num_samples=num_samples, seed=seed)
    return Difference(
        interval.value,
        interval.low,
        interval.high,
        sign_flip_p_value(differences, num_flips=num_flips, seed=seed),
        len(differences),
        int(np.count_nonzero(differences)),
        float(differences.std()),
    )


def sign_flip_p_value(differences: Values, *, num_flips: int = NUM_FLIPS, seed: int) -> float:
    """Share of sign flips whose sum is at least as far from 0 as the one seen (two-sided).

    Under no difference each user's sign is a fair coin. Users without a difference drop out. With n users and 2^n <=
    ``num_flips`` all flips are tried once; else random ones are, and (hits + 1) / (num_flips + 1) is returned.
    """
    rng = np.random.default_rng(seed)
    differing = differences[differences != 0]
    if not len(differing):
        return 1.0
    sums_G = _grouped(differing[:, None], rng)[0][:, 0]
    seen = abs(sums_G.sum()) * (1 - 1e-9)  # a flip that gives the same sum in another order is a hit
    if len(sums_G) <= math.log2(num_flips):
        signs_FG = (np.arange(2 ** len(sums_G))[:, None] >> np.arange(len(sums_G)) & 1) * 2 - 1
        return float((np.abs(signs_FG @ sums_G) >= seen).mean())
    num_hits = 0
    for size in _blocks(num_flips, len(sums_G)):
        bytes_FB = rng.integers(0, 256, (size, -(-len(sums_G) // 8)), np.uint8)
        is_kept_FG = np.unpackbits(bytes_FB, axis=1, count=len(sums_G))
        flipped_F = 2 * (is_kept_FG.astype(np.float64) @ sums_G) - sums_G.sum()
        num_hits += int((np.abs(flipped_F) >= seen).sum())
    return (num_hits + 1) / (num_flips + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for asking several questions at once (Holm, 1979); in the order given.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none falls below one before it, none exceeds 1.
    """
    order = np.argsort(p_values, kind="stable")
    raised = np.asarray(p_values, np.float64)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1)
    return [float(value) for value in adjusted]


def users_needed(deviation: float, effect: float, *, level: float = LEVEL, power: float = 0.8) -> int | None:
    """Users at whom a true mean difference of ``effect`` is proven with probability ``power``.

    n = ((z of 1 - (1 - level) / 2 + z of power) deviation / effect)^2, rounded up; ``deviation`` is the standard deviation
    of the users' differences. None for an effect of 0, and for one that would take more than 10^12 users.
    """
    normal = NormalDist()
    spread = (normal.inv_cdf(1 - (1 - level) / 2) + normal.inv_cdf(power)) * deviation
    if abs(effect) * 1e6 <= spread:
        return None
    return max(2, math.ceil((spread / effect) ** 2))


def _grouped(values_UM: Values, rng: np.random.Generator) -> tuple[Values, Values]:
    """Deal the users into at most MAX_GROUPS groups; sums [G, M] and sizes [G]."""
    num_users = len(values_UM)
    if num_users <= MAX_GROUPS:
        return values_UM, np.ones(num_users)
    starts = np.arange(MAX_GROUPS) * num_users // MAX_GROUPS
    sums_GM = np.add.reduceat(values_UM[rng.permutation(num_users)], starts, axis=0)
    return sums_GM, np.diff(np.append(starts, num_users)).astype(np.float64)


def _resampled_means(sums_GM: Values, sizes_G: Values, num_samples: int, rng: np.random.Generator) -> Values:
    """Draw as many groups as there are, with replacement, again and again; means [S, M]."""
    num_groups = len(sizes_G)
    means = []
    for size in _blocks(num_samples, num_groups):
        drawn = rng.integers(0, num_groups, (size, num_groups), np.int32)
        cells = drawn + (np.arange(size) * num_groups)[:, None]
        counts_SG = np.bincount(cells.ravel(), minlength=size * num_groups).reshape(size, num_groups).astype(np.float64)
        means.append((counts_SG @ sums_GM) / (counts_SG @ sizes_G)[:, None])
    return np.concatenate(means)


def _blocks(num_rows: int, width: int) -> list[int]:
    """Cut ``num_rows`` rows of random numbers into blocks of at most CELLS."""
    size = max(1, CELLS // width)
    return [min(size, num_rows - start) for start in range(0, num_rows, size)]


def _is_same_index(ours: Figures, theirs: Figures) -> bool:
    if isinstance(ours, pd.Series) and isinstance(theirs, pd.Series):
        return bool(ours.index.equals(theirs.index))
    return True


def _values(figures: Figures) -> Values:
    return np.asarray(figures, np.float64)


def _check_users(values_UM: Values) -> None:
    if not len(values_UM):
        raise DataError("there is no user to compare", next_step="give a test window in which users have targets")
    wrong = int((~np.isfinite(values_UM)).sum())
    if wrong:
        raise DataError(f"{wrong} values are not finite", next_step="leave those users out or give them a value")


def _check_finite(record: Interval | Difference) -> None:
    wrong = [name for name, value in vars(record).items() if not math.isfinite(value)]
    if wrong:
        raise DataError(f"not finite: {', '.join(wrong)} of {record}", next_step="give users whose values are finite")
