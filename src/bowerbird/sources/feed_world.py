"""The hidden state of the simulated feed: what authors write about, what users care for, and how long posts live.

Times are seconds from the feed's first moment. Letters of shapes: U users, A authors, P posts, T topics, L traits, F follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bowerbird.sources.shop_world import Codes, Floats, cumulate

HOUR: Final = 3600
DAY: Final = 24 * HOUR
WORDS: Final = {
    "cooking": "noodles broth oven sourdough spice skillet pickle stew dumpling knife lunch leftovers",
    "football": "derby keeper penalty transfer striker bench corner offside cup fans stadium header",
    "gardening": "tomato compost seedling pruning roses greenhouse slug mulch orchard bulbs shed harvest",
    "music": "vinyl guitar setlist chorus bass demo festival remix drummer encore ballad synth",
    "travel": "hostel sunrise ferry backpack visa market trail island nightbus harbour passport border",
    "science": "telescope enzyme fossil reactor genome orbit glacier sensor preprint lab quark crater",
    "photography": "shutter lens portrait film darkroom tripod blur exposure street contrast flash negative",
    "gaming": "boss speedrun patch loot controller indie level quest lobby emulator pixel guild",
    "pets": "kitten leash parrot vet hamster treats basket terrier aquarium fur whiskers walkies",
    "books": "novel chapter library sequel poet blurb paperback narrator memoir bookshop plot ending",
    "running": "marathon pace shoes interval hills stretch medal splits dawn blister relay sprint",
    "crafts": "yarn loom clay stitch varnish chisel quilt glaze origami thread workshop beads",
}
TOPICS: Final = {topic: tuple(words.split()) for topic, words in WORDS.items()}
"""Topic to the words that its posts use."""
NAMES: Final = tuple(TOPICS)
NUM_TOPICS: Final = len(NAMES)
NUM_WORDS: Final = 12
NUM_TRAITS: Final = 4
NUM_FOLLOWS: Final = 24
"""So many authors a user follows at most; a further one takes the place of the one followed longest."""
POSTS_AN_AUTHOR: Final = 25
LIFE_HOURS: Final = (18, 48)
SESSIONS_A_DAY: Final = 0.75
LATE_USERS: Final = 0.2
OWN_TOPIC: Final = 0.85
SAID_TOPIC: Final = 0.7


@dataclass(frozen=True, eq=False)
class AuthorWorld:
    """Who writes."""

    topic: Codes
    traits: Floats
    """Tone and taste beyond the topic; [A, L]."""
    fame: Floats
    """How readily people follow and how much one posts."""


@dataclass(frozen=True, eq=False)
class PostWorld:
    """What is posted, the oldest first."""

    author: Codes
    topic: Codes
    appeal: Floats
    """In (0, 1): how good the post is, whoever reads it."""
    born: NDArray[np.int64]
    dies: NDArray[np.int64]
    """From then on nobody is shown the post."""
    words: Codes
    """Places of its words among those of its topic; [P, 3]."""


@dataclass(frozen=True, eq=False)
class ReaderWorld:
    """Who reads."""

    interests: Floats
    """Share of each topic in what a user cares for; [U, T]."""
    traits: Floats
    activity: Floats
    """Sessions a day."""
    hour: Codes
    """The hour of the day at which the user comes most."""
    joined: NDArray[np.int64]
    said_topic: Codes
    """What the user named on signing up: mostly, not always, what he likes best."""
    follows: Codes
    """Authors at the start, -1 for none; [U, F]."""


def day_curve(hour: NDArray[np.int64] | Codes) -> Floats:
    """Return the share of a day's activity that falls on the hour so far from the peak."""
    around: Floats = np.exp(1.5 * np.cos(2 * np.pi * np.arange(24) / 24))
    share: Floats = (around / around.sum())[hour % 24]
    return share


def make_authors(num_authors: int, rng: np.random.Generator) -> AuthorWorld:
    """Build the authors: topics unevenly, fame after Zipf."""
    liked = (np.arange(NUM_TOPICS) + 3.0) ** -0.7
    topic = rng.choice(NUM_TOPICS, num_authors, p=rng.permutation(liked) / liked.sum()).astype(np.int32)
    fame = (rng.permutation(num_authors) + 2.0) ** -0.8
    return AuthorWorld(topic, rng.normal(size=(num_authors, NUM_TRAITS)), fame / fame.sum())


def make_posts(num_posts: int, num_days: int, authors: AuthorWorld, rng: np.random.Generator) -> PostWorld:
    """Build the posts: a day or two of life each, born from two days before the start to the end, more by day than by night."""
    author = rng.choice(len(authors.topic), num_posts, p=authors.fame).astype(np.int32)
    day = rng.integers(-2, num_days, num_posts)
    hour = rng.choice(24, num_posts, p=day_curve(np.arange(24) - 18))
    born = np.sort(day * DAY + hour * HOUR + rng.integers(0, HOUR, num_posts))
    topic = np.where(rng.random(num_posts) < OWN_TOPIC, authors.topic[author], rng.integers(0, NUM_TOPICS, num_posts))
    pet = (author * 5 + rng.integers(0, 2, num_posts)) % NUM_WORDS  # an author's own two words come up again and again
    others = pet[:, None] + 1 + np.argsort(rng.random((num_posts, NUM_WORDS - 1)), axis=1)[:, :2]
    words = np.column_stack([pet, others % NUM_WORDS])
    return PostWorld(
        author,
        topic.astype(np.int32),
        rng.beta(1.5, 3.0, num_posts),
        born,
        born + rng.integers(LIFE_HOURS[0] * HOUR, LIFE_HOURS[1] * HOUR, num_posts),
        words.astype(np.int32),
    )


def make_readers(num_users: int, num_days: int, authors: AuthorWorld, rng: np.random.Generator) -> ReaderWorld:
    """Build the users: few topics each, log-normal activity, a fifth joins within the days."""
    interests = rng.gamma(0.35, size=(num_users, NUM_TOPICS)) + 0.01
    interests /= interests.sum(axis=1, keepdims=True)
    said = np.where(rng.random(num_users) < SAID_TOPIC, interests.argmax(axis=1), rng.integers(0, NUM_TOPICS, num_users))
    earlier = -rng.integers(1, 400 * DAY, num_users)
    joined = np.where(rng.random(num_users) < LATE_USERS, rng.integers(0, num_days * DAY, num_users), earlier)
    return ReaderWorld(
        interests,
        rng.normal(size=(num_users, NUM_TRAITS)),
        np.minimum(SESSIONS_A_DAY * rng.lognormal(-0.32, 0.8, num_users), 6),
        (18 + np.round(rng.normal(0, 4, num_users)).astype(np.int32)) % 24,
        joined,
        said.astype(np.int32),
        _first_follows(interests, authors, rng),
    )


def _first_follows(interests: Floats, authors: AuthorWorld, rng: np.random.Generator) -> Codes:
    """Let each user follow up to a third of the places: famous authors of the topics that he cares for; no one twice."""
    num_users, num_first = len(interests), NUM_FOLLOWS // 3
    order = np.argsort(authors.topic, kind="stable")
    starts = np.searchsorted(authors.topic[order], np.arange(NUM_TOPICS + 1))
    weights = cumulate(authors.fame[order])
    topic = draw_topics(interests, np.repeat(np.arange(num_users), num_first), rng)
    low, high = weights[starts[topic]], weights[starts[topic + 1]]
    place = np.searchsorted(weights, low + (high - low) * rng.random(len(topic)), side="right") - 1
    drawn = np.where(high > low, order[np.minimum(place, len(order) - 1)], -1).reshape(num_users, num_first)
    drawn.sort(axis=1)
    drawn[:, 1:][drawn[:, 1:] == drawn[:, :-1]] = -1
    drawn[np.arange(num_first) >= rng.integers(0, num_first + 1, (num_users, 1))] = -1
    follows = np.full((num_users, NUM_FOLLOWS), -1, np.int32)
    follows[:, :num_first] = drawn
    return follows


def draw_topics(interests: Floats, users: NDArray[np.int64] | Codes, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a topic for each of ``users`` by what they care for."""
    cumulated = np.cumsum(interests, axis=1)[users]
    found: NDArray[np.int64] = (cumulated < rng.random((len(users), 1))).sum(axis=1)
    return np.minimum(found, NUM_TOPICS - 1)


def liking(readers: ReaderWorld, authors: AuthorWorld, posts: PostWorld, user: Codes, post: Codes) -> Floats:
    """Return the hidden truth, in [0, 1]: how well posts suit users by topic, author and appeal."""
    interest = readers.interests[user, posts.topic[post]] / readers.interests[user].max(axis=1)
    alike = np.einsum("el,el->e", readers.traits[user], authors.traits[posts.author[post]])
    suits: Floats = np.sqrt(interest) / (1 + np.exp(-1.2 * alike)) * (0.35 + 0.65 * posts.appeal[post])
    return suits
