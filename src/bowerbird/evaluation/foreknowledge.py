"""Whether a column of items or users follows later events more closely than anything known before them could.

Of each statistic of the events (how many, how many targets, different users or items, mean rating, newest time), what all events
give is freed, by least squares, of what was known at the cut-off, and so is the column: partial correlation, of ranks, of numbers
and of their logarithms, so that any monotone relation shows. A column that was there before can know what is true of an item, not
which of its users chance would bring. How much is true is told by the later events themselves, dealt into two halves by the
other side's ids: what one half says of the other, stepped up to both (Spearman and Brown, 1910), is the share of the variance
that could be foreseen, at most. A column that surely explains more, and at least LEAST, knows the future; so does one that
explains MOST, however much could have been foreseen.

Shapes: R rows, P columns of what was known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import atanh, sqrt, tanh
from typing import Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

Values: TypeAlias = NDArray[np.float64]

MIN_ROWS: Final = 30
MAX_ROWS: Final = 20_000
"""More rows than these add cost and no doubt less; every so-manieth is taken."""
LEAST, MOST = 0.5, 0.8
"""Shares of the variance of what came later: below the first nothing is a leak, above the second everything is."""
SURE: Final = 3.5
"""Standard errors (of Fisher's z) by which a column has to be above that."""
NOTHING: Final = 1e-6
"""A column whose variance is explained by what was known but for this share says nothing of its own."""
COUNTS: Final = {"events": "events", "targets": "target events", "others": "different users or items"}


@dataclass(frozen=True)
class Statistic:
    """One statistic of the events of each row: before the cut-off, of all events, of later ones, and of either half of these."""

    words: str
    before: Values
    whole: Values
    after: Values
    halves: tuple[Values, Values]


def what_is_foreknown(column: Values, counts: pd.DataFrame) -> str | None:
    """Name the statistic that a column (float [R]) knows the future of; None where it knows none.

    ``counts`` are the rows of ``counts_across.sql`` beside the column's values.
    """
    usable = np.isfinite(column) & (counts["events_before"] > 0).to_numpy() & (counts["events_after"] > 0).to_numpy()
    rows = np.flatnonzero(usable)[:: max(1, int(usable.sum()) // MAX_ROWS)]
    if len(rows) < MIN_ROWS or np.ptp(column[rows]) == 0:
        return None
    there = counts.iloc[rows]
    known_RP = _known(there)
    for one in _statistics(there):
        if any(_is_foreknown(own, one, known_RP, space) for own, space in _spaces(column[rows])):
            return one.words
    return None


def _spaces(column: Values) -> Iterator[tuple[Values, Callable[[Values], Values]]]:
    """Give the column as it is held against statistics, and how those are spelled beside it: as they are, or by ranks."""
    yield column, np.asarray
    if column.min() > 0:
        yield np.log(column), np.asarray
    yield rankdata(column), rankdata


def _statistics(there: pd.DataFrame) -> Iterator[Statistic]:
    """Give the statistics; counts as logarithms, whose rows with nothing in a half are none the less rows."""
    values = {
        name: there[name].to_numpy(np.float64, na_value=np.nan) for name in there.columns if name not in ("described", "id")
    }
    for name, words in COUNTS.items():
        before, after, half = (values[f"{name}_{part}"] for part in ("before", "after", "half"))
        whole, halves = np.log1p(before + after), (np.log1p(half), np.log1p(after - half))
        yield Statistic(f"the number of {words}", np.log1p(before), whole, np.log1p(after), halves)
    sums, nums = ({part: values[f"{name}_{part}"] for part in ("before", "after", "half")} for name in ("value", "valued"))
    with np.errstate(invalid="ignore", divide="ignore"):
        yield Statistic(
            "the mean rating",
            sums["before"] / nums["before"],
            (sums["before"] + sums["after"]) / (nums["before"] + nums["after"]),
            sums["after"] / nums["after"],
            (sums["half"] / nums["half"], (sums["after"] - sums["half"]) / (nums["after"] - nums["half"])),
        )
    last = values["last_after"]
    yield Statistic("the newest time", values["last_before"], last, last, (values["last_half"], values["last_other_half"]))


def _known(there: pd.DataFrame) -> Values:
    """Return what was known at the cut-off: how much, how much lately, since when, until when, and how it was rated; [R, P]."""
    counts = [
        np.log1p(there[name].to_numpy(np.float64))
        for name in ("events_before", "targets_before", "others_before", "events_recent")
    ]
    times = [there[name].to_numpy(np.float64) for name in ("first_moment", "last_before")]
    ratings = there["value_before"].to_numpy(np.float64) / np.maximum(there["valued_before"].to_numpy(np.float64), 1)
    return np.column_stack([*counts, *times, ratings])


def _is_foreknown(column: Values, one: Statistic, known_RP: Values, space: Callable[[Values], Values]) -> bool:
    """Hold a column against what all events, and later ones alone, give."""
    has = np.isfinite(one.before) & np.isfinite(one.whole)
    if has.sum() < MIN_ROWS or np.ptp(one.after[has]) == 0:
        return False
    basis = _basis([space(known[has]) for known in (*known_RP.T, one.before)])
    freedom = int(has.sum()) - basis.shape[1] - 1
    own = _freed(column[has], basis)
    if freedom < MIN_ROWS / 2 or own is None:
        return False
    most = [_freed(space(values[has]), basis) for values in (one.whole, one.after)]
    closest = max(abs(float(own @ other)) for other in most if other is not None)
    surely = tanh(atanh(min(closest, 1 - 1e-12)) - SURE / sqrt(freedom - 2))
    return surely > 0 and surely**2 > min(max(_foreseeable(one, has, known_RP, space), LEAST), MOST)


def _foreseeable(one: Statistic, has: NDArray[np.bool_], known_RP: Values, space: Callable[[Values], Values]) -> float:
    """Return the share of what came later, beyond what was known, that is true of the rows: as one half tells of the other."""
    both = has & np.isfinite(one.halves[0]) & np.isfinite(one.halves[1])
    if both.sum() < MIN_ROWS:
        return MOST
    basis = _basis([space(known[both]) for known in (*known_RP.T, one.before)])
    halves = [_freed(space(half[both]), basis) for half in one.halves]
    if halves[0] is None or halves[1] is None:
        return 0.0
    common = max(float(halves[0] @ halves[1]), 0.0)
    return 2 * common / (1 + common)


def _basis(known: list[Values]) -> Values:
    """Return an orthonormal basis of what was known, of its squares and of a constant; [R, P]."""
    scaled = [(values - values.mean()) / spread for values in known if (spread := values.std()) > 0]
    matrix = np.column_stack([np.ones(len(known[0])), *scaled, *(values**2 for values in scaled)])
    left, sizes, _ = np.linalg.svd(matrix, full_matrices=False)
    return left[:, sizes > 1e-8 * sizes[0]]


def _freed(values: Values, basis: Values) -> Values | None:
    """Take out what a basis explains, and scale to length 1; None where hardly anything is left."""
    centred = values - values.mean()
    left = centred - basis @ (basis.T @ centred)
    size, whole = float(left @ left), float(centred @ centred)
    return None if size <= NOTHING * whole else left / sqrt(size)
