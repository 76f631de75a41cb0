"""The logs that classical models are measured on: one row a user and item, codes from 0, the last event of a user held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

GROUPS = 64  # tastes of the made-up log


def movielens(data: Path) -> pd.DataFrame:
    """Read MovieLens small: any rating is an event."""
    ratings = pd.read_csv(data / "ml-latest-small" / "ratings.csv")
    return ratings.rename(columns={"userId": "user", "movieId": "item"})[["user", "item", "timestamp"]]


def beauty(data: Path) -> pd.DataFrame:
    """Read Amazon Beauty: time is the place in the user's own history."""
    events = pd.read_parquet(data / "amazon-beauty" / "events.parquet")
    return pd.DataFrame({"user": events["user_id"], "item": events["item_id"], "timestamp": events["position"]})


def online_retail(data: Path) -> pd.DataFrame:
    """Read the first year of Online Retail: lines with a customer, a positive quantity and a price."""
    lines = pd.read_parquet(data / "online-retail" / "online_retail_II_2009-2010_full_columns.parquet")
    lines.columns = [name.replace(" ", "").lower() for name in lines.columns]
    lines = lines[lines["customerid"].notna() & (lines["quantity"] > 0) & (lines["price"] > 0)]
    seconds = pd.to_datetime(lines["invoicedate"]).astype("datetime64[s]").astype(np.int64)
    return pd.DataFrame({"user": lines["customerid"], "item": lines["stockcode"].astype(str), "timestamp": seconds})


def made_up(num_events: int, num_users: int, num_items: int, *, seed: int = 0) -> pd.DataFrame:
    """Make a log in which popularity and activity are skewed, and each user wants what is popular with two tastes."""
    rng = np.random.default_rng(seed)
    activity = np.exp(rng.normal(0, 1, num_users))
    popularity = np.exp(rng.normal(0, 1.5, num_items))
    liked_GN = popularity * np.exp(rng.normal(0, 1.5, (GROUPS, num_items)))
    ends_GN = np.cumsum(liked_GN, axis=1) / liked_GN.sum(axis=1, keepdims=True)
    tastes_U2 = rng.integers(0, GROUPS, (num_users, 2))
    pairs = np.zeros(0, np.int64)
    while len(pairs) < num_events:  # in the order of time: a pair drawn again is left out
        users = rng.choice(num_users, num_events, p=activity / activity.sum())
        tastes, draws, items = tastes_U2[users, rng.integers(0, 2, num_events)], rng.random(num_events), np.zeros(num_events, int)
        for taste in range(GROUPS):
            of_taste = tastes == taste
            items[of_taste] = np.searchsorted(ends_GN[taste], draws[of_taste]).clip(max=num_items - 1)
        pairs = pd.unique(np.concatenate([pairs, users * num_items + items]))
    users, items = np.divmod(pairs[:num_events], num_items)
    return pd.DataFrame({"user": users, "item": items, "timestamp": np.arange(num_events)})


def walks(num_users: int, num_items: int, mean_length: int, *, seed: int = 0) -> pd.DataFrame:
    """Make a log whose order says something: half of the steps go to one of eight successors of the item, the first oftenest.

    The other half is popular with the user's one taste of ``GROUPS``. Lengths are skewed; a successor may come from any taste.
    """
    rng = np.random.default_rng(seed)
    lengths_U = np.ceil(mean_length / np.exp(0.5) * np.exp(rng.normal(0, 1, num_users))).astype(int).clip(3, 10 * mean_length)
    liked_GN = np.exp(rng.normal(0, 1, num_items)) * np.exp(rng.normal(0, 1.5, (GROUPS, num_items)))
    ends_GN = (np.cumsum(liked_GN, axis=1) / liked_GN.sum(axis=1, keepdims=True) + np.arange(GROUPS)[:, None]).ravel()
    next_N8 = rng.integers(0, num_items, (num_items, 8))
    tastes_U, here_U, parts = rng.integers(0, GROUPS, num_users), np.zeros(num_users, int), []
    for step in range(lengths_U.max()):
        users = np.flatnonzero(lengths_U > step)
        drawn = np.searchsorted(ends_GN, tastes_U[users] + rng.random(len(users))) % num_items
        followed = next_N8[here_U[users], rng.geometric(0.4, len(users)).clip(max=8) - 1]
        here_U[users] = np.where((rng.random(len(users)) < 0.5) & (step > 0), followed, drawn)
        parts.append(pd.DataFrame({"user": users, "item": here_U[users], "timestamp": step}))
    return pd.concat(parts, ignore_index=True)


LOGS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "MovieLens small": movielens,
    "Amazon Beauty": beauty,
    "Online Retail": online_retail,
    "made up, 1 M": lambda data: made_up(1_000_000, 6_040, 3_416),
    "made up, 5 M": lambda data: made_up(5_000_000, 100_000, 20_000),
}


def split(raw: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series[Any]]:  # Any: item codes
    """Keep the first event of a pair, hold out the last of each user with three or more, and number what is left.

    Returns the events in the order of time, and the item held out by user; -1 for one without other events.
    """
    events = raw.sort_values("timestamp", kind="stable").drop_duplicates(["user", "item"], ignore_index=True)
    is_last = (events.groupby("user").cumcount(ascending=False) == 0) & (events.groupby("user")["user"].transform("size") >= 3)
    kept, held_out = events[~is_last].reset_index(drop=True), events[is_last]
    kept["user"], users = pd.factorize(kept["user"], sort=True)
    kept["item"], items = pd.factorize(kept["item"], sort=True)
    targets = pd.Series(pd.Index(items).get_indexer(held_out["item"]), pd.Index(users).get_indexer(held_out["user"]))
    return kept, targets.sort_index()
