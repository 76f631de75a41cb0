"""How fast a model gets worse when it is not fitted anew, and what that says of the schedule.

A model fitted at one cut-off is scored on later windows, told each user's history up to the window's start. Beside it, on the
same users and windows, stands the same model fitted at the window's start:

    loss of an age = mean over users of (aged - fresh), in shares of the mean of fresh

so neither an easy month nor a change of audience is taken for ageing. Users are pooled over the windows, the interval and the
p value are those of ``statistics.paired_difference``, and the p values of one model's ages are adjusted by Holm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bowerbird.evaluation.decision import Record
from bowerbird.evaluation.metrics import pool_windows
from bowerbird.evaluation.statistics import LEVEL, holm, paired_difference

ByWindow = Mapping[str, "pd.Series[Any]"]  # Any: pandas leaves the type of a series open
"""One value a user (index ``user_id``) in each window."""


class AgePoint(Record):
    """A model of one age, beside the same model fitted afresh."""

    days: float
    """From the cut-off of the fit to the start of the window."""
    num_windows: int
    num_users: int
    value: float
    fresh: float
    mean: float
    """Aged minus fresh, with the bounds of its interval."""
    low: float
    high: float
    p_value: float
    adjusted_p: float
    is_worse: bool
    """Proven to be worse than fresh, also in view of all ages that were looked at."""

    @property
    def shares(self) -> tuple[float, float, float] | None:
        """Mean, low and high in shares of the fresh model's mean; None where that finds nothing."""
        return (self.mean / self.fresh, self.low / self.fresh, self.high / self.fresh) if self.fresh else None


def age_curve(fresh: ByWindow, aged: Mapping[float, ByWindow], *, level: float = LEVEL, seed: int) -> tuple[AgePoint, ...]:
    """Compare a model of each age (days) with its fresh self, youngest first.

    Parameters
    ----------
    fresh : mapping of window to series
        The model fitted at each window's start.
    aged : mapping of days to such mappings
        The same model fitted so many days before; each window must be one of ``fresh``.
    level : float
        Of the intervals; p values are held against 1 - level.
    seed : int
        Of the bootstrap and the sign flips.

    Raises
    ------
    DataError
        Where the two were not scored on the same users.
    """
    differences, means = [], []
    for days in sorted(aged):
        ours, theirs = (_pooled([side[window] for window in aged[days]]) for side in (aged[days], fresh))
        differences.append(paired_difference(ours, theirs, level=level, seed=seed))
        means.append((float(ours.mean()), float(theirs.mean())))
    adjusted = holm([one.p_value for one in differences])
    return tuple(
        AgePoint(
            days=days,
            num_windows=len(aged[days]),
            num_users=one.num_users,
            value=value,
            fresh=baseline,
            mean=one.mean,
            low=one.low,
            high=one.high,
            p_value=one.p_value,
            adjusted_p=p_value,
            is_worse=one.high < 0 and p_value < 1 - level,
        )
        for days, one, (value, baseline), p_value in zip(sorted(aged), differences, means, adjusted, strict=True)
    )


def advice(model: str, points: Sequence[AgePoint]) -> str:
    """Say how often a model has to be fitted anew, as far as its age curve can tell."""
    if not points:
        return f"{model}: one cut-off alone tells nothing of age; ask for two or more."
    place = next((place for place, point in enumerate(points) if point.is_worse), None)
    if place is None:
        return _untold(model, points[-1])
    worse = points[place]
    tried = f"at {in_days(points[place - 1].days)} it is not measurably so" if place else "no shorter age was looked at"
    return (
        f"{model}: retrain at least every {in_days(worse.days)}. After that it is {_lost(worse)} worse than a fresh one, over "
        f"{worse.num_users:,} users; {tried}."
    )


def in_days(days: float) -> str:
    """Spell an age: ``1 day``, ``3.5 days``."""
    return f"{days:.3g} day" + ("" if days == 1 else "s")


def _lost(point: AgePoint) -> str:
    """Spell the loss of a point as a clause, with its interval."""
    if point.shares is None:
        return f"{-point.mean:.4f}"
    mean, low, high = point.shares
    return f"{-mean:.1%} ({-high:.1%} to {-low:.1%})"


def _untold(model: str, oldest: AgePoint) -> str:
    """Say that no age is proven to be worse, and how much may be lost all the same."""
    if oldest.shares is None:
        return f"{model}: a fresh model finds nothing either, so age cannot be judged."
    mean, low, high = oldest.shares
    side = "below" if mean < 0 else "above"
    risk = f"a loss of up to {-low:.1%} is not ruled out" if low < 0 else "no loss is in sight"
    return (
        f"{model}: cannot tell that it gets worse within {in_days(oldest.days)}: at that age it is {abs(mean):.1%} {side} a "
        f"fresh one ({low:+.1%} to {high:+.1%}, adjusted p {oldest.adjusted_p:.2g}, {oldest.num_users:,} users), so {risk}. More "
        "cut-offs, or more users, would tell."
    )


def _pooled(windows: Sequence[pd.Series[Any]]) -> pd.Series[Any]:  # Any: see ByWindow
    return pool_windows([window.to_frame("value") for window in windows])["value"]
