"""How sure the mean of a figure is: Wilson's interval, carried over from shares of users to any figure of users.

The bounds are the means m that the data do not rule out, where the variance changes with m as the data's skew says:

    (mean - m)^2 = t^2 / U * (s^2 + g (m - mean) - (m - mean)^2),    g = (third central moment) / s^2

For 0 and 1 this is Wilson's interval, for there s^2 + g d - d^2 = m (1 - m) with d = m - mean. Where hits are rare, a sample
without the largest of them is likely, and its spread too small. A figure between 0 and 1 therefore counts a quarter of a user
more who has 1, and a quarter of one who has 0, in spread and skew, not in the mean. t is Student's, for U - 1 degrees of freedom.

Wilson, Probable inference, the law of succession, and statistical inference, 1927; that skew bends the variance along the mean:
Johnson, Modified t tests and confidence intervals for asymmetrical populations, 1978. How often the truth is held, here and by
the percentile bootstrap: ``benchmarks/gate_simulation.py``. Shapes: U users.
"""

from __future__ import annotations

from collections.abc import Collection
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from bowerbird.errors import DataError
from bowerbird.evaluation.statistics import DECIMALS, LEVEL, Figures, Interval, Values, check_users

EXTRA = 0.25
"""Of a user at either end. With none, a sample without a find has no width; with half of one, up to 99 % hold the truth."""


def mean_intervals(
    users: pd.DataFrame, *, bounded: Collection[Any] = (), level: float = LEVEL
) -> dict[Any, Interval]:  # Any: whatever the columns are called
    """Bound the mean of every column, each over the users who have a value.

    Parameters
    ----------
    users : DataFrame
        One row a user; a missing value (NaN) means that a figure does not exist for him. Columns without any value are left out.
    bounded : collection
        The columns whose values lie between 0 and 1, whatever a user may do.
    level : float
        Share of runs in which an interval holds the truth.

    Raises
    ------
    DataError
        Without a user, or for a value that is infinite.
    """
    check_users(users.to_numpy(np.float64)[:, :0])
    columns = {name: users[name].to_numpy(np.float64) for name in users}
    known = {name: values_U[~np.isnan(values_U)] for name, values_U in columns.items()}
    return {
        name: mean_interval(values_U, is_bounded=name in bounded, level=level)
        for name, values_U in known.items()
        if len(values_U)
    }


def mean_interval(values: Figures, *, is_bounded: bool, level: float = LEVEL) -> Interval:
    """Bound the mean of one value a user (float [U]); see ``mean_intervals``."""
    values_U = np.asarray(values, np.float64)
    check_users(values_U)
    mean = float(values_U.mean())
    return _interval(mean, values_U - mean, is_bounded=is_bounded, level=level)


def clustered_interval(totals: Figures, counts: Figures, *, level: float = LEVEL) -> Interval:
    """Bound a share that counts each target alike, where a user has many: the sum of totals over the sum of counts.

    What one user's targets give is alike, so they are no independent values: a user's residual is what all of his targets
    together give beyond the mean, and users are what is counted.

    Parameters
    ----------
    totals, counts : float [U]
        Sum of the values of a user's targets, each from 0 to 1, and how many he has, above 0.
    level : float
        See ``mean_intervals``.

    Raises
    ------
    DataError
        Without a user, for a value that is not finite, and for a user without targets.
    """
    totals_U, counts_U = np.asarray(totals, np.float64), np.asarray(counts, np.float64)
    check_users(np.column_stack([totals_U, counts_U]))
    if not (counts_U > 0).all():
        raise DataError("a user has no targets", next_step="leave those users out")
    share = float(totals_U.sum() / counts_U.sum())
    return _interval(share, (totals_U - share * counts_U) / counts_U.mean(), is_bounded=True, level=level)


def _interval(mean: float, residuals_U: Values, *, is_bounded: bool, level: float) -> Interval:
    """Solve the equation above for its two means."""
    num_users, extra = len(residuals_U), EXTRA if is_bounded else 0
    squares_U = residuals_U * residuals_U
    squares = float(squares_U.sum()) + extra * ((1 - mean) ** 2 + mean**2)
    cubes = float(squares_U @ residuals_U) + extra * ((1 - mean) ** 3 - mean**3)
    tail = float(stdtrit(max(num_users - 1, 1), (1 + level) / 2)) ** 2 / num_users
    middle = tail * cubes / squares / 2 if squares else 0
    reach = sqrt(middle**2 + (1 + tail) * tail * squares / num_users)
    low, high = (mean + (middle + sign * reach) / (1 + tail) for sign in (-1, 1))
    if is_bounded:
        low, high = max(low, 0), min(high, 1)
    return Interval(*(round(bound, DECIMALS) for bound in (mean, low, high)))
