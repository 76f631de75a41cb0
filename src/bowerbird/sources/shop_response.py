"""How the simulated shop's users answer recommendations: the examination model of clicks (Richardson et al., WWW 2007).

P(click at position p) = P(look at p) * P(click | look), P(look at p) = p^-0.7, P(click | look) from the hidden tastes,
staples that are due, and what follows from the item seen last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from bowerbird.columns import CLICK, ITEM_ID, POSITION, PROPENSITY, RANK, TIMESTAMP, USER_ID
from bowerbird.errors import DataError
from bowerbird.sources.shop_world import FOLLOW_WEIGHTS, Codes, Floats, liking

if TYPE_CHECKING:
    from bowerbird.sources.shop import Shop

LOOK_EXPONENT: Final = 0.7
ORDER: Final = "order"


def attraction(shop: Shop, user: Codes, item: Codes) -> Floats:
    """Return P(click | look) of pairs on the day after the last one, in [0, 0.75]; 0 for what cannot be bought."""
    items, users, day = shop.item_world, shop.user_world, shop.config.days
    suits = liking(items, users, user, item)
    is_staple = users.staples[user] == item[:, None]
    due = (is_staple & users.due(user, day)).any(axis=1)
    last = shop.last_items[user]
    follows = (items.follows[last] == item[:, None]) @ (FOLLOW_WEIGHTS / FOLLOW_WEIGHTS[0]) * (last >= 0)
    fame = np.clip(1 + np.log10(items.popularity[item] / items.popularity.max()) / 3, 0, 1)
    look = (
        0.01 + 0.22 * suits**1.5 + 0.06 * suits * fame + 0.25 * np.minimum(follows, 1) + 0.2 * is_staple.any(axis=1) + 0.2 * due
    )
    is_open = (items.first_day[item] <= day) & (day < items.last_day[item])
    clicks: Floats = np.minimum(look, 0.75) * is_open
    return clicks


def respond(shop: Shop, lists: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """See ``Shop.respond``."""
    if RANK not in lists:
        raise DataError(f"the lists have no column {RANK!r}", next_step="give user_id, item_id and rank")
    if len(lists) and lists[RANK].min() < 1:
        raise DataError(f"the lists hold the rank {lists[RANK].min()}", next_step="count ranks from 1")
    shown = lists[[USER_ID, ITEM_ID, RANK]].sort_values([USER_ID, RANK, ITEM_ID], ignore_index=True)
    user, item = shop.codes_of(shown)
    propensity = shown[RANK].to_numpy(np.float64) ** -LOOK_EXPONENT
    chance = rng.random((3, len(shown)))
    click = (chance[0] < propensity) & (chance[1] < attraction(shop, user, item))
    order = click & (chance[2] < 0.08 + 0.4 * liking(shop.item_world, shop.user_world, user, item))
    # One visit a user, so one time a user.
    second = rng.integers(6 * 3600, 22 * 3600, shop.config.users)[user]
    visit = pd.Timestamp(shop.start, tz="UTC") + pd.Timedelta(days=shop.config.days) + pd.to_timedelta(second, unit="s")
    return pd.DataFrame(
        {
            USER_ID: shown[USER_ID],
            ITEM_ID: shown[ITEM_ID],
            POSITION: shown[RANK].astype(np.int32),
            TIMESTAMP: visit,
            CLICK: click.astype(np.int8),
            ORDER: order.astype(np.int8),
            PROPENSITY: propensity,
        }
    )
