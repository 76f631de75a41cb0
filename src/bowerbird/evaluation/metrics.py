"""Metrics of recommendation lists: accuracy for each user, and what the lists together reach.

Every formula stands, with a row worked by hand, in docs/reference/metrics.md.
Shapes: U users with targets, H hits, N items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import IS_REPEAT, ITEM_ID, RANK, USER_ID
from bowerbird.errors import DataError, did_you_mean
from bowerbird.evaluation.matching import EMPTY, Matches, Table, match, paired_tables

Values = NDArray[np.float64]
PERSISTENCE = 0.9
"""Of rank-biased overlap: 86 % of the weight is on the first ten places."""


def ndcg(matches: Matches) -> Values:
    """Discounted gain of the hits, gain / log2(rank + 1), over that of the best list, min(k, targets) hits; [U].

    A hit's gain is 1 where nothing else is told (Järvelin and Kekäläinen, 2002, with the discount from the second place on).
    """
    discounts = 1 / np.log2(np.arange(2, matches.k + 2))
    counts_U, hit_gains = matches.num_targets, matches.hit_gains
    if matches.target_gains is None or hit_gains is None:
        best = np.cumsum(discounts)[np.minimum(counts_U, matches.k) - 1]
        values: Values = matches.sum_by_user(discounts[matches.hit_places]) / best
        return values
    users_T = matches.target_users
    gains_T = matches.target_gains[np.lexsort((-matches.target_gains, users_T))]  # of each user the largest first
    places_T = np.arange(len(users_T)) - (np.cumsum(counts_U) - counts_U)[users_T]
    is_listed_T = places_T < matches.k
    earned_T = discounts[places_T[is_listed_T]] * gains_T[is_listed_T]
    best = np.bincount(users_T[is_listed_T], earned_T, minlength=len(counts_U))
    return matches.sum_by_user(discounts[matches.hit_places] * hit_gains) / best


def recall(matches: Matches) -> Values:
    """Hits over all targets of the user, even where those are more than k; [U]."""
    return matches.num_hits / matches.num_targets


def precision(matches: Matches) -> Values:
    """Hits over k, even where the list is shorter; [U]."""
    return matches.num_hits / matches.k


def mrr(matches: Matches) -> Values:
    """One over the rank of the first hit, 0 without a hit; [U]."""
    num_hits = matches.num_hits
    values = np.zeros(len(num_hits))
    first = (np.cumsum(num_hits) - num_hits)[num_hits > 0]
    values[num_hits > 0] = 1 / (matches.hit_places[first] + 1)
    return values


def r_precision(matches: Matches) -> Values:
    """Hits in the first R places over R, the user's number of targets; places beyond k hold none; [U]."""
    is_early = matches.hit_places < matches.num_targets[matches.hit_users]
    return matches.sum_by_user(is_early.astype(np.float64)) / matches.num_targets


def average_precision(matches: Matches) -> Values:
    """Sum over the hits of (hits up to it / its rank), over min(k, targets); [U]."""
    num_hits = matches.num_hits
    before = np.cumsum(num_hits) - num_hits
    ordinal = np.arange(len(matches.hit_users)) - before[matches.hit_users] + 1
    precisions = matches.sum_by_user(ordinal / (matches.hit_places + 1))
    return precisions / np.minimum(matches.num_targets, matches.k)


def hit_rate(matches: Matches) -> Values:
    """1 where the list holds a target, else 0; [U]."""
    return (matches.num_hits > 0).astype(np.float64)


METRICS: dict[str, Callable[[Matches], Values]] = {
    "ndcg": ndcg,
    "recall": recall,
    "precision": precision,
    "mrr": mrr,
    "map": average_precision,
    "hit_rate": hit_rate,
    "r_precision": r_precision,
}


def per_user_metrics(
    lists: pd.DataFrame, targets: pd.DataFrame, *, k: int, metrics: Sequence[str] = tuple(METRICS)
) -> pd.DataFrame:
    """Score each user's list against his targets.

    Parameters
    ----------
    lists : DataFrame
        ``user_id, item_id, rank`` (from 1). Users without targets are left out.
    targets : DataFrame
        ``user_id, item_id`` and optionally ``gain``, which NDCG reads; distinct pairs count.
    k : int
        Places of a list that count.
    metrics : sequence of names in ``METRICS``

    Returns
    -------
    DataFrame
        One row for each user of ``targets``, index ``user_id`` ascending, a column for each metric, from 0 to 1. A user
        without a list has 0 everywhere.

    Raises
    ------
    DataError
        For an unknown metric, and for what ``match`` refuses.
    """
    return score_matches(match(lists, targets, k=k), metrics=metrics)


def score_matches(matches: Matches, *, metrics: Sequence[str] = tuple(METRICS)) -> pd.DataFrame:
    """Turn a match into what ``per_user_metrics`` returns."""
    for name in metrics:
        if name not in METRICS:
            raise DataError(
                f"there is no metric {name!r}; known: {', '.join(METRICS)}" + did_you_mean(name, list(METRICS)),
                next_step="name one of these",
            )
    return pd.DataFrame({name: METRICS[name](matches) for name in metrics}, index=matches.user_ids)


def at_each_k(matches: Matches, *, ks: Sequence[int], metrics: Sequence[str] = tuple(METRICS)) -> pd.DataFrame:
    """Score one match at several k, none above its own; columns such as ``ndcg@5``. Raises DataError."""
    frames = [score_matches(matches.first(k), metrics=metrics).add_suffix(f"@{k}") for k in ks]
    return pd.concat([pd.DataFrame(index=matches.user_ids), *frames], axis=1)


def by_repeat(
    lists: pd.DataFrame, targets: pd.DataFrame, *, k: int, metrics: Sequence[str] = ("ndcg",)
) -> dict[str, pd.DataFrame]:
    """Score repeat targets and novel targets apart: ``{"repeat": ..., "novel": ...}``.

    ``targets`` carries ``is_repeat``. The lists stay as they are; each frame has the users who have such targets.
    """
    is_repeat = targets[IS_REPEAT].to_numpy(bool)
    sides = {"repeat": targets[is_repeat], "novel": targets[~is_repeat]}
    return {side: per_user_metrics(lists, pairs, k=k, metrics=metrics) for side, pairs in sides.items()}


def pool_windows(windows: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Average each user over the windows in which he has targets, so that one row is one independent user."""
    if len(windows) == 1:
        return windows[0]
    return pd.concat(windows).groupby(level=0, sort=True).mean()


def coverage(lists: pd.DataFrame, num_items: int, *, k: int) -> float:
    """Share of the catalogue's ``num_items`` that stands in the first k places of any list."""
    return float(_first(lists, k).nunique() / num_items) if num_items else 0.0


def gini(lists: pd.DataFrame, num_items: int, *, k: int) -> float:
    """How unevenly the first k places fall on the catalogue: 0 all alike, 1 - 1/N one item only; 0 without lists.

    sum over items in rising order of count of (2 i - N - 1) x_i / (N sum x), i from 1; items that no list has count 0.
    """
    return gini_of(_first(lists, k).value_counts().to_numpy(), num_items)


def gini_of(counts: NDArray[np.integer[Any]], num_items: int) -> float:
    """Return ``gini`` of how often each item is listed (Any: of whole numbers any size); items without a count have 0."""
    counts = np.sort(counts[counts > 0])
    if not len(counts):
        return 0.0
    places = np.arange(num_items - len(counts) + 1, num_items + 1)
    return float(((2 * places - num_items - 1) * counts).sum() / (num_items * counts.sum()))


def overlap(lists: pd.DataFrame, others: pd.DataFrame, *, k: int) -> float | None:
    """Mean share of a list that stands in the user's other list too, over the users who have both; None without such.

    A user's share is the number of common items over the length of his longer list, both cut at k.
    """
    users, ours_UK, theirs_UK = paired_tables(lists, others, k=k)
    if not len(users):
        return None
    longer = np.maximum((ours_UK != EMPTY).sum(axis=1), (theirs_UK != EMPTY).sum(axis=1))
    return float((_common_UK(ours_UK, theirs_UK)[:, -1] / longer).mean())


def rank_biased_overlap(
    lists: pd.DataFrame, others: pd.DataFrame, *, k: int, persistence: float = PERSISTENCE
) -> pd.Series[Any]:  # Any: pandas leaves the type of a series open
    """How far two rankings agree, early places before late ones; one value for each user who has both, by ``user_id``.

    The extrapolated RBO of Webber, Moffat and Zobel, A similarity measure for indefinite rankings, 2010, equation 32: at every
    depth the share of common items, weighed by ``persistence`` to the power of the depth, and going on beyond the lists' ends
    as it was there. 1 for equal lists, 0 for lists without a common item. An item may stand once in a list.
    """
    users, ours_UK, theirs_UK = paired_tables(lists, others, k=k)
    if not len(users):
        return pd.Series(dtype=np.float64, index=pd.Index(users, name=USER_ID))
    lengths_2U = np.sort([(table_UK != EMPTY).sum(axis=1) for table_UK in (ours_UK, theirs_UK)], axis=0)
    depths_K = np.arange(1, k + 1)
    weights_K = persistence**depths_K
    common_UK = _common_UK(ours_UK, theirs_UK)
    (short_U, long_U), (at_short_U, at_long_U) = lengths_2U, (_at(common_UK, lengths_U) for lengths_U in lengths_2U)
    seen_U = np.where(depths_K <= long_U[:, None], common_UK * (weights_K / depths_K), 0).sum(axis=1)
    is_between_UK = (depths_K > short_U[:, None]) & (depths_K <= long_U[:, None])
    missing_UK = (depths_K - short_U[:, None]) / (short_U[:, None] * depths_K) * weights_K
    assumed_U = at_short_U * np.where(is_between_UK, missing_UK, 0).sum(axis=1)
    beyond_U = ((at_long_U - at_short_U) / long_U + at_short_U / short_U) * persistence**long_U
    values_U = (1 - persistence) / persistence * (seen_U + assumed_U) + beyond_U
    return pd.Series(values_U, index=pd.Index(users, name=USER_ID)).sort_index()


def _common_UK(ours_UK: Table, theirs_UK: Table) -> NDArray[np.int64]:
    """Count the items that the first 1, 2, ... K places of both lists have in common; [U, K]."""
    ours_KU, theirs_KU = (
        np.ascontiguousarray(np.where(table != EMPTY, table, other).T) for table, other in ((ours_UK, -1), (theirs_UK, -2))
    )
    new_KU = np.empty(ours_KU.shape, np.int64)
    for place in range(len(ours_KU)):  # what comes to be common at this depth: its own two items, met by one at or above
        new_KU[place] = (ours_KU[place] == theirs_KU[: place + 1]).sum(axis=0) + (theirs_KU[place] == ours_KU[:place]).sum(axis=0)
    common: NDArray[np.int64] = np.cumsum(new_KU, axis=0).T
    return common


def _at(common_UK: NDArray[np.int64], lengths_U: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many items are common at a user's own depth; [U]."""
    return np.take_along_axis(common_UK, lengths_U[:, None] - 1, axis=1)[:, 0]


def _first(lists: pd.DataFrame, k: int) -> pd.Series[Any]:  # Any: ids are texts or numbers
    """The items in the first k places."""
    is_first = lists[RANK].to_numpy() <= k
    return lists[ITEM_ID] if is_first.all() else lists.loc[is_first, ITEM_ID]
