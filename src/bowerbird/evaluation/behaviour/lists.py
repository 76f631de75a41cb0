"""Are the lists sound: full, each item once, in order, with numbers for scores, and the same when asked again?"""

from __future__ import annotations

import numpy as np

from bowerbird.columns import ITEM_ID, RANK, SCORE, SOURCE, USER_ID
from bowerbird.evaluation.behaviour.check import Finding, check
from bowerbird.evaluation.behaviour.context import Context


@check()
def full(context: Context) -> Finding:
    """Every list is full.

    length(u) >= min(k, allowed items - items of u's history that are withheld). Not judged where quotas may leave lists short.
    """
    asked = f"every list has {context.k} items, or all that are left for its user"
    if context.has_quotas:
        return Finding(asked, "quotas may leave lists short", None)
    short = _num_short(context)
    return Finding(asked, _told(short, len(context.users), "are short of items"), short == 0, short)


@check()
def unique(context: Context) -> Finding:
    """No list holds an item twice, and its ranks count from 1 without gaps."""
    lists = context.lists
    sizes = lists.groupby(USER_ID).agg(
        rows=(RANK, "size"), items=(ITEM_ID, "nunique"), ranks=(RANK, "nunique"), first=(RANK, "min"), last=(RANK, "max")
    )
    is_sound = (sizes["rows"] == sizes["items"]) & (sizes["rows"] == sizes["ranks"])
    is_sound &= (sizes["first"] == 1) & (sizes["last"] == sizes["rows"])
    broken = int((~is_sound).sum())
    asked = "every list holds different items at the ranks 1, 2, 3 ..."
    return Finding(asked, _told(broken, len(sizes), "hold an item twice or lack a rank"), broken == 0, broken)


@check()
def falling(context: Context) -> Finding:
    """Scores fall from rank to rank, within one user and source; not judged where rules reorder."""
    asked = "scores fall from rank to rank"
    if context.reorders:
        return Finding(asked, "the recipe's rules reorder the lists", None)
    lists = context.lists.sort_values([USER_ID, SOURCE, RANK])
    is_same = (lists[[USER_ID, SOURCE]] == lists[[USER_ID, SOURCE]].shift()).all(axis=1)
    rises = is_same & (lists[SCORE].diff() > 0)
    broken = int(lists.loc[rises, USER_ID].nunique())
    return Finding(asked, _told(broken, len(context.users), "are out of order"), broken == 0, broken)


@check()
def finite(context: Context) -> Finding:
    """Every score is a finite number."""
    broken = int(context.lists.loc[~np.isfinite(context.lists[SCORE]), USER_ID].nunique())
    return Finding(
        "every score is a finite number", _told(broken, len(context.users), "hold a score that is none"), broken == 0, broken
    )


@check()
def deterministic(context: Context, *, max_changed: float = 0.01) -> Finding:
    """The same question gets the same list, whoever else asks.

    share of users whose items or their order change when all are asked again in reversed order. Sums over a batch may differ in
    the last bits and so turn equals around, hence the bound.
    """
    again = context.recommend(context.users[::-1])
    columns = [USER_ID, RANK, ITEM_ID]
    first, second = (frame[columns].sort_values(columns).reset_index(drop=True) for frame in (context.lists, again))
    both = first.merge(second, on=columns, how="outer", indicator="found")
    changed = both.loc[both["found"] != "both", USER_ID].nunique() / max(len(context.users), 1)
    asked = f"asked again, at most {max_changed:.1%} of the lists change"
    return Finding(asked, f"{changed:.1%} of the lists change when the same users ask again", changed <= max_changed, changed)


def _num_short(context: Context) -> int:
    """Count the users whose list is shorter than it could be."""
    pairs = context.withheld_pairs
    withheld = pairs[pairs[ITEM_ID].isin(context.allowed)].groupby(USER_ID).size()
    due = np.minimum(context.k, len(context.allowed) - withheld.reindex(context.users, fill_value=0).to_numpy())
    return int((context.lists.groupby(USER_ID).size().reindex(context.users, fill_value=0).to_numpy() < due).sum())


def _told(broken: int, num_users: int, how: str) -> str:
    return f"{broken:,} of {num_users:,} lists {how}"
