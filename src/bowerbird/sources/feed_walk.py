"""Walks through the simulated feed hour by hour: who comes, what is shown, who reads on, likes, shares and follows.

What is shown is drawn from the authors a user follows (a half), from the topics he cares for (a third), and from what is
trending. Nobody is shown a post twice, or outside its life. Letters of shapes: E impressions, U users, P posts, F follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from bowerbird.sources.feed_world import (
    HOUR,
    NUM_FOLLOWS,
    NUM_TOPICS,
    AuthorWorld,
    PostWorld,
    ReaderWorld,
    day_curve,
    draw_topics,
    liking,
)
from bowerbird.sources.shop_world import Codes, Floats, cumulate, draw_items

EVENTS: Final = ("view", "like", "share", "follow")
FROM_FOLLOWED: Final = 0.5
FROM_TRENDING: Final = 0.17
MEAN_SHOWN: Final = 7
"""A session shows one post, and so many more on average."""
LONGEST_LOOK: Final = 90
LATEST_BEGIN: Final = 3000
"""Within its hour; visits end with the hour."""
FADING_HOURS: Final = 12
Seconds = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Events:
    """Events in order of time; ``dwell`` is -1 where the event is no view."""

    user: Codes
    post: Codes
    event: NDArray[np.int8]
    second: Seconds
    session: Seconds
    dwell: Codes

    def take(self, places: NDArray[np.int64]) -> Self:
        """Keep the events at ``places``, in their order."""
        return type(self)(*(getattr(self, one.name)[places] for one in fields(self)))

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """Put events after one another."""
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))


class Walk:
    """What changes while time goes on: follows, likes, and who has seen what."""

    def __init__(self, authors: AuthorWorld, posts: PostWorld, readers: ReaderWorld) -> None:
        self.authors, self.posts, self.readers = authors, posts, readers
        self.follows = readers.follows.copy()
        self.num_follows = (self.follows >= 0).sum(axis=1)
        self.follows = np.take_along_axis(self.follows, np.argsort(self.follows < 0, axis=1, kind="stable"), axis=1)
        self.likes = np.zeros(len(posts.author), np.int64)
        self.num_sessions = 0
        self.seen: Seconds = np.empty(0, np.int64)
        """User times P plus post, ascending, of the posts that are still shown."""

    def hours(self, num_hours: int, seed: list[int]) -> Iterator[Events]:
        """Yield the events of each hour in which anything happens."""
        for hour in range(num_hours):
            rng = np.random.default_rng([*seed, hour])
            if hour % 24 == 0:
                self.seen = self.seen[self.posts.dies[self.seen % len(self.likes)] > hour * HOUR]
            events = self._hour(hour, rng)
            if events is not None and len(events.user):
                yield events

    def _hour(self, hour: int, rng: np.random.Generator) -> Events | None:
        begin = hour * HOUR
        readers = self.readers
        chance = np.minimum(readers.activity * day_curve(hour - readers.hour), 1.0) * (readers.joined <= begin)
        coming = np.flatnonzero(rng.random(len(chance)) < chance).astype(np.int32)
        # What lives through the hour and through a look that begins at its end.
        alive = np.flatnonzero((self.posts.born <= begin) & (self.posts.dies > begin + HOUR + LONGEST_LOOK)).astype(np.int32)
        if not len(coming) or not len(alive):
            return None
        counts = 1 + rng.poisson(MEAN_SHOWN, len(coming))
        visit = np.repeat(np.arange(len(coming)), counts)
        user = coming[visit]
        post = self._draw(user, alive, begin, rng)
        is_new = self._note_seen(user, post)
        visit, user, post = visit[is_new], user[is_new], post[is_new]
        suits = liking(readers, self.authors, self.posts, user, post)
        dwell = np.clip(np.ceil((1 + 22 * suits) * rng.lognormal(-0.1, 0.6, len(user))), 1, LONGEST_LOOK).astype(np.int32)
        second = begin + _times(visit, dwell, rng.integers(0, LATEST_BEGIN, len(coming)))
        events = self._react(user, post, suits, dwell, second, self.num_sessions + visit, rng)
        self.num_sessions += len(coming)
        return events

    def _draw(self, user: Codes, alive: Codes, begin: int, rng: np.random.Generator) -> Codes:
        """Choose the posts that are shown: from followed authors, else from a topic of interest, or from what is trending."""
        posts = self.posts
        fresh = np.exp(-(begin - posts.born[alive]) / (FADING_HOURS * HOUR))
        pull = fresh * (0.3 + posts.appeal[alive]) * (1 + self.likes[alive]) ** 0.7
        topic = draw_topics(self.readers.interests, user, rng)
        found = _draw_by(posts.topic[alive], NUM_TOPICS, topic, pull, rng)
        place = rng.random(len(user)) * np.clip(self.num_follows[user], 1, NUM_FOLLOWS)
        author = self.follows[user, place.astype(np.int64)]
        followed = _draw_by(posts.author[alive], len(self.authors.topic), np.maximum(author, 0), fresh, rng)
        source = rng.random(len(user))
        found = np.where((source < FROM_FOLLOWED) & (author >= 0) & (followed >= 0), followed, found)
        whole = np.zeros(len(user), np.int64), np.full(len(user), len(alive), np.int64)
        trending = draw_items(cumulate(pull), *whole, rng.random(len(user)))
        found = np.where((source > 1 - FROM_TRENDING) | (found < 0), trending, found)
        return alive[found]

    def _note_seen(self, user: Codes, post: Codes) -> NDArray[np.int64]:
        """Return the places of what is seen for the first time, and remember it."""
        key = user.astype(np.int64) * len(self.likes) + post
        distinct, first = np.unique(key, return_index=True)
        place = np.asarray(np.searchsorted(self.seen, distinct), np.int64)
        is_new = np.append(self.seen, -1)[place] != distinct
        self.seen = np.insert(self.seen, place[is_new], distinct[is_new])
        return np.sort(first[is_new])

    def _react(
        self,
        user: Codes,
        post: Codes,
        suits: Floats,
        dwell: Codes,
        second: Seconds,
        session: Seconds,
        rng: np.random.Generator,
    ) -> Events:
        """Like what suits, share some of it, follow some of the authors; likes and follows change what is shown next."""
        author = self.posts.author[post]
        is_liked = rng.random(len(user)) < 0.8 * suits**1.5
        is_shared = rng.random(len(user)) < np.where(is_liked, 0.15, 0.004)
        is_stranger = (self.follows[user] != author[:, None]).all(axis=1)
        wants = np.flatnonzero(is_liked & is_stranger & (rng.random(len(user)) < 0.15))
        follower = wants[np.unique(user[wants], return_index=True)[1]]  # at most one an hour and user
        self.likes += np.bincount(post[is_liked], minlength=len(self.likes))
        self.follows[user[follower], self.num_follows[user[follower]] % NUM_FOLLOWS] = author[follower]
        self.num_follows[user[follower]] += 1
        doing = [np.arange(len(user)), np.flatnonzero(is_liked), np.flatnonzero(is_shared), follower]
        impression = np.concatenate(doing)
        kind = np.repeat(np.arange(len(EVENTS), dtype=np.int8), [len(one) for one in doing])
        late = np.minimum(kind, 1) * np.maximum(dwell[impression] // 2, 1)  # reactions come while the post is looked at
        moment = second[impression] + late
        events = Events(
            user[impression],
            post[impression],
            kind,
            moment,
            session[impression],
            np.where(kind == 0, dwell[impression], -1).astype(np.int32),
        )
        return events.take(np.lexsort((kind, impression, moment)))


def _draw_by(
    group: Codes, num_groups: int, wanted: NDArray[np.int64] | Codes, weight: Floats, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw a member of each wanted group by weight; -1 where the group has none."""
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(num_groups + 1))
    place = draw_items(cumulate(weight[order]), starts[wanted], starts[wanted + 1], rng.random(len(wanted)))
    return np.where(place >= 0, order[place], -1)


def _times(visit: NDArray[np.int64], dwell: Codes, begins: Seconds) -> Seconds:
    """Let one look follow another within each visit, up to the end of the hour."""
    passed = np.cumsum(dwell, dtype=np.int64) - dwell
    is_first = np.diff(visit, prepend=-1) > 0
    passed -= np.repeat(passed[is_first], np.diff(np.append(np.flatnonzero(is_first), len(visit))))
    seconds: Seconds = np.minimum(begins[visit] + passed, HOUR - 1)
    return seconds
