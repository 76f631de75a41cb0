"""How wrong are the misses: how far from what was chosen, for whom, of which items, at which price?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import ITEM_ID, PRICE, USER_ID
from bowerbird.evaluation.behaviour.check import Finding, check
from bowerbird.evaluation.behaviour.context import Context

MIN_USERS, MIN_GROUP = 100, 20
GROUPS = ("low", "middle", "high")


@check()
def less_wrong(context: Context, *, min_nearer: float = 0.5) -> Finding:
    """What is recommended and missed is nearer to what the user chose than a random item is.

    share of misses i, with a target t of their user and a random item r, for which cos(i, t) > cos(r, t), equals counting half;
    0.5 is chance. The lower end of its 95 % interval must lie above the bound; the interval is clustered by user and by item i
    (Cameron, Gelbach and Miller, 2011), since a few items may stand in all lists. "Being less wrong" of Tagliabue et al. 2022, in
    the space of who chose what, which is not the nominee's own.
    """
    asked = (
        f"misses are nearer to the chosen item than random items are in more than {min_nearer:.0%} of comparisons (95 % interval)"
    )
    misses = context.misses
    target_P = context.codes(misses["target"])
    near_P, far_P = (context.space.similarity(context.codes(misses[name]), target_P) for name in (ITEM_ID, "other"))
    wins = misses.assign(wins=(near_P > far_P) + 0.5 * (near_P == far_P))[target_P >= 0]
    num_users = wins[USER_ID].nunique()
    if num_users < MIN_USERS:
        return Finding(asked, f"{num_users} users are too few to judge, {MIN_USERS} are asked", None)
    mean, error = float(wins["wins"].mean()), _two_way_error(wins)
    low, high = mean - 1.96 * error, mean + 1.96 * error
    found = f"its misses are nearer to what users chose than random items in {mean:.1%} of comparisons ({low:.1%} to {high:.1%})"
    if low <= min_nearer:
        found = f"its lists are no better than shuffled: {found}"
    return Finding(asked, found, low > min_nearer, mean)


@check(severity="show")
def miss_rate_by_activity(context: Context, *, max_miss_gap: float = 0.2) -> Finding:
    """Users with short and with long histories are missed alike.

    mean over three groups of users, by number of past events, of |miss rate of the group - miss rate of all|; a miss is a list
    without a target. Miss rate equality difference; Tagliabue et al., "EvalRS: a rounded evaluation of RecSys", 2022.
    """
    hits = context.lists.merge(context.targets[[USER_ID, ITEM_ID]], on=[USER_ID, ITEM_ID])
    is_miss = ~np.isin(context.users, hits[USER_ID].unique())
    codes = context.histories.user_index.get_indexer(pd.Index(context.users))
    lengths = np.diff(context.histories.indptr)
    num_events = np.where(codes >= 0, lengths[codes], 0) if len(lengths) else np.zeros(len(codes))
    return _equality(is_miss, num_events, "users with short, middle and long histories", max_miss_gap)


@check(severity="show")
def miss_rate_by_popularity(context: Context, *, max_miss_gap_of_items: float = 0.2) -> Finding:
    """Rare and popular items are found alike, where they are what a user chose.

    as for users, over three groups of the targets by the popularity of the item; a miss is a target that is not in the list.
    """
    targets = context.targets[[USER_ID, ITEM_ID]].drop_duplicates()
    found = targets.merge(context.lists[[USER_ID, ITEM_ID]], on=[USER_ID, ITEM_ID], how="left", indicator="found")["found"]
    codes = context.codes(targets[ITEM_ID])
    popularity = np.where(codes >= 0, context.popularity_N[codes], 0)
    return _equality((found == "left_only").to_numpy(), popularity, "rare, middling and popular targets", max_miss_gap_of_items)


@check(severity="show")
def price_homogeneity(context: Context) -> Finding:
    """What is recommended and missed costs about what the chosen item costs.

    mean of |log10(price of the miss / price of the target)|, at most what random items in the place of the misses give. RecList's
    price homogeneity.
    """
    asked = "prices of misses are nearer to those of the chosen items than prices of random items are"
    if context.items is None or PRICE not in context.items or not len(context.misses):
        return Finding(asked, "items have no price", None)
    price = pd.to_numeric(context.items.set_index(ITEM_ID)[PRICE], errors="coerce")
    price = price[price > 0]
    logs = pd.DataFrame({name: np.log10(context.misses[name].map(price)) for name in (ITEM_ID, "target", "other")}).dropna()
    if not len(logs):
        return Finding(asked, "items have no price", None)
    gap, by_chance = (float((logs[name] - logs["target"]).abs().mean()) for name in (ITEM_ID, "other"))
    found = f"misses cost {10**gap:.2f} times as much or as little as the chosen item; random items {10**by_chance:.2f} times"
    return Finding(asked, found, gap <= by_chance, gap)


def _two_way_error(wins: pd.DataFrame) -> float:
    """Return the standard error of the mean, clustered by user and by item: users + items - both."""
    rest = wins["wins"] - wins["wins"].mean()
    sums = [rest.groupby(wins[key]).sum() for key in (USER_ID, ITEM_ID)]
    variance = sum(float((one**2).sum()) for one in sums) - float((rest**2).sum())
    return float(np.sqrt(max(variance, 0.0))) / len(rest)


def _equality(is_miss: NDArray[np.bool_], by: NDArray[np.float64], what: str, bound: float) -> Finding:
    """Compare the miss rates of three groups, cut where a third and two thirds of the values lie below."""
    asked = f"miss rates of {what} differ by at most {bound:g} from that of all, on average"
    group = np.searchsorted(np.quantile(by, [1 / 3, 2 / 3]), by) if len(by) else np.zeros(0, np.int64)
    groups = pd.Series(is_miss).groupby(group).agg(["mean", "size"])
    rates = groups.loc[groups["size"] >= MIN_GROUP, "mean"]
    if len(rates) < 2:
        return Finding(asked, "too few to compare groups", None)
    gap = float((rates - is_miss.mean()).abs().mean())
    found = f"miss rates of {what} are {', '.join(f'{rate:.1%}' for rate in rates)}; all: {is_miss.mean():.1%}"
    return Finding(asked, found, gap <= bound, gap)
