"""How the simulated shop's users walk through it: one session a user and day at most, all sessions of a day in one go.

A session starts where staples are due, where the last session ended, at the popular items, or on a shelf that the user
likes. From each item it goes on to a follow-up (directed), after the cart to a complement, to popular items, to a
staple, to another shelf, or stays. What suits the user goes into the cart; most carts are paid; some purchases come back.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bowerbird.sources.shop_world import (
    FOLLOW_WEIGHTS,
    NUM_STYLES,
    STYLE_SHARES,
    TASTE_WEIGHTS,
    Codes,
    Floats,
    ItemWorld,
    UserWorld,
    cumulate,
    draw_items,
    liking,
)

VIEW, CART, PURCHASE, RETURN = range(4)
EVENTS: Final = ("view", "cart", "purchase", "return")
BLOCK: Final = 100_000
"""Sessions that are walked at once; bounds the memory."""
MAX_STEPS: Final = 40
DAY: Final = 86_400

FOLLOW, COMPLEMENT, POPULAR, STAPLE, SWITCH = 0.36, 0.45, 0.08, 0.04, 0.08
"""Chances of the next step; COMPLEMENT takes FOLLOW's place after the cart, what is left stays on the shelf."""
RESTOCK, CONTINUE, FRONT_PAGE = 0.12, 0.45, 0.12
"""Chances of how a session starts; what is left starts on a liked shelf."""
CAME_BACK_FOR_IT: Final = 0.35
"""Chance that a session that goes on from the last one puts its first item into the cart, whatever else speaks for it."""
CHECKOUT: Final = 0.72


@dataclass(frozen=True, eq=False)
class Events:
    """Events in order of time; ``session`` numbers them from 0, ``quantity`` is 0 for views, ``second`` since 1970."""

    user: Codes
    item: Codes
    event: NDArray[np.int8]
    second: NDArray[np.int64]
    session: NDArray[np.int64]
    quantity: Codes

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: NDArray[np.int64]) -> Events:
        """Return the events at ``rows``."""
        return Events(
            self.user[rows], self.item[rows], self.event[rows], self.second[rows], self.session[rows], self.quantity[rows]
        )

    @classmethod
    def join(cls, parts: list[Events]) -> Events:
        """Put parts one after the other."""
        return cls(
            np.concatenate([part.user for part in parts]),
            np.concatenate([part.item for part in parts]),
            np.concatenate([part.event for part in parts]),
            np.concatenate([part.second for part in parts]),
            np.concatenate([part.session for part in parts]),
            np.concatenate([part.quantity for part in parts]),
        )


@dataclass
class Walk:
    """What goes on from day to day: the item each user saw last (-1: none), the next session, returns on their way."""

    last_item: Codes
    next_session: int = 0
    returns: dict[int, list[Events]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True, eq=False)
class Today:
    """One day's view of the shop."""

    items: ItemWorld
    users: UserWorld
    day: int
    pull: Floats
    cumulated: Floats

    @classmethod
    def of(cls, items: ItemWorld, users: UserWorld, day: int, date: datetime) -> Today:
        """Work out what draws on ``day``, which is ``date`` in the calendar."""
        pull = items.pull(day, date.timetuple().tm_yday)
        return cls(items, users, day, pull, cumulate(pull))

    def from_shelf(self, user: Codes, shelf: Codes, rng: np.random.Generator) -> Codes:
        """Draw items of a shelf, mostly in the user's styles."""
        chance = rng.random(len(user))
        any_style = rng.integers(0, NUM_STYLES, len(user))
        styles = self.users.styles[user]
        style = np.where(chance < STYLE_SHARES[0], styles[:, 0], np.where(chance < STYLE_SHARES[1], styles[:, 1], any_style))
        starts, cell = self.items.cell_starts, shelf * NUM_STYLES + style
        drawn = draw_items(self.cumulated, starts[cell], starts[cell + 1], rng.random(len(user)))
        empty = np.flatnonzero(drawn < 0)
        of_shelf = starts[shelf[empty] * NUM_STYLES], starts[(shelf[empty] + 1) * NUM_STYLES]
        drawn[empty] = draw_items(self.cumulated, *of_shelf, rng.random(len(empty)))
        return drawn

    def popular(self, count: int, rng: np.random.Generator) -> Codes:
        """Draw ``count`` items of the whole shop."""
        first, end = np.zeros(count, np.int64), np.full(count, len(self.pull), np.int64)
        return draw_items(self.cumulated, first, end, rng.random(count))

    def staple(self, user: Codes, rng: np.random.Generator) -> Codes:
        """Draw a staple of each user, due ones before others."""
        preference = self.users.due(user, self.day) + rng.random((len(user), self.users.staples.shape[1]))
        staple: Codes = self.users.staples[user, preference.argmax(axis=1)]
        return staple

    def follow(self, item: Codes, rng: np.random.Generator) -> Codes:
        """Draw what is looked at after each item."""
        place = np.searchsorted(np.cumsum(FOLLOW_WEIGHTS), rng.random(len(item)))
        return self.items.follows[item, np.minimum(place, len(FOLLOW_WEIGHTS) - 1)]

    def mend(self, item: Codes, rng: np.random.Generator) -> Codes:
        """Replace in place what cannot be bought today by popular items."""
        closed = np.flatnonzero((item < 0) | (self.pull[item] <= 0))
        item[closed] = self.popular(len(closed), rng)
        item[closed] = np.where(self.pull[item[closed]] > 0, item[closed], self.pull.argmax())
        return item


def walk_day(items: ItemWorld, users: UserWorld, walk: Walk, day: int, date: datetime, rng: np.random.Generator) -> list[Events]:
    """Return one day's events in parts that are ordered by time, and move ``walk`` on; at most BLOCK sessions a part."""
    today = Today.of(items, users, day, date)
    midnight = round((date - datetime(1970, 1, 1)) / timedelta(seconds=1))
    weekday = 1.2 if date.weekday() >= 5 else 0.92
    comes = (rng.random(len(users.activity)) < users.activity * weekday) & (users.first_day <= day)
    user = rng.permutation(np.flatnonzero(comes)).astype(np.int32)
    parts = [_walk_block(today, walk, user[start : start + BLOCK], midnight, rng) for start in range(0, len(user), BLOCK)]
    back = walk.returns.pop(day, [])
    if back:
        parts = [*parts[:-1], Events.join([*parts[-1:], *back])]
    return [part.take(np.argsort(part.second, kind="stable")) for part in parts if len(part)]


def _walk_block(today: Today, walk: Walk, user: Codes, midnight: int, rng: np.random.Generator) -> Events:
    """Walk one session of each user; sessions lie longest first, so those still on are always the first ones."""
    length, intent = _intents(len(user), rng)
    session = walk.next_session + np.arange(len(user), dtype=np.int64)
    walk.next_session += len(user)
    second = midnight + _start(len(user), rng)
    shelf = today.users.tastes[user, rng.choice(len(TASTE_WEIGHTS), len(user), p=TASTE_WEIGHTS)]
    restocks = today.users.due(user, today.day).any(axis=1) & (rng.random(len(user)) < RESTOCK)
    item, came_back = _first_items(today, walk, user, shelf, restocks, rng)
    in_cart = np.zeros(len(user), bool)
    parts: list[Events] = []
    for step in range(int(length.max(initial=0))):
        on = int(np.searchsorted(-length, -step, side="left"))
        if step:
            item = _next_items(today, user[:on], shelf[:on], item[:on], in_cart[:on], restocks[:on], rng)
        item = today.mend(item, rng)
        walk.last_item[user[:on]] = item
        parts.append(_as_events(user[:on], item, VIEW, second[:on], session[:on], 0))
        in_cart = _wants(today, user[:on], item, restocks[:on], intent[:on], rng)
        if step == 0:
            in_cart |= came_back & (rng.random(on) < CAME_BACK_FOR_IT)
        carted = np.flatnonzero(in_cart)
        second[carted] += rng.integers(2, 20, len(carted))
        parts.append(_as_events(user[carted], item[carted], CART, second[carted], session[carted], 1))
        second[:on] += 3 + rng.exponential(35, on).astype(np.int64)
    events = Events.join(parts) if parts else _as_events(user, item, VIEW, second, session, 0)
    return Events.join([events, _pay(today, walk, events, second, session, rng)])


def _intents(count: int, rng: np.random.Generator) -> tuple[Codes, Floats]:
    """Draw how long sessions are, longest first, and how much they are out to buy: factors around 1, larger in long ones."""
    depth = rng.normal(size=count)
    length = np.minimum(1 + np.exp(1.25 + 0.85 * depth), MAX_STEPS).astype(np.int32)
    intent = np.exp(0.75 * depth + 0.8 * rng.normal(size=count) - 1.1)
    order = np.argsort(-length, kind="stable")
    return length[order], intent[order]


def _start(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw the second of the day at which sessions start: around one o'clock or in the evening, from 6:00 to 22:30."""
    evening = rng.random(count) < 0.6
    hour = np.where(evening, rng.normal(20, 1.5, count), rng.normal(13, 2.5, count))
    return (np.clip(hour, 6, 22.5) * 3600 + rng.integers(0, 600, count)).astype(np.int64)


def _first_items(
    today: Today, walk: Walk, user: Codes, shelf: Codes, restocks: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Codes, NDArray[np.bool_]]:
    """Return where sessions start, and which of them go on from the last one; their ``shelf`` changes in place."""
    item = today.from_shelf(user, shelf, rng)
    chance = rng.random(len(user))
    front = np.flatnonzero(chance >= 1 - FRONT_PAGE)
    item[front] = today.popular(len(front), rng)
    goes_on = np.flatnonzero((chance < CONTINUE) & (walk.last_item[user] >= 0))
    item[goes_on] = today.follow(walk.last_item[user[goes_on]], rng)
    shelf[goes_on] = today.items.shelf[item[goes_on]]
    item[restocks] = today.staple(user[restocks], rng)
    came_back = np.zeros(len(user), bool)
    came_back[goes_on] = True
    return item, came_back & ~restocks


def _next_items(
    today: Today,
    user: Codes,
    shelf: Codes,
    item: Codes,
    in_cart: NDArray[np.bool_],
    restocks: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Codes:
    """Go on from ``item``; ``shelf`` changes in place where a session turns to another one."""
    chance = rng.random(len(user))
    linked = np.where(in_cart, COMPLEMENT, FOLLOW)
    stapled = linked + np.where(restocks, 6 * STAPLE, STAPLE)
    switched = np.flatnonzero((chance >= stapled) & (chance < stapled + SWITCH))
    shelf[switched] = today.users.tastes[user[switched], rng.choice(len(TASTE_WEIGHTS), len(switched), p=TASTE_WEIGHTS)]
    result = today.from_shelf(user, shelf, rng)
    follows = np.flatnonzero((chance < linked) & ~in_cart)
    result[follows] = today.follow(item[follows], rng)
    goes_with = np.flatnonzero((chance < linked) & in_cart)
    result[goes_with] = today.items.complements[item[goes_with], rng.integers(0, 3, len(goes_with))]
    staple = np.flatnonzero((chance >= linked) & (chance < stapled))
    result[staple] = today.staple(user[staple], rng)
    popular = np.flatnonzero(chance >= 1 - POPULAR)
    result[popular] = today.popular(len(popular), rng)
    return result


def _wants(
    today: Today, user: Codes, item: Codes, restocks: NDArray[np.bool_], intent: Floats, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Tell what goes into the cart: what suits, the more the session is out to buy, and staples in one that restocks."""
    chance = np.minimum((0.04 + 0.36 * liking(today.items, today.users, user, item)) * intent, 0.85)
    is_staple = (today.users.staples[user] == item[:, None]).any(axis=1)
    chance = np.where(is_staple & restocks, 0.85, chance)
    wanted: NDArray[np.bool_] = rng.random(len(user)) < chance
    return wanted


def _pay(
    today: Today, walk: Walk, events: Events, second: NDArray[np.int64], session: NDArray[np.int64], rng: np.random.Generator
) -> Events:
    """Return the purchases of the sessions that pay, each item once, and put some of them on their way back."""
    pays = rng.random(len(session)) < CHECKOUT
    carted = np.flatnonzero(events.event == CART)
    carted = carted[pays[events.session[carted] - session[:1]]] if len(session) else carted
    order = np.lexsort((events.item[carted], events.session[carted]))
    carted = carted[order]
    again = (np.diff(events.session[carted], prepend=-1) == 0) & (np.diff(events.item[carted], prepend=-1) == 0)
    bought = events.take(carted[~again])
    consumable = today.items.is_consumable[bought.item]
    quantity = np.where(consumable, rng.geometric(0.55, len(bought)), 1 + (rng.random(len(bought)) < 0.15)).astype(np.int32)
    paid_at = second[bought.session - session[0]] + 30 if len(bought) else bought.second
    purchases = _as_events(bought.user, bought.item, PURCHASE, paid_at, bought.session, quantity)
    _send_back(today.day, walk, purchases, consumable, rng)
    return purchases


def _send_back(day: int, walk: Walk, purchases: Events, consumable: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Choose the purchases that are returned, two to fourteen days later, mostly whole."""
    back = np.flatnonzero(rng.random(len(purchases)) < np.where(consumable, 0.01, 0.06))
    later = rng.integers(2, 15, len(back))
    left = np.where(rng.random(len(back)) < 0.8, 0, rng.integers(0, 2, len(back)))
    chosen = purchases.take(back)
    quantity = np.maximum(chosen.quantity - left, 1).astype(np.int32)
    for days in np.unique(later):
        rows = np.flatnonzero(later == days)
        part = chosen.take(rows)
        second = part.second + int(days) * DAY
        walk.returns[day + int(days)].append(_as_events(part.user, part.item, RETURN, second, part.session, quantity[rows]))


def _as_events(
    user: Codes, item: Codes, event: int, second: NDArray[np.int64], session: NDArray[np.int64], quantity: int | Codes
) -> Events:
    count = len(user)
    amounts = np.broadcast_to(np.asarray(quantity, np.int32), count)
    return Events(user, item, np.full(count, event, np.int8), second.copy(), session, amounts)
