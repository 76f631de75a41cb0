"""The simulated feed: same seed, same files; posts are shown within their life, once to each reader; all is labelled."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from bowerbird.columns import AVAILABLE_FROM, AVAILABLE_UNTIL, EVENT, ITEM_ID, SESSION_ID, TIMESTAMP, USER_ID
from bowerbird.errors import DataError
from bowerbird.recipe import load_recipe
from bowerbird.recipe_source import SampleSource
from bowerbird.sources import samples
from bowerbird.sources.feed import Feed, FeedConfig
from bowerbird.sources.ingest import ingest
from bowerbird.sources.samples import write_sample
from bowerbird.store.home import Home

SMALL = FeedConfig(users=300, items=600, days=6)
RECIPE = Path(__file__).parents[2] / "deployments" / "recipes" / "social.toml"


@pytest.fixture(scope="module")
def feed() -> Feed:
    return Feed(SMALL)


@pytest.fixture(scope="module")
def events(feed: Feed) -> pd.DataFrame:
    return feed.events()


def checksums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Feed(SMALL).write(tmp_path / name)
    assert checksums(tmp_path / "one") == checksums(tmp_path / "two")
    assert list(checksums(tmp_path / "one")) == ["README.md", "events.csv", "items.jsonl", "users.csv"]


def test_another_seed_gives_another_feed(events: pd.DataFrame) -> None:
    assert not Feed(FeedConfig(users=300, items=600, days=6, seed=2)).events().equals(events)


def test_posts_live_a_day_or_two_and_nothing_happens_outside(feed: Feed, events: pd.DataFrame) -> None:
    items = feed.items().set_index(ITEM_ID)
    hours = (items[AVAILABLE_UNTIL] - items[AVAILABLE_FROM]).dt.total_seconds() / 3600
    assert hours.between(18, 48).all()
    its, moments = items.loc[events[ITEM_ID]], events[TIMESTAMP].dt.tz_localize(None).to_numpy()
    assert (its[AVAILABLE_FROM].to_numpy() <= moments).all() and (moments < its[AVAILABLE_UNTIL].to_numpy()).all()


def test_nobody_sees_a_post_twice_and_who_reacts_has_seen_it(events: pd.DataFrame) -> None:
    pair = [USER_ID, ITEM_ID]
    assert not events.duplicated([*pair, EVENT]).any()
    seen = events[events[EVENT] == "view"].set_index(pair)[TIMESTAMP]
    reactions = events[events[EVENT] != "view"]
    assert (seen.loc[pd.MultiIndex.from_frame(reactions[pair])].to_numpy() < reactions[TIMESTAMP].to_numpy()).all()
    counts = events[EVENT].value_counts()
    assert counts["view"] > counts["like"] > counts["share"] > counts["follow"] > 0


def test_nobody_follows_an_author_again_at_once_and_sessions_belong_to_one_reader(feed: Feed, events: pd.DataFrame) -> None:
    follows = events[events[EVENT] == "follow"].merge(feed.items()[[ITEM_ID, "author"]], on=ITEM_ID)
    assert not follows.duplicated([USER_ID, "author"]).any()
    assert events.groupby(SESSION_ID)[USER_ID].nunique().eq(1).all()
    joined = feed.users().set_index(USER_ID)["joined_at"]
    assert (joined.loc[events[USER_ID]].to_numpy() <= events[TIMESTAMP].dt.tz_localize(None).to_numpy()).all()


def test_what_suits_is_liked_and_looked_at_longer(feed: Feed, events: pd.DataFrame) -> None:
    views = events[events[EVENT] == "view"]
    users = pd.Index(feed.user_ids).get_indexer(pd.Index(views[USER_ID])).astype(np.int32)
    suits = feed.liking(users, pd.Index(feed.item_ids).get_indexer(pd.Index(views[ITEM_ID])).astype(np.int32))
    assert ((suits >= 0) & (suits <= 1)).all()
    assert np.corrcoef(suits, views["dwell_seconds"])[0, 1] > 0.4
    liked = set(zip(*(events.loc[events[EVENT] == "like", column] for column in (USER_ID, ITEM_ID)), strict=True))
    is_liked = np.array([pair in liked for pair in zip(views[USER_ID], views[ITEM_ID], strict=True)])
    assert suits[is_liked].mean() > 1.5 * suits[~is_liked].mean()


@pytest.mark.parametrize(("users", "items", "days"), [(1, 1, 1), (1, 40, 3), (40, 1, 3)])
def test_tiny_feeds_work(users: int, items: int, days: int, tmp_path: Path) -> None:
    files = Feed(FeedConfig(users=users, items=items, days=days)).write(tmp_path)
    assert len(files.items.read_text(encoding="utf-8").splitlines()) == items


def test_size_that_is_no_size_is_refused() -> None:
    with pytest.raises(DataError, match="days is 0"):
        FeedConfig(days=0)


def test_all_files_say_that_they_are_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_csv = write_sample(SampleSource(kind="feed", users=300, items=600, days=6), tmp_path)
    assert "**All of this is simulated.**" in as_csv.readme.read_text(encoding="utf-8")
    monkeypatch.setattr(samples, "CSV_LIMIT", 100)
    as_parquet = Feed(SMALL).write(tmp_path)
    assert not as_csv.events.exists()
    assert pq.read_metadata(as_parquet.events).num_rows == as_parquet.num_rows == as_csv.num_rows
    assert pq.read_schema(as_parquet.events).metadata[b"simulated"] == b"true"


def test_the_recipe_takes_in_every_row(tmp_path: Path) -> None:
    files = Feed(SMALL).write(tmp_path / "feed")
    home = Home.open(tmp_path / "home")
    home.create_tables(retention_days=30)
    report = ingest(home, load_recipe(RECIPE), files.folder, "r1", now=datetime(2026, 11, 1, tzinfo=UTC))
    assert report.tables["events"].accepted == files.num_rows
    assert (report.tables["items"].accepted, report.tables["users"].accepted) == (600, 300)


def test_a_folder_that_is_written_again_is_not_called_whole_before_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Feed(SMALL).write(tmp_path)
    monkeypatch.setattr(Feed, "hours", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Feed(SMALL).write(tmp_path)
    assert not written.readme.exists()
