"""Writes the simulated feed's files: events as CSV or Parquet, posts as JSON lines, users as CSV, and a README."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from bowerbird.columns import AVAILABLE_FROM, AVAILABLE_UNTIL, CREATED_AT, ITEM_ID, USER_ID
from bowerbird.sources.feed_walk import EVENTS, Events
from bowerbird.sources.samples import begin_folder

if TYPE_CHECKING:
    from bowerbird.sources.feed import Feed

MOMENT: Final = pa.timestamp("s")
SCHEMA: Final = pa.schema(
    {
        "user": pa.string(),
        "post": pa.string(),
        "event": pa.string(),
        "time": MOMENT,
        "session": pa.int64(),
        "dwell_seconds": pa.int32(),
    }
)


@dataclass(frozen=True)
class FeedFiles:
    """What was written: paths and rows."""

    folder: Path
    events: Path
    items: Path
    users: Path
    readme: Path
    num_rows: int
    """Rows of the events file, its header not counted."""


def write_files(feed: Feed, folder: Path) -> FeedFiles:
    """Write all files of the feed; the README comes last, so it marks a whole folder."""
    events, readme = begin_folder(folder, expected_events=feed.expected_events)
    files = FeedFiles(folder, events, folder / "items.jsonl", folder / "users.csv", readme, _events(events, feed))
    posts = _spelled(feed.items(), CREATED_AT, AVAILABLE_FROM, AVAILABLE_UNTIL).rename(columns={ITEM_ID: "post"})
    posts.to_json(files.items, orient="records", lines=True, force_ascii=False)
    _spelled(feed.users(), "joined_at").rename(columns={USER_ID: "user"}).to_csv(files.users, index=False)
    files.readme.write_text(_readme(feed, files), encoding="utf-8")
    return files


def _events(path: Path, feed: Feed) -> int:
    """Write the events hour by hour, so that memory does not grow with the number of days; return how many."""
    metadata = {"title": feed.title, "simulated": "true"}
    if path.suffix == ".csv":
        writer = pc.CSVWriter(path, SCHEMA, write_options=pc.WriteOptions(quoting_style="none"))
    else:
        writer = pq.ParquetWriter(path, SCHEMA.with_metadata(metadata), compression="zstd")
    num_rows = 0
    with writer:
        for table in _tables(feed):
            writer.write_table(table)
            num_rows += len(table)
    return num_rows


def _tables(feed: Feed) -> Iterator[pa.Table]:
    """Turn the feed's hours into tables of a day's hours at most, in the file's columns."""
    users, posts, kinds = (pa.array(ids, pa.string()) for ids in (feed.user_ids, feed.item_ids, EVENTS))
    start = int(pd.Timestamp(feed.start, tz="UTC").timestamp())
    for events in _days(feed):
        columns = [
            users.take(pa.array(events.user)),
            posts.take(pa.array(events.post)),
            kinds.take(pa.array(events.event)),
            pa.array(events.second + start).cast(MOMENT),
            pa.array(events.session),
            pa.array(events.dwell, mask=events.dwell < 0),
        ]
        yield pa.table(columns, schema=SCHEMA)


def _days(feed: Feed) -> Iterator[Events]:
    """Put two dozen hours together: small tables make large files."""
    waiting: list[Events] = []
    for events in feed.hours():
        waiting.append(events)
        if len(waiting) == 24:
            yield Events.join(waiting)
            waiting = []
    if waiting:
        yield Events.join(waiting)


def _spelled(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Spell times as ISO 8601 in UTC, to the second."""
    texts = {
        column: np.char.add(np.datetime_as_string(frame[column].to_numpy("datetime64[s]")), "Z").astype(object)
        for column in columns
    }
    return frame.assign(**texts)


def _readme(feed: Feed, files: FeedFiles) -> str:
    config = feed.config
    return f"""# {feed.title}

**All of this is simulated.** No person, post or follow in this folder exists. It was made by
`bowerbird sample --kind feed --users {config.users} --items {config.items} --days {config.days} --seed {config.seed}`; the
same numbers give the same files.

- `{files.events.name}`: {files.num_rows:,} views, likes, shares and follows
- `{files.items.name}`: {config.items:,} posts
- `{files.users.name}`: {config.users:,} users

How the feed works stands in Bowerbird's `docs/reference/sample.md`.
"""
