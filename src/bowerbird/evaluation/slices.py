"""Who loses where all gain on average: the gate's metric on slices of users and of targets, nominee beside another model.

A slice of users is scored as all users are. In a slice of items only targets of that slice count, for the users who have
any; the lists stay as they are. In each slice the nominee may be worse than the other model by ``max_loss``, a share of the
other's figure: per user d = nominee - (1 - max_loss) other, and a one-sided sign-flip test asks whether the mean of d is
below 0. Holm's correction over all slices that are tested, and over further metrics asked about at once, keeps the chance
that any is blocked without reason at the declared level. Small slices are shown and not tested.

Shapes: U users with targets, T targets, N items, R rows (a user in a window, or an item).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.data.interactions import MICROSECONDS_A_DAY, Interactions
from bowerbird.evaluation.decision import SliceResult
from bowerbird.evaluation.matching import Matches
from bowerbird.evaluation.statistics import DECIMALS, Values, bootstrap_interval, holm, sign_flip_p_value

Codes = NDArray[np.int64]
NEW, RETURNING = "new", "returning"
NO_EVENT, NO_VALUE, OTHERS = "no event yet", "(none)", "(others)"
POPULARITY = {"head": 0.5, "torso": 0.8, "tail": 1.0}
"""Classes of items, each with the share of all events at which it ends, the most popular items first."""
NUM_BINS = 4
MAX_VALUES = 20
"""Values of a column that are slices of their own, those with the most rows; the rest are one slice."""
MAX_GROUPS = 1000
"""More users are dealt into so many groups: the interval's width errs by 2 %, as much as by its 2,000 draws."""


@dataclass(frozen=True, eq=False)
class Grouping:
    """Which rows are of which value of a column; a row has one value, or several of a list.

    Attributes
    ----------
    column : str
        What it is called.
    values : list of str
        The slices' names.
    rows, codes : int64 [M]
        A row and the place of one of its values.
    """

    column: str
    values: Sequence[str]
    rows: Codes
    codes: Codes

    def members(self, place: int) -> Codes:
        """The rows of one value."""
        members: Codes = self.rows[self.codes == place]
        return members


def group(column: str, values: pd.Series[Any]) -> Grouping:  # Any: whatever a table's column holds
    """Group rows by a column: lists by each of their values, numbers in bins of about equal size, all else by value."""
    rows = np.arange(len(values))
    if values.map(lambda value: isinstance(value, list | tuple | np.ndarray)).any():
        exploded = pd.Series(values.to_numpy(), rows).explode()
        rows, values = exploded.index.to_numpy(), exploded
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if is_number and values.nunique() > NUM_BINS:
        return binned(column, values.to_numpy(np.float64, na_value=np.nan), missing=NO_VALUE)
    named = values.astype("string").fillna(NO_VALUE)
    counts = named.value_counts()
    known = sorted(counts.index, key=lambda name: (-counts[name], name))
    names = known if len(known) <= MAX_VALUES else [*known[: MAX_VALUES - 1], OTHERS]
    codes = pd.Index(names).get_indexer(pd.Index(named))
    return Grouping(column, names, rows, np.where(codes < 0, len(names) - 1, codes))


def binned(column: str, numbers: Values, *, missing: str, unit: str = "") -> Grouping:
    """Group rows by a number (float [R]) in bins of about equal size, equal numbers together; NaN is ``missing``."""
    is_known = ~np.isnan(numbers)
    known = numbers[is_known]
    shares = np.arange(1, NUM_BINS + 1) / NUM_BINS
    ends = np.unique(np.quantile(known, shares, method="inverted_cdf")) if len(known) else np.zeros(0)
    codes = np.full(len(numbers), len(ends))
    codes[is_known] = np.searchsorted(ends, known)
    starts = [known[codes[is_known] == place].min() for place in range(len(ends))]
    names = [f"{low:g}" if low == high else f"{low:g} to {high:g}" for low, high in zip(starts, ends, strict=True)]
    return Grouping(column, [*(name + unit for name in names), missing], np.arange(len(numbers)), codes)


def popularity_classes(counts: Values) -> NDArray[np.int64]:
    """Tell the head of the catalogue from its torso and tail; the place in ``POPULARITY``, or one more without an event; [N].

    An item's class goes by the share of all events that strictly more popular items have, so equal counts stay together.
    """
    distinct, places, sizes = np.unique(counts, return_inverse=True, return_counts=True)
    events = distinct * sizes
    share_above = (events.sum() - np.cumsum(events)) / max(events.sum(), 1)
    classes: NDArray[np.int64] = np.searchsorted(list(POPULARITY.values()), share_above, side="right")[places]
    return np.where(counts > 0, np.minimum(classes, len(POPULARITY) - 1), len(POPULARITY))


def first_events(data: Interactions) -> Codes:
    """When each item had its first event, in microseconds; int64 [N]."""
    first = np.full(data.num_items, np.iinfo(np.int64).max)
    np.minimum.at(first, data.items, data.timestamps)
    return first


def ages_in_days(born: Values, cut_off: int) -> Values:
    """Turn microseconds of birth (NaN where unknown) into whole days before the cut-off; NaN where not before it."""
    return np.where(born < cut_off, np.floor((cut_off - born) / MICROSECONDS_A_DAY), np.nan)


def restricted(matches: Matches, is_wanted_N: NDArray[np.bool_]) -> Matches:
    """Keep the targets of some items, and the users who have any; the lists stay as they are."""
    is_target = is_wanted_N[matches.target_items]
    kept = np.flatnonzero(np.bincount(matches.target_users[is_target], minlength=len(matches.user_ids)))
    place_of = np.full(len(matches.user_ids), -1)
    place_of[kept] = np.arange(len(kept))
    is_hit = is_wanted_N[matches.hit_items]
    return replace(
        matches,
        user_ids=matches.user_ids[kept],
        table_UK=matches.table_UK[kept],
        hit_users=place_of[matches.hit_users[is_hit]],
        hit_places=matches.hit_places[is_hit],
        target_users=place_of[matches.target_users[is_target]],
        target_items=matches.target_items[is_target],
        target_gains=None if matches.target_gains is None else matches.target_gains[is_target],
    )


def pool(users: Codes, values_R2: Values) -> Values:
    """Average a user's rows of several windows, so that one row is one independent user; users ascending."""
    if (np.diff(users) > 0).all():
        return values_R2
    sizes = np.bincount(users)
    is_there = sizes > 0
    return np.column_stack([np.bincount(users, column)[is_there] / sizes[is_there] for column in values_R2.T])


def compare(
    column: str, value: str, values_U2: Values, *, other: str, max_loss: float, min_users: int, level: float, seed: int
) -> SliceResult:
    """Compare nominee (first column) and other model on one slice; not yet adjusted for the other slices."""
    ours, theirs = values_U2.T
    found = bootstrap_interval(ours - theirs, level=level, max_groups=MAX_GROUPS, seed=seed)
    is_small = len(values_U2) < min_users
    losses = np.round(ours - (1 - max_loss) * theirs, DECIMALS)
    return SliceResult(
        column=column,
        value=value,
        num_users=len(values_U2),
        shown_only=is_small,
        nominee=float(ours.mean()),
        deviation=float(ours.std()),
        other=other,
        mean=found.value,
        low=found.low,
        high=found.high,
        p_value=None if is_small else sign_flip_p_value(losses, side="below", max_groups=MAX_GROUPS, seed=seed),
    )


def adjust(
    found: Sequence[SliceResult], *, further: Sequence[float] = (), significance: float, decides: bool
) -> tuple[tuple[SliceResult, ...], list[float]]:
    """Correct for having asked about all slices, and further metrics, at once (Holm).

    Parameters
    ----------
    found : sequence of SliceResult
    further : sequence of float
        P values of other questions that were asked at once.
    significance : float
        A slice blocks where its adjusted p value is below this and ``decides`` is true.

    Returns
    -------
    tuple of SliceResult
        The worst first: those that block, then the others by their loss as a share of the other's figure, small ones last.
    list of float
        ``further``, adjusted.
    """
    tested = [one for one in found if one.p_value is not None]
    adjusted = holm([*(one.p_value for one in tested if one.p_value is not None), *further])
    judged = [
        one.model_copy(update={"adjusted_p": p_value, "blocks": decides and p_value < significance})
        for one, p_value in zip(tested, adjusted[: len(tested)], strict=True)
    ]
    small = [one for one in found if one.p_value is None]
    in_order = sorted([*judged, *small], key=lambda one: (one.shown_only, not one.blocks, _relative(one), one.column, one.value))
    return tuple(in_order), adjusted[len(tested) :]


def _relative(one: SliceResult) -> float:
    """Gain or loss as a share of the other's figure; 0 where both have nothing."""
    other = one.nominee - one.mean
    return one.mean / other if other > 0 else float(one.mean > 0)
