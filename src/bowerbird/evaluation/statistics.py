"""How sure a difference is: bootstrap intervals, paired sign-flip tests and Holm's correction, with the user as the unit.

A user's value is his mean over the test windows, so the users are independent of each other and each counts once (a bootstrap
clustered by user). How sure a mean is stands in ``mean_intervals``: the percentile bootstrap is too narrow where hits are rare,
and serves differences, which go both ways. Above ``MAX_GROUPS`` users they are dealt at random into that many groups of equal
size and whole groups are drawn or flipped: the expected width stays, its own relative error is about 1 / sqrt(2 MAX_GROUPS) =
0.5 %, a quarter of what 2,000 draws have anyway, and the work no longer grows with the users.

Sign flips are the permutation test of paired values: under no difference a user's two values are as likely the other way
round, and to change their places is to flip the sign of his difference.

Shapes: U users, G groups, M figures, S bootstrap samples, F flips. Percentile bootstrap: Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, chapter 13. Sign flips: Fisher's randomisation test; the +1 is Phipson and Smyth,
Permutation p-values should never be zero, 2010.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.errors import DataError

Values = NDArray[np.float64]
Figures: TypeAlias = "pd.Series[Any] | Values"  # Any: pandas leaves the type of a series open

LEVEL = 0.95
POWER = 0.8
NUM_SAMPLES = 2000
NUM_FLIPS = 10_000
MAX_GROUPS = 20_000
CELLS = 1 << 16
"""Random numbers held at a time: half a megabyte, which a core's own cache holds."""
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

    @property
    def detectable(self) -> float:
        """The smallest true difference that the users there are would prove in four of five runs."""
        return minimum_detectable(self.deviation, self.num_users)


def bootstrap_interval(
    values: Figures, *, level: float = LEVEL, num_samples: int = NUM_SAMPLES, max_groups: int = MAX_GROUPS, seed: int
) -> Interval:
    """Bound the mean of one value a user (float [U]) by the percentile bootstrap; see ``bootstrap_intervals``."""
    (interval,) = bootstrap_intervals(
        _values(values)[:, None], level=level, num_samples=num_samples, max_groups=max_groups, seed=seed
    )
    return interval


def bootstrap_intervals(
    values_UM: Values, *, level: float = LEVEL, num_samples: int = NUM_SAMPLES, max_groups: int = MAX_GROUPS, seed: int
) -> list[Interval]:
    """Bound the means of several figures by the percentile bootstrap over users; the same draws serve all of them.

    Parameters
    ----------
    values_UM : float [U, M]
        One row a user.
    level : float
        Share of runs in which the interval holds the truth.
    num_samples : int
        Resamples.
    max_groups : int
        More users than these are drawn by groups.
    seed : int
        The same seed gives the same intervals.

    Raises
    ------
    DataError
        Without a user, or for a value that is not finite.
    """
    check_users(values_UM)
    rng = np.random.default_rng(seed)
    sums_GM, sizes_G = _grouped(values_UM, max_groups, rng)
    means_SM = _resampled_means(sums_GM, sizes_G, num_samples, rng)
    return _percentiles(values_UM.mean(axis=0), means_SM, level)


def paired_difference(
    candidate: Figures,
    rival: Figures,
    *,
    seed: int,
    level: float = LEVEL,
    num_samples: int = NUM_SAMPLES,
    num_flips: int = NUM_FLIPS,
) -> Difference:
    """Compare two models on the same users; see ``paired_differences``."""
    found = paired_differences(candidate, {"rival": rival}, seed=seed, level=level, num_samples=num_samples, num_flips=num_flips)
    return found["rival"]


def paired_differences(
    candidate: Figures,
    rivals: Mapping[str, Figures],
    *,
    seed: int,
    level: float = LEVEL,
    num_samples: int = NUM_SAMPLES,
    num_flips: int = NUM_FLIPS,
) -> dict[str, Difference]:
    """Compare a model with others on the same users; the same draws serve all of them.

    Parameters
    ----------
    candidate : float [U]
        One value a user.
    rivals : mapping of label to float [U]
        The same users in the same order; two series must have the same index.
    seed, level, num_samples
        See ``bootstrap_intervals``.
    num_flips : int
        Random sign flips; where all flips are not more than these, each is tried once and the p value is exact.

    Raises
    ------
    DataError
        Where the users are not the same, there is none, or a value is not finite.
    """
    if not all(len(candidate) == len(rival) and _is_same_index(candidate, rival) for rival in rivals.values()):
        raise DataError("the two models were scored on different users", next_step="score both on the same targets")
    if not rivals:
        return {}
    differences_UM = np.round(_values(candidate)[:, None] - np.column_stack([_values(one) for one in rivals.values()]), DECIMALS)
    intervals = bootstrap_intervals(differences_UM, level=level, num_samples=num_samples, seed=seed)
    return {
        label: Difference(
            interval.value,
            interval.low,
            interval.high,
            sign_flip_p_value(differences_U, num_flips=num_flips, seed=seed),
            len(differences_U),
            int(np.count_nonzero(differences_U)),
            float(differences_U.std()),
        )
        for label, interval, differences_U in zip(rivals, intervals, differences_UM.T, strict=True)
    }


def sign_flip_p_value(
    differences: Values,
    *,
    side: Literal["both", "below"] = "both",
    num_flips: int = NUM_FLIPS,
    max_groups: int = MAX_GROUPS,
    seed: int,
) -> float:
    """Share of sign flips whose sum is at least as far from 0 as the one seen, or with ``side="below"`` at least as low.

    Under no difference each user's sign is a fair coin. Users without a difference drop out. With n users and 2^n <=
    ``num_flips`` all flips are tried once; else random ones are, and (hits + 1) / (num_flips + 1) is returned.
    """
    rng = np.random.default_rng(seed)
    differing = differences[differences != 0]
    if not len(differing):
        return 1.0
    sums_G = _grouped(differing[:, None], max_groups, rng)[0][:, 0]
    far = np.abs if side == "both" else np.negative
    seen = far(sums_G.sum()) - 1e-12 * np.abs(sums_G).sum()  # a flip that gives the same sum in another order is a hit
    if len(sums_G) <= math.log2(num_flips):
        signs_FG = (np.arange(2 ** len(sums_G))[:, None] >> np.arange(len(sums_G)) & 1) * 2 - 1
        return float((far(signs_FG @ sums_G) >= seen).mean())
    num_hits = 0
    for size in _blocks(num_flips, len(sums_G)):
        bytes_FB = rng.integers(0, 256, (size, -(-len(sums_G) // 8)), np.uint8)
        is_kept_FG = np.unpackbits(bytes_FB, axis=1, count=len(sums_G))
        flipped_F = 2 * (is_kept_FG.astype(np.float64) @ sums_G) - sums_G.sum()
        num_hits += int((far(flipped_F) >= seen).sum())
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


def users_needed(deviation: float, effect: float, *, level: float = LEVEL, power: float = POWER) -> int | None:
    """Users at whom a true mean difference of ``effect`` is proven with probability ``power``.

    n = ((z of 1 - (1 - level) / 2 + z of power) deviation / effect)^2, rounded up; ``deviation`` is the standard deviation
    of the users' differences. None for an effect of 0, and for one that would take more than 10^12 users.
    """
    spread = _z_of(level, power) * deviation
    if abs(effect) * 1e6 <= spread:
        return None
    return max(2, math.ceil((spread / effect) ** 2))


def minimum_detectable(deviation: float, num_users: int, *, level: float = LEVEL, power: float = POWER) -> float:
    """Return the true mean difference that ``num_users`` prove with probability ``power``: ``users_needed`` turned round."""
    return _z_of(level, power) * deviation / math.sqrt(num_users)


def _z_of(level: float, power: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - (1 - level) / 2) + normal.inv_cdf(power)


def _grouped(values_UM: Values, max_groups: int, rng: np.random.Generator) -> tuple[Values, Values]:
    """Deal the users into at most ``max_groups`` groups; sums [G, M] and sizes [G]."""
    num_users = len(values_UM)
    if num_users <= max_groups:
        return values_UM, np.ones(num_users)
    starts = np.arange(max_groups) * num_users // max_groups
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


def _percentiles(values_M: Values, samples_SM: Values, level: float) -> list[Interval]:
    tail = (1 - level) / 2
    bounds_2M = np.quantile(samples_SM, [tail, 1 - tail], axis=0)
    return [Interval(*map(float, row)) for row in np.round(np.vstack([values_M, bounds_2M]), DECIMALS).T]


def _blocks(num_rows: int, width: int) -> list[int]:
    """Cut ``num_rows`` rows of random numbers into blocks of about CELLS.

    Four rows of bytes are whole words of the generator, so that where a block ends does not change what comes after.
    """
    size = 4 * max(1, CELLS // width // 4)
    return [min(size, num_rows - start) for start in range(0, num_rows, size)]


def _is_same_index(ours: Figures, theirs: Figures) -> bool:
    if isinstance(ours, pd.Series) and isinstance(theirs, pd.Series):
        return bool(ours.index.equals(theirs.index))
    return True


def _values(figures: Figures) -> Values:
    return np.asarray(figures, np.float64)


def check_users(values_UM: Values) -> None:
    """Raise DataError without a user, and for a value that is not finite."""
    if not len(values_UM):
        raise DataError("there is no user to compare", next_step="give a test window in which users have targets")
    wrong = int((~np.isfinite(values_UM)).sum())
    if wrong:
        raise DataError(f"{wrong} values are not finite", next_step="leave those users out or give them a value")


def _check_finite(record: Interval | Difference) -> None:
    wrong = [name for name, value in vars(record).items() if not math.isfinite(value)]
    if wrong:
        raise DataError(f"not finite: {', '.join(wrong)} of {record}", next_step="give users whose values are finite")
