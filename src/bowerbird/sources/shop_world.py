"""The hidden state of the simulated shop: what items are like, what users like, and how strongly items draw on a day.

Letters of shapes: U users, N items, C cells (a shelf in one style), T tastes, F follow-ups, S staples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bowerbird.sources.shop_catalogue import SHELVES, STYLES

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

NUM_SHELVES: Final = len(SHELVES)
NUM_STYLES: Final = len(STYLES)
TASTE_WEIGHTS: Final = np.array([0.48, 0.28, 0.16, 0.08])
"""How often a session is about each of a user's shelves."""
STYLE_SHARES: Final = (0.55, 0.8)
"""Up to the first: the user's first style; up to the second: the second style; beyond: any."""
STYLE_LIKED: Final = (0.3, 0.22, 0.17, 0.13, 0.1, 0.08)
FOLLOW_WEIGHTS: Final = np.array([0.58, 0.24, 0.12, 0.06])
NUM_STAPLES: Final = 5
DUE_DAYS: Final = 6
"""A staple is due for so many days in each of its periods."""
NEVER: Final = 1 << 20
LATE_ITEMS: Final = 0.12
ENDING_ITEMS: Final = 0.03
LATE_USERS: Final = 0.25
SESSIONS_A_DAY: Final = 0.212
POPULARITY_SLOPE: Final = 1.13


@dataclass(frozen=True, eq=False)
class ItemWorld:
    """What items are like, ordered by cell, so that each cell is one stretch of item codes."""

    shelf: Codes
    style: Codes
    popularity: Floats
    price: Floats
    price_level: Floats
    """Standard deviations above the shelf's median, on the log scale."""
    first_day: Codes
    """The first day on which the item can be bought; 0 is the shop's first day, old items are below."""
    last_day: Codes
    """The first day on which it cannot be bought any more."""
    burst_day: Codes
    follows: Codes
    """Directed: what people look at next; [N, F]."""
    complements: Codes
    """What goes with it, on the partner shelf; [N, 3]."""

    @cached_property
    def cell_starts(self) -> NDArray[np.int64]:
        """Where each cell begins, and a last entry for the end; [C + 1]."""
        cells = self.shelf * NUM_STYLES + self.style
        return np.searchsorted(cells, np.arange(NUM_SHELVES * NUM_STYLES + 1)).astype(np.int64)

    @cached_property
    def is_consumable(self) -> NDArray[np.bool_]:
        return np.array([shelf.is_consumable for shelf in SHELVES])[self.shelf]

    def pull(self, day: int, day_of_year: int) -> Floats:
        """Return how strongly each item draws on a day: popularity, season, novelty, bursts; 0 where unavailable; [N]."""
        peaks = np.array([shelf.peak for shelf in SHELVES])
        season = 1 + 0.6 * np.cos(2 * np.pi * (day_of_year - peaks) / 365)
        novelty = 1 + 3.0 * np.exp(-np.maximum(day - self.first_day, 0) / 7)
        burst = 1 + 10.0 * np.exp(-np.abs(day - self.burst_day) / 3)
        is_open = (self.first_day <= day) & (day < self.last_day)
        pull: Floats = self.popularity * season[self.shelf] * novelty * burst * is_open
        return pull


@dataclass(frozen=True, eq=False)
class UserWorld:
    """What users like and how often they come."""

    tastes: Codes
    """Shelves, the best liked first; [U, T]."""
    styles: Codes
    """First and second style; [U, 2]."""
    price_level: Floats
    activity: Floats
    """Chance of a session on a day."""
    first_day: Codes
    """The day on which the user joined; old users are below 0."""
    staples: Codes
    """Consumables that are bought again and again; [U, S]."""
    periods: Codes
    phases: Codes

    def due(self, users: Codes, day: int) -> NDArray[np.bool_]:
        """Tell which staples are due; bool [len(users), S]."""
        due: NDArray[np.bool_] = (day + self.phases[users]) % self.periods[users] < DUE_DAYS
        return due


def draw_items(cumulated: Floats, first: NDArray[np.int64], end: NDArray[np.int64], chance: Floats) -> Codes:
    """Draw an item from each stretch ``[first, end)`` of item codes by weight; -1 where the stretch weighs nothing.

    ``cumulated`` [N + 1] begins with 0; ``chance`` is uniform in [0, 1).
    """
    low, high = cumulated[first], cumulated[end]
    place = np.searchsorted(cumulated, low + chance * (high - low), side="right") - 1
    return np.where(high > low, np.clip(place, first, np.maximum(end - 1, first)), -1).astype(np.int32)


def cumulate(weights: Floats) -> Floats:
    """Return the running sum with a leading 0."""
    return np.concatenate([[0.0], np.cumsum(weights)])


def make_items(num_items: int, num_days: int, rng: np.random.Generator) -> ItemWorld:
    """Build the items; of N items the same shares are late, ending and bursting at any N."""
    all_shelves = np.arange(num_items) % NUM_SHELVES
    all_styles = rng.integers(0, NUM_STYLES, num_items)
    order = np.lexsort((all_styles, all_shelves))
    shelf, style = all_shelves[order].astype(np.int32), all_styles[order].astype(np.int32)
    popularity: Floats = np.power(rng.permutation(num_items) + 1.0 + 0.002 * num_items, -POPULARITY_SLOPE)
    price_level = rng.normal(size=num_items)
    price = np.array([one.price for one in SHELVES])[shelf] * np.exp(0.45 * price_level)
    first_day = -rng.integers(10, 900, num_items)
    changing = rng.permutation(num_items)
    late = changing[: int(LATE_ITEMS * num_items)]
    first_day[late] = rng.integers(1, max(num_days, 2), len(late))
    ending = changing[len(late) : len(late) + int(ENDING_ITEMS * num_items)]
    last_day = np.full(num_items, NEVER)
    last_day[ending] = rng.integers(1, max(num_days, 2), len(ending))
    burst_day = np.full(num_items, -NEVER)
    bursting = rng.random(num_items) < 0.08
    burst_day[bursting] = rng.integers(0, num_days, int(bursting.sum()))
    world = ItemWorld(
        shelf,
        style,
        popularity,
        np.maximum(np.round(price * 20) / 20, 0.5),
        price_level,
        first_day.astype(np.int32),
        last_day.astype(np.int32),
        burst_day.astype(np.int32),
        np.zeros((num_items, len(FOLLOW_WEIGHTS)), np.int32),
        np.zeros((num_items, 3), np.int32),
    )
    _link(world, rng)
    return world


def _link(world: ItemWorld, rng: np.random.Generator) -> None:
    """Draw follow-ups (the first three from the same shelf, the last from anywhere) and complements, in place."""
    num_items = len(world.shelf)
    starts = world.cell_starts
    flat = cumulate(world.popularity**0.7)
    whole = np.zeros(num_items, np.int64), np.full(num_items, num_items, np.int64)
    own = starts[world.shelf * NUM_STYLES], starts[(world.shelf + 1) * NUM_STYLES]
    for place in range(world.follows.shape[1]):
        stretch = own if place < 3 else whole
        drawn = draw_items(flat, *stretch, rng.random(num_items))
        is_self = drawn == np.arange(num_items)
        world.follows[:, place] = np.where(is_self, draw_items(flat, *whole, rng.random(num_items)), drawn)
    partner = world.shelf ^ 1
    same_style = starts[partner * NUM_STYLES + world.style], starts[partner * NUM_STYLES + world.style + 1]
    for place in range(3):
        drawn = draw_items(flat, *same_style, rng.random(num_items))
        world.complements[:, place] = np.where(drawn >= 0, drawn, world.follows[:, 0])


def make_users(num_users: int, num_days: int, items: ItemWorld, rng: np.random.Generator) -> UserWorld:
    """Build the users; shelves are liked unevenly, activity is log-normal, a quarter joins within the days."""
    liked = rng.permutation((np.arange(NUM_SHELVES) + 2.0) ** -0.9)
    # Gumbel's trick: the largest of log weight + noise are a weighted draw without replacement.
    noise = rng.gumbel(size=(num_users, NUM_SHELVES)).astype(np.float32) + np.log(liked).astype(np.float32)
    tastes = np.argsort(-noise, axis=1)[:, : len(TASTE_WEIGHTS)].astype(np.int32)
    activity = np.minimum(SESSIONS_A_DAY * rng.lognormal(-0.32, 0.8, num_users), 0.9)
    first_day = -rng.integers(1, 900, num_users)
    late = rng.random(num_users) < LATE_USERS
    first_day[late] = rng.integers(0, num_days, int(late.sum()))
    styles = rng.choice(NUM_STYLES, (num_users, 2), p=STYLE_LIKED).astype(np.int32)
    return UserWorld(
        tastes,
        styles,
        rng.normal(size=num_users),
        activity,
        first_day.astype(np.int32),
        _staples(tastes, styles, items, rng),
        rng.integers(12, 36, (num_users, NUM_STAPLES)).astype(np.int32),
        rng.integers(0, 36, (num_users, NUM_STAPLES)).astype(np.int32),
    )


def _staples(tastes: Codes, styles: Codes, items: ItemWorld, rng: np.random.Generator) -> Codes:
    """Draw each user's staples from consumable shelves, the user's own before any other; [U, S]."""
    consumable = np.array([shelf.is_consumable for shelf in SHELVES])
    open_from_start = (items.first_day <= 0) & (items.last_day == NEVER) & items.is_consumable
    weights = cumulate(items.popularity * (open_from_start if open_from_start.any() else 1))
    staples = np.zeros((len(tastes), NUM_STAPLES), np.int32)
    rows = np.arange(len(tastes))
    for place in range(NUM_STAPLES):
        shelf = tastes[rows, rng.integers(0, tastes.shape[1], len(tastes))]
        shelf = np.where(consumable[shelf], shelf, rng.choice(np.flatnonzero(consumable), len(tastes)))
        cell = shelf * NUM_STYLES + np.where(rng.random(len(tastes)) < 0.7, styles[:, 0], styles[:, 1])
        drawn = draw_items(weights, items.cell_starts[cell], items.cell_starts[cell + 1], rng.random(len(tastes)))
        anywhere = draw_items(weights, rows * 0, rows * 0 + len(items.shelf), rng.random(len(tastes)))
        staples[:, place] = np.where(drawn >= 0, drawn, anywhere)
    return staples


def liking(items: ItemWorld, users: UserWorld, user: Codes, item: Codes) -> Floats:
    """Return how well items suit users, in [0, 1]: shelf, style and price; one value a pair."""
    is_shelf = users.tastes[user] == items.shelf[item][:, None]
    shelf = (is_shelf @ (TASTE_WEIGHTS / TASTE_WEIGHTS[0])) ** 0.5
    style = np.where(
        users.styles[user, 0] == items.style[item], 1.0, np.where(users.styles[user, 1] == items.style[item], 0.7, 0.2)
    )
    price = np.exp(-((items.price_level[item] - users.price_level[user]) ** 2) / 6)
    suits: Floats = (0.12 + 0.88 * shelf) * style * price
    return suits
