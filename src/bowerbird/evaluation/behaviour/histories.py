"""Do odd histories get sound lists, too: none at all, one item, ten thousand events, items that nobody knows?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from bowerbird.columns import ITEM_ID, SCORE, USER_ID
from bowerbird.data.interactions import Ids
from bowerbird.evaluation.behaviour.check import Finding, check
from bowerbird.evaluation.behaviour.context import Context, strangers

NUM_STRANGERS = 20
VERY_LONG = 10_000


@check()
def empty_history(context: Context) -> Finding:
    """A user without any history gets a sound list."""
    return _judged(context, "a user without history", context.recommend(strangers(1)), [])


@check()
def one_item_history(context: Context) -> Finding:
    """A user with one event gets a sound list: twenty of them, each with an item of his own."""
    rng = np.random.default_rng(context.seed)
    items = rng.choice(context.histories.item_ids, NUM_STRANGERS)
    return _judged(context, "a user with one event", context.lists_after(strangers(NUM_STRANGERS), items), items[:1])


@check()
def very_long_history(context: Context) -> Finding:
    """A user with 10,000 events, on half of all items, gets a sound list."""
    rng = np.random.default_rng(context.seed)
    known = context.histories.item_ids
    items = rng.choice(rng.choice(known, (len(known) + 1) // 2, replace=False), VERY_LONG)
    return _judged(context, f"a user with {VERY_LONG:,} events", context.lists_after(strangers(1) * VERY_LONG, items), items)


@check()
def unknown_history(context: Context) -> Finding:
    """A user whose only event is on an item that nobody knows gets a sound list."""
    items = np.asarray(["an item that nobody knows"], object)
    return _judged(context, "a user of an unknown item", context.lists_after(strangers(1), items), items)


def _judged(context: Context, who: str, lists: pd.DataFrame, history: Ids | list[str]) -> Finding:
    """Ask for lists of k different items, or of all that the history may leave, with finite scores."""
    due = min(context.k, int((~pd.Index(context.allowed).isin(history)).sum()))
    asked = f"{who} gets at least {due} different items with finite scores"
    sizes = lists.groupby(USER_ID)[ITEM_ID].nunique()
    shortest = int(sizes.min()) if len(sizes) else 0
    num_bad = int((~np.isfinite(lists[SCORE])).sum()) + int(lists.duplicated([USER_ID, ITEM_ID]).sum())
    passed = num_bad == 0 and (shortest >= due or context.has_quotas)
    return Finding(asked, f"{who} gets {shortest} different items, and {num_bad} places are wrong", passed)
