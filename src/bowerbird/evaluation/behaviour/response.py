"""How do lists respond to a changed history: to a last item that is hardly another, and to one of two complements?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from bowerbird.columns import ITEM_ID, RANK, USER_ID
from bowerbird.evaluation import metrics
from bowerbird.evaluation.behaviour.check import Finding, check
from bowerbird.evaluation.behaviour.context import Context, strangers, with_items

NUM_PERTURBED, NUM_PAIRS = 200, 100
MIN_USERS = 20


@check()
def perturbation(context: Context, *, min_overlap: float = 0.1) -> Finding:
    """A list stays much the same where the last item of the history is swapped for its nearest neighbour.

    mean share of a list that stays. The neighbour is the item with the greatest cosine over users. RecList's perturbation test.
    """
    asked = f"with the last item swapped for its nearest neighbour, lists keep at least {min_overlap:.0%} of their items"
    history = context.history_of(context.users[:NUM_PERTURBED]).evidence()
    last = np.flatnonzero(np.append(history.users[1:] != history.users[:-1], True)) if len(history) else np.zeros(0, np.int64)
    nearest = context.space.nearest(history.items[last].astype(np.int64))
    last, nearest = last[nearest >= 0], nearest[nearest >= 0]
    if len(last) < MIN_USERS:
        return Finding(asked, f"{len(last)} users have an item with a neighbour, {MIN_USERS} are asked", None)
    users = history.user_ids[history.users[last]].tolist()
    before, after = (context.recommend(users, history=one) for one in (history, with_items(history, last, nearest)))
    kept = metrics.overlap(before, after, k=context.k) or 0.0
    found = f"with the last item swapped for its nearest neighbour, lists keep {kept:.1%} of their items"
    return Finding(asked, found, kept >= min_overlap, kept)


@check(severity="show")
def complement_asymmetry(context: Context, *, max_returned: float | None = None) -> Finding:
    """Who buys a printer is shown ink; who buys ink needs no printer.

    of items A drawn from the lists and what is recommended first after A alone, B: the share of B whose own list holds A. Nothing
    in a log says which pairs should go one way, so without a bound it is not judged. RecList's complement asymmetry.
    """
    asked = "recommended pairs that go both ways are counted"
    if max_returned is not None:
        asked = f"at most {max_returned:.0%} of recommended pairs go both ways"
    drawn = np.random.default_rng(context.seed).permutation(np.sort(context.lists[ITEM_ID].unique()))[:NUM_PAIRS]
    bought = pd.Series(drawn, strangers(len(drawn)))
    after = context.lists_after(bought.index.tolist(), drawn)
    first = after[after[ITEM_ID] != after[USER_ID].map(bought)].sort_values(RANK).groupby(USER_ID)[ITEM_ID].first()
    if not len(first):
        return Finding(asked, "no item is recommended after another", None)
    back = context.lists_after(first.index.tolist(), first.to_numpy())
    share = float((back[ITEM_ID] == back[USER_ID].map(bought)).groupby(back[USER_ID]).any().mean())
    found = f"of {len(first)} pairs where B is recommended first after A, {share:.1%} have A among what is recommended after B"
    return Finding(asked, found, None if max_returned is None else share <= max_returned, share)
