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

from bowerbird.columns import IS_REPEAT, ITEM_ID, RANK
from bowerbird.errors import DataError, did_you_mean
from bowerbird.evaluation.matching import EMPTY, Matches, match, paired_tables

Values = NDArray[np.float64]


def ndcg(matches: Matches) -> Values:
    """Discounted gain 1 / log2(rank + 1) of the hits over that of the best list, min(k, targets) hits; [U]."""
    discounts = 1 / np.log2(np.arange(2, matches.k + 2))
    best = np.cumsum(discounts)[np.minimum(matches.num_targets, matches.k) - 1]
    values: Values = matches.sum_by_user(discounts[matches.hit_places]) / best
    return values


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
        ``user_id, item_id``; distinct pairs count.
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
    for name in metrics:
        if name not in METRICS:
            raise DataError(
                f"there is no metric {name!r}; known: {', '.join(METRICS)}" + did_you_mean(name, list(METRICS)),
                next_step="name one of these",
            )
    matches = match(lists, targets, k=k)
    return pd.DataFrame({name: METRICS[name](matches) for name in metrics}, index=matches.user_ids)


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


def novelty(lists: pd.DataFrame, item_popularity: pd.Series[Any], *, k: int) -> float:  # Any: ids are texts or numbers
    """Mean self-information -log2 p in bits over the first k places of all lists; 0 without lists or events.

    ``item_popularity`` gives events (or their weights) by item id; p is an item's share of all. An item without events is
    given the smallest count above 0.
    """
    places = _first(lists, k).value_counts()
    positive = item_popularity[item_popularity > 0]
    if not len(places) or not len(positive):
        return 0.0
    counts = positive.reindex(places.index).fillna(positive.min()).to_numpy(np.float64)
    return float(np.average(-np.log2(counts / float(positive.sum())), weights=places.to_numpy(np.float64)))


def gini(lists: pd.DataFrame, num_items: int, *, k: int) -> float:
    """How unevenly the first k places fall on the catalogue: 0 all alike, 1 - 1/N one item only; 0 without lists.

    sum over items in rising order of count of (2 i - N - 1) x_i / (N sum x), i from 1; items that no list has count 0.
    """
    counts = np.sort(_first(lists, k).value_counts().to_numpy(np.float64))
    if not len(counts):
        return 0.0
    places = np.arange(num_items - len(counts) + 1, num_items + 1)
    return float(((2 * places - num_items - 1) * counts).sum() / (num_items * counts.sum()))


def overlap(lists: pd.DataFrame, others: pd.DataFrame, *, k: int) -> float | None:
    """Mean share of a list that stands in the user's other list too, over the users who have both; None without such.

    A user's share is the number of common items over the length of his longer list, both cut at k.
    """
    ours_UK, theirs_UK = paired_tables(lists, others, k=k)
    if not len(ours_UK):
        return None
    num_common = np.zeros(len(ours_UK), np.int64)
    for place in range(k):
        theirs_U1 = theirs_UK[:, place, None]
        num_common += ((ours_UK == theirs_U1) & (theirs_U1 != EMPTY)).any(axis=1)
    longer = np.maximum((ours_UK != EMPTY).sum(axis=1), (theirs_UK != EMPTY).sum(axis=1))
    return float((num_common / longer).mean())


def _first(lists: pd.DataFrame, k: int) -> pd.Series[Any]:  # Any: ids are texts or numbers
    """The items in the first k places."""
    is_first = lists[RANK].to_numpy() <= k
    return lists[ITEM_ID] if is_first.all() else lists.loc[is_first, ITEM_ID]
