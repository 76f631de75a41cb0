"""What the lists of all users reach together, and how sure that is: coverage and Gini, by a jackknife over groups of users.

Both are figures of all lists at once, of which no user has a value of his own. Users are dealt into G groups by their ids; with
d_g, what a figure loses without group g, times U / G over the group's size, the squared standard error is (G - 1) / G times the
sum of squared deviations of the d_g from their mean (Kott, The delete-a-group jackknife, 2001). A user is in the same group in
every window, so windows are no independent samples of him. Items that one user alone is shown make it a little too large.

Shapes: L places of lists, U users, N items, G groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from bowerbird.columns import ITEM_ID, RANK, USER_ID
from bowerbird.evaluation.metrics import gini_of
from bowerbird.evaluation.statistics import DECIMALS, LEVEL, Interval

NUM_GROUPS: Final = 20


class Reach(NamedTuple):
    """What some lists reach."""

    coverage: float
    """Share of the catalogue's items that any list holds."""
    gini: float
    """How unevenly places fall on the catalogue: 0 all alike, 1 - 1/N one item only."""


class Lists(NamedTuple):
    """What all lists of a window reach, and what is lost without each group of users."""

    whole: Reach
    lost: tuple[Reach, ...]


def measure(lists: pd.DataFrame, num_items: int, *, k: int, owners: Mapping[Any, Any] | None = None) -> Lists:
    """Measure the first k places of lists: ``user_id, item_id, rank``, user by user, each from rank 1 on.

    ``owners`` gives whose list it is, by ``user_id``, where lists are made for sessions (Any: ids are texts or numbers).
    """
    if not len(lists):
        return Lists(Reach(0.0, 0.0), ())
    is_first_L = lists[RANK].to_numpy() == 1
    users = lists[USER_ID][is_first_L]
    names = (users if owners is None else users.map(owners)).astype(str).to_numpy(object)
    groups_U = (pd.util.hash_array(names) % NUM_GROUPS).astype(np.int64)
    counts = lists[RANK].to_numpy() <= k
    groups_L = groups_U[np.cumsum(is_first_L) - 1][counts]
    items_L, listed = pd.factorize(lists[ITEM_ID][counts])
    counts_GN = np.bincount(groups_L * len(listed) + items_L, minlength=NUM_GROUPS * len(listed)).reshape(NUM_GROUPS, -1)
    whole = _reach(counts_GN.sum(axis=0), num_items)
    shares_G = NUM_GROUPS * np.bincount(groups_U, minlength=NUM_GROUPS) / len(groups_U)
    without = [_reach(counts_GN.sum(axis=0) - ours_N, num_items) for ours_N in counts_GN]
    lost = [
        Reach(*((all_ - rest) / share for all_, rest in zip(whole, one, strict=True))) if share else Reach(0.0, 0.0)
        for one, share in zip(without, shares_G, strict=True)
    ]
    return Lists(whole, tuple(lost))


def intervals(windows: Sequence[Lists], *, level: float = LEVEL) -> dict[str, Interval]:
    """Average coverage and Gini over windows, each with its bounds; nothing for lists that were not jackknifed."""
    lost = [one.lost for one in windows]
    if not windows or not all(lost):
        return {}
    values_2 = np.mean([one.whole for one in windows], axis=0)
    lost_G2 = np.mean(np.asarray(lost, np.float64), axis=0)
    squares_2 = (NUM_GROUPS - 1) / NUM_GROUPS * np.square(lost_G2 - lost_G2.mean(axis=0)).sum(axis=0)
    reach_2 = float(stdtrit(NUM_GROUPS - 1, (1 + level) / 2)) * np.sqrt(squares_2)
    bounds = np.round([values_2, np.maximum(values_2 - reach_2, 0), np.minimum(values_2 + reach_2, 1)], DECIMALS)
    return {name: Interval(*map(float, row)) for name, row in zip(Reach._fields, bounds.T, strict=True)}


def _reach(counts_N: NDArray[np.int64], num_items: int) -> Reach:
    """Return coverage and Gini of how often items are listed; those that no list has are not among them."""
    share = float((counts_N > 0).sum() / num_items) if num_items else 0.0
    return Reach(share, gini_of(counts_N, num_items))
