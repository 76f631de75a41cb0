"""Small sets of recommendations, written as a run writes them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bowerbird.store import published
from bowerbird.store.home import RECOMMENDATIONS, Home
from bowerbird.store.tables import relation
from bowerbird.warehouse.connection import connect


def lists_of(tag: str, *, users: int = 2, k: int = 2) -> pa.Table:
    """A set in which each item says which set it belongs to."""
    places = [(user, rank) for user in range(users) for rank in range(1, k + 1)]
    columns = {
        "user_id": [f"u{user:06d}" for user, _ in places],
        "item_id": [f"{tag} {user} {rank}" for user, rank in places],
        "score": [1.0 / rank for _, rank in places],
        "rank": [rank for _, rank in places],
        "source": ["model"] * len(places),
    }
    nothing = {name: [None] * len(places) for name in RECOMMENDATIONS.names if name not in columns}
    return pa.table(columns | nothing, schema=RECOMMENDATIONS)


def write_lists(folder: Path, tag: str, *, users: int = 2, k: int = 2, row_group_size: int = 1000) -> Path:
    path = folder / f"{tag}.parquet"
    pq.write_table(lists_of(tag, users=users, k=k), path, row_group_size=row_group_size)
    return path


def publish(home: Home, folder: Path, tag: str, *, users: int = 2, similar: Path | None = None) -> int:
    """Publish the set of a tag as the run of that name."""
    lists, handle = write_lists(folder, tag, users=users), home.recommendations.open()
    return published.publish(home, lists, run_id=f"run {tag}", handle=handle, similar=similar)


def write_similar(folder: Path, tag: str) -> Path:
    """What is like the item ``x``, as a run keeps it: one item that says which run it belongs to."""
    path = folder / f"similar-{tag}.parquet"
    rows = {"item_id": ["x"], "similar_item_id": [f"{tag} y"], "score": [0.5], "rank": pa.array([1], pa.int32())}
    pq.write_table(pa.table(rows), path)
    return path


def shown(home: Home, *, version: int | None = None) -> set[str]:
    """The tags of all rows that a reader sees."""
    with connect() as con:
        relation(con, home.recommendations, "seen", version=version)
        return {str(item).split(" ")[0] for (item,) in con.execute("select item_id from seen").fetchall()}
