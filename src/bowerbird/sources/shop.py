"""A simulated shop: items, users and their events, made up from one seed, at any size; no row of it is real.

Sessions are driven by hidden tastes, popularity, season and novelty; directed follow-ups give order effects, partner
shelves complements, and staples repeat purchases, so no one family of models is favoured. ``docs/reference/sample.md``
holds the repeat rate, the popularity slope and the basket sizes against those of a real shop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import (
    AVAILABLE_FROM,
    AVAILABLE_UNTIL,
    CATEGORIES,
    CREATED_AT,
    DESCRIPTION,
    EVENT,
    ITEM_ID,
    PRICE,
    QUANTITY,
    SESSION_ID,
    TIMESTAMP,
    TITLE,
    USER_ID,
)
from bowerbird.errors import DataError
from bowerbird.sources.samples import END, SampleConfig
from bowerbird.sources.shop_catalogue import SHELVES, describe
from bowerbird.sources.shop_files import ShopFiles, write_files
from bowerbird.sources.shop_response import attraction, respond
from bowerbird.sources.shop_walk import EVENTS, Events, Walk, walk_day
from bowerbird.sources.shop_world import NEVER, Codes, Floats, ItemWorld, UserWorld, make_items, make_users

TITLE_OF_SHOP: Final = "Bowerbird's simulated shop"
EVENTS_A_USER_DAY: Final = 1.25
COUNTRIES: Final = ("United Kingdom", "Germany", "France", "Netherlands", "Spain", "中国", "Österreich")
COUNTRY_SHARES: Final = (0.45, 0.17, 0.13, 0.1, 0.08, 0.04, 0.03)
ODD_USERS: Final = ("O'Brien; Pat", 'Kim "K" Lee', "Zoë Müller", "李雷", "two\nlines", "Robert'); drop table users;--")
ODD_ITEMS: Final = ('P-"quoted"-1', "P;semi;2", "P'00003", "Größe-42", "茶-17", "P00006'; drop table items;--", "P-line\n7")
"""Ids that are valid data and that careless code breaks on."""
MIN_FOR_ODD: Final = 50
_WORLD, _DAY, _RESPONSE = range(3)


@dataclass(frozen=True)
class ShopConfig(SampleConfig):
    """Size of the shop and the seed that all of it follows from."""

    kind: ClassVar[str] = "shop"


class Shop:
    """A simulated shop; equal configs give equal shops.

    Parameters
    ----------
    config
        Size and seed; about 2,000 users, 1,500 items and 150,000 events where absent.
    """

    title: Final = TITLE_OF_SHOP

    def __init__(self, config: ShopConfig | None = None) -> None:
        self.config = config or ShopConfig()
        rng = np.random.default_rng([self.config.seed, _WORLD])
        self.item_world: ItemWorld = make_items(self.config.items, self.config.days, rng)
        self.user_world: UserWorld = make_users(self.config.users, self.config.days, self.item_world, rng)
        self.start = END - timedelta(days=self.config.days)
        self._item_numbers = rng.permutation(self.config.items)
        self._countries = rng.choice(len(COUNTRIES), self.config.users, p=COUNTRY_SHARES)
        self._last_items: Codes | None = None

    @property
    def expected_events(self) -> int:
        """About so many events the shop writes; they grow with users times days."""
        return round(self.config.users * self.config.days * EVENTS_A_USER_DAY)

    @cached_property
    def item_ids(self) -> NDArray[np.object_]:
        """The ids of the items, in the order of the hidden state; some hold quotes, semicolons, line breaks."""
        return _with_odd([f"P{number:05d}" for number in self._item_numbers], ODD_ITEMS)

    @cached_property
    def user_ids(self) -> NDArray[np.object_]:
        """The ids of the users, in the order of the hidden state."""
        return _with_odd([f"C{number:06d}" for number in range(self.config.users)], ODD_USERS)

    def days(self) -> Iterator[Events]:
        """Walk through the days from the first on; yields events of one day each, in order of time, in codes."""
        walk = Walk(np.full(self.config.users, -1, np.int32))
        for day in range(self.config.days):
            rng = np.random.default_rng([self.config.seed, _DAY, day])
            yield from walk_day(self.item_world, self.user_world, walk, day, self.start + timedelta(days=day), rng)
        self._last_items = walk.last_item

    @property
    def last_items(self) -> Codes:
        """The item that each user saw last, -1 for none; int32 [U]. Walks through all days the first time."""
        if self._last_items is None:
            for _ in self.days():
                pass
        assert self._last_items is not None
        return self._last_items

    def events(self) -> pd.DataFrame:
        """Return all events without dirt, in Bowerbird's columns: ``user_id, item_id, event, timestamp, session_id, ...``."""
        parts = list(self.days())
        events = Events.join(parts) if parts else None
        if events is None:
            return pd.DataFrame(columns=[USER_ID, ITEM_ID, EVENT, TIMESTAMP, SESSION_ID, QUANTITY, PRICE])
        return pd.DataFrame(
            {
                USER_ID: self.user_ids[events.user],
                ITEM_ID: self.item_ids[events.item],
                EVENT: np.array(EVENTS, object)[events.event],
                TIMESTAMP: pd.to_datetime(events.second, unit="s", utc=True),
                SESSION_ID: "S" + pd.Series(events.session).astype(str),
                QUANTITY: np.where(events.quantity > 0, events.quantity, np.nan),
                PRICE: self.item_world.price[events.item],
            }
        )

    def items(self) -> pd.DataFrame:
        """Return the catalogue in Bowerbird's columns, ordered by id; ``available_until`` is NaT where it does not end."""
        world = self.item_world
        # The place within the cell makes titles different.
        place = np.arange(self.config.items) - world.cell_starts[np.searchsorted(world.cell_starts, _codes(world), "right") - 1]
        texts = [
            describe(SHELVES[shelf], int(style), int(number))
            for shelf, style, number in zip(world.shelf, world.style, place, strict=True)
        ]
        opens = pd.to_datetime(self.start) + pd.to_timedelta(world.first_day, unit="D")
        ends = pd.to_datetime(self.start) + pd.to_timedelta(np.minimum(world.last_day, self.config.days), unit="D")
        frame = pd.DataFrame(
            {
                ITEM_ID: self.item_ids,
                TITLE: [title for title, _ in texts],
                DESCRIPTION: [description for _, description in texts],
                CATEGORIES: [list(SHELVES[shelf].path) for shelf in world.shelf],
                PRICE: world.price,
                CREATED_AT: opens - pd.Timedelta(hours=14, minutes=45),
                AVAILABLE_FROM: opens,
                AVAILABLE_UNTIL: ends.where(world.last_day < NEVER),
            }
        )
        return frame.sort_values(ITEM_ID, ignore_index=True)

    def users(self) -> pd.DataFrame:
        """Return the users: ``user_id, country, joined_at``."""
        joined = pd.to_datetime(self.start) + pd.to_timedelta(self.user_world.first_day, unit="D") + pd.Timedelta(hours=5)
        return pd.DataFrame(
            {USER_ID: self.user_ids, "country": np.array(COUNTRIES, object)[self._countries], "joined_at": joined}
        )

    def write(self, folder: Path, *, dirty: bool = True) -> ShopFiles:
        """Write events, items, users and a README that says that all of it is simulated.

        Events go to ``events.csv``, beyond a million expected events to ``events.parquet``. ``dirty`` plants about 2 %
        rows that a run must reject, count or mend. Returns paths and counts.
        """
        return write_files(self, Path(folder), dirty=dirty)

    def attraction(self, pairs: pd.DataFrame) -> Floats:
        """Return the hidden truth: p(click | seen) of pairs ``user_id, item_id`` just after the last day.

        Raises DataError for a user or an item that the shop does not have.
        """
        users, items = self.codes_of(pairs)
        return attraction(self, users, items)

    def respond(self, lists: pd.DataFrame, seed: int) -> pd.DataFrame:
        """Answer recommendation lists as the shop's users would, on the day after the last one.

        Parameters
        ----------
        lists
            ``user_id, item_id, rank``; ranks from 1. The order of the rows does not matter.
        seed
            Equal lists and seeds give equal answers.

        Returns
        -------
        DataFrame
            One row an impression: ``user_id, item_id, position, timestamp, click, order, propensity``. ``propensity`` is
            the known chance that a user looks at the position; clicks need a look, orders a click.

        Raises
        ------
        DataError
            For a missing column, or a user or an item that the shop does not have.
        """
        return respond(self, lists, np.random.default_rng([self.config.seed, _RESPONSE, seed]))

    def codes_of(self, pairs: pd.DataFrame) -> tuple[Codes, Codes]:
        """Return the codes of users and items of pairs. Raises DataError for strangers."""
        users = _look_up(self.user_ids, pairs, USER_ID)
        return users, _look_up(self.item_ids, pairs, ITEM_ID)


def _codes(world: ItemWorld) -> NDArray[np.int64]:
    return np.arange(len(world.shelf))


def _with_odd(ids: list[str], odd: tuple[str, ...]) -> NDArray[np.object_]:
    """Replace a few ids, spread over all, where there are enough."""
    result = np.array(ids, object)
    if len(ids) >= MIN_FOR_ODD:
        result[np.linspace(3, len(ids) - 3, len(odd)).astype(int)] = odd
    return result


def _look_up(known: NDArray[np.object_], pairs: pd.DataFrame, column: str) -> Codes:
    if column not in pairs:
        raise DataError(f"the lists have no column {column!r}", next_step="give user_id, item_id and rank")
    codes = pd.Index(known).get_indexer(pd.Index(pairs[column]))
    if (codes < 0).any():
        stranger = pairs[column].iloc[int((codes < 0).argmax())]
        raise DataError(
            f"the simulated shop has no {column} {stranger!r}", next_step="list what shop.items() and shop.users() hold"
        )
    return codes.astype(np.int32)
