"""What do the lists reach: how much of the catalogue, how evenly, how popular it is, and how far they are the model's own?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import ITEM_ID, SOURCE, USER_ID
from bowerbird.evaluation import metrics
from bowerbird.evaluation.behaviour.check import Finding, check
from bowerbird.evaluation.behaviour.context import Context
from bowerbird.models.base import FALLBACK


@check()
def knows_the_log(context: Context, *, min_known: float = 0.99) -> Finding:
    """The model was fitted on all events before the window.

    events with a weight above 0 that the model holds / such events before the window.
    """
    known, all_events = len(context.model.data.evidence()), len(context.histories.evidence())
    share = known / max(all_events, 1)
    found = f"it was trained on {known:,} of the {all_events:,} events before the window ({share:.0%})"
    asked = f"it was trained on at least {min_known:.0%} of the events before the window"
    return Finding(asked, found, share >= min_known, share)


@check()
def own_items(context: Context, *, max_fallback: float = 0.9) -> Finding:
    """Users with a history get what the model has chosen for them, not what popularity fills in.

    places of users with a history whose source is fallback / all of their places.
    """
    has_history = context.lists[USER_ID].isin(context.histories.user_ids[np.unique(context.histories.users)])
    sources = context.lists.loc[has_history, SOURCE]
    asked = f"popularity fills at most {max_fallback:.0%} of the places of users with a history"
    if not len(sources):
        return Finding(asked, "no user of the window has a history", None)
    share = float((sources == FALLBACK).mean())
    found = f"popularity fills {share:.1%} of the places of users with a history"
    return Finding(asked, found, share <= max_fallback, share)


@check(severity="show")
def coverage(context: Context, *, min_coverage: float = 0.01) -> Finding:
    """The lists reach more than a few items.

    different items in the lists / min(items that may be recommended, places). Ge et al., RecSys 2010; over the places, where they
    are fewer than the items, since more could not be reached.
    """
    reached, most = context.lists[ITEM_ID].nunique(), min(len(context.allowed), len(context.lists))
    share = reached / max(most, 1)
    found = f"its {len(context.lists):,} places hold {reached:,} different items ({share:.1%} of what they could)"
    asked = f"the lists hold at least {min_coverage:.1%} of the different items that they could"
    return Finding(asked, found, share >= min_coverage, share)


@check(severity="show")
def gini(context: Context, *, max_gini: float = 0.999) -> Finding:
    """The places do not all go to the same items.

    Gini coefficient of how often each item that may be recommended is listed (``metrics.gini``): 0 all alike, near 1 one item.
    """
    value = metrics.gini(context.lists, len(context.allowed), k=context.k)
    found = f"the Gini coefficient of its places over items is {value:.4f}"
    return Finding(f"the Gini coefficient of places over items is at most {max_gini:g}", found, value <= max_gini, value)


@check()
def alike(context: Context, *, max_alike: float = 0.9) -> Finding:
    """Different users get different lists.

    mean over users u, each with another v that is drawn, of |L(u) & L(v)| / min(|L(u)|, |L(v)|), where a list L is less what is
    withheld from the other user; so 1 where all get the best of one order. Inter-user diversity; Zhou et al., PNAS 2010.
    """
    asked = f"two users' lists have at most {max_alike:.0%} in common"
    if not context.model.is_personal:
        return Finding(asked, "the model gives everybody the same on purpose", None)
    if len(context.allowed) <= 2 * context.k:
        return Finding(asked, "there are too few items to tell lists apart", None)
    share = _in_common(context)
    if share is None:
        return Finding(asked, "no two users could be shown the same", None)
    return Finding(asked, f"two users' lists have {share:.1%} in common, whatever the users have done", share <= max_alike, share)


@check(severity="show")
def popularity_bias(context: Context, *, max_lift: float = 5.0) -> Finding:
    """The lists are not far more popular than what people choose.

    mean popularity of the places / mean popularity of the users' own past items; an item's popularity is the share of users who
    have chosen it. Popularity lift; Abdollahpouri et al., "The unfairness of popularity bias in recommendation", 2019.
    """
    own = context.history_of(context.users).evidence()
    asked = f"listed items are at most {max_lift:g} times as popular as those of the users' histories"
    if not len(own) or not len(context.own_lists):
        return Finding(asked, "no user of the window has a list of the model's own and a history", None)
    codes = context.codes(context.own_lists[ITEM_ID])
    listed = float(np.where(codes >= 0, context.popularity_N[codes], 0).mean())
    past = float(context.popularity_N[own.items].mean())
    lift = listed / past
    found = f"listed items are {lift:.2g} times as popular as those of the users' histories: {listed:.1%} and {past:.1%} of users"
    return Finding(asked, found, lift <= max_lift, lift)


def _in_common(context: Context) -> float | None:
    """Compare the list of each user with a history with that of the next in a drawn circle; None without a pair."""
    lists = context.own_lists[[USER_ID, ITEM_ID]]
    circle = np.random.default_rng(context.seed).permutation(np.asarray(sorted(lists[USER_ID].unique()), object))
    listed, withheld = (pd.MultiIndex.from_frame(frame) for frame in (lists, context.withheld_pairs))
    to_next, to_last = (_given_to(lists, circle, np.roll(circle, step)) for step in (-1, 1))
    num_common = _counted(lists[to_next.isin(listed)], circle)
    num_open, num_open_to_last = (_counted(lists[~pairs.isin(withheld)], circle) for pairs in (to_next, to_last))
    least = np.minimum(num_open, np.roll(num_open_to_last, -1))
    is_pair = least > 0
    return float((num_common[is_pair] / least[is_pair]).mean()) if len(circle) > 1 and is_pair.any() else None


def _given_to(lists: pd.DataFrame, users: NDArray[Any], others: NDArray[Any]) -> pd.MultiIndex:  # Any: ids are texts or numbers
    """Return the pairs that there would be if each user's list were another's."""
    other = lists[USER_ID].map(dict(zip(users, others, strict=True)))
    return pd.MultiIndex.from_arrays([other, lists[ITEM_ID]])


def _counted(lists: pd.DataFrame, users: NDArray[Any]) -> NDArray[np.int64]:  # Any: ids are texts or numbers
    """Count the places of each user."""
    return np.asarray(lists.groupby(USER_ID).size().reindex(users, fill_value=0), np.int64)
