"""A simulated feed of posts that live a day or two: users, authors, follows, likes and shares from one seed; no row is real.

Interests, taste for an author's traits and a post's own appeal decide who likes what; follows and likes change what is shown
next, so what is popular is partly what was shown. ``docs/reference/sample.md`` tells how it works.
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
    CREATED_AT,
    EVENT,
    ITEM_ID,
    SESSION_ID,
    TIMESTAMP,
    TITLE,
    USER_ID,
)
from bowerbird.sources.feed_files import FeedFiles, write_files
from bowerbird.sources.feed_walk import EVENTS, Events, Walk
from bowerbird.sources.feed_world import NAMES, POSTS_AN_AUTHOR, TOPICS, liking, make_authors, make_posts, make_readers
from bowerbird.sources.samples import END, SampleConfig
from bowerbird.sources.shop_world import Codes, Floats

EVENTS_A_USER_DAY: Final = 3.4
_WORLD, _HOUR = range(2)


@dataclass(frozen=True)
class FeedConfig(SampleConfig):
    """Size of the feed and the seed that all of it follows from; it is lively from about a hundred posts a day on."""

    kind: ClassVar[str] = "feed"


class Feed:
    """A simulated feed; equal configs give equal feeds.

    Parameters
    ----------
    config
        Size and seed; 2,000 users, 1,500 posts and 60 days where absent.
    """

    title: Final = "Bowerbird's simulated feed"

    def __init__(self, config: FeedConfig | None = None) -> None:
        self.config = config or FeedConfig()
        rng = np.random.default_rng([self.config.seed, _WORLD])
        self.author_world = make_authors(max(self.config.items // POSTS_AN_AUTHOR, 1), rng)
        self.post_world = make_posts(self.config.items, self.config.days, self.author_world, rng)
        self.reader_world = make_readers(self.config.users, self.config.days, self.author_world, rng)
        self.start = END - timedelta(days=self.config.days)

    @property
    def expected_events(self) -> int:
        """About so many events the feed writes, where there is enough to show; they grow with users times days."""
        return round(self.config.users * self.config.days * EVENTS_A_USER_DAY)

    @cached_property
    def item_ids(self) -> NDArray[np.object_]:
        """The ids of the posts, in the order in which they were born."""
        return np.array([f"p{number:06d}" for number in range(self.config.items)], object)

    @cached_property
    def user_ids(self) -> NDArray[np.object_]:
        """The ids of the users."""
        return np.array([f"u{number:06d}" for number in range(self.config.users)], object)

    @cached_property
    def author_ids(self) -> NDArray[np.object_]:
        """The names of the authors."""
        return np.array([f"@{NAMES[topic]}_{number}" for number, topic in enumerate(self.author_world.topic)], object)

    def hours(self) -> Iterator[Events]:
        """Walk through the hours from the first on; yields events in order of time, in codes."""
        walk = Walk(self.author_world, self.post_world, self.reader_world)
        return walk.hours(24 * self.config.days, [self.config.seed, _HOUR])

    def events(self) -> pd.DataFrame:
        """Return all events in Bowerbird's columns: ``user_id, item_id, event, timestamp, session_id``, and ``dwell_seconds``."""
        parts = list(self.hours())
        if not parts:
            return pd.DataFrame(columns=[USER_ID, ITEM_ID, EVENT, TIMESTAMP, SESSION_ID, "dwell_seconds"])
        events = Events.join(parts)
        return pd.DataFrame(
            {
                USER_ID: self.user_ids[events.user],
                ITEM_ID: self.item_ids[events.post],
                EVENT: np.array(EVENTS, object)[events.event],
                TIMESTAMP: pd.Timestamp(self.start, tz="UTC") + pd.to_timedelta(events.second, unit="s"),
                SESSION_ID: "s" + pd.Series(events.session).astype(str),
                "dwell_seconds": np.where(events.dwell >= 0, events.dwell, np.nan),
            }
        )

    def items(self) -> pd.DataFrame:
        """Return the posts: title, topic, author, and from when to when they are shown."""
        world = self.post_world
        born = pd.to_datetime(self.start) + pd.to_timedelta(world.born, unit="s")
        words = [TOPICS[NAMES[topic]] for topic in world.topic]
        return pd.DataFrame(
            {
                ITEM_ID: self.item_ids,
                TITLE: [_title([own[place] for place in places]) for own, places in zip(words, world.words, strict=True)],
                "topic": np.array(NAMES, object)[world.topic],
                "author": self.author_ids[world.author],
                CREATED_AT: born,
                AVAILABLE_FROM: born,
                AVAILABLE_UNTIL: pd.to_datetime(self.start) + pd.to_timedelta(world.dies, unit="s"),
            }
        )

    def users(self) -> pd.DataFrame:
        """Return the users: ``user_id, said_topic, joined_at``, and ``follows``, the authors followed at the start."""
        world = self.reader_world
        return pd.DataFrame(
            {
                USER_ID: self.user_ids,
                "said_topic": np.array(NAMES, object)[world.said_topic],
                "joined_at": pd.to_datetime(self.start) + pd.to_timedelta(world.joined, unit="s"),
                "follows": [" ".join(self.author_ids[row[row >= 0]]) for row in world.follows],
            }
        )

    def liking(self, users: Codes, posts: Codes) -> Floats:
        """Return the hidden truth of pairs, in codes: how well the post suits the user, in [0, 1]."""
        return liking(self.reader_world, self.author_world, self.post_world, users, posts)

    def write(self, folder: Path) -> FeedFiles:
        """Write events, posts, users and a README that says that all of it is simulated; return paths and counts.

        Events go to ``events.csv``, beyond a million expected events to ``events.parquet``.
        """
        return write_files(self, Path(folder))


def _title(words: list[str]) -> str:
    first, second, third = words
    return f"{first.capitalize()}, {second} and {third}"
