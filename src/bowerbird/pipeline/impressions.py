"""Reads logged impressions of the test windows into a file of numbers, so that no more than a block of users is held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bowerbird.data.interactions import Ids
from bowerbird.evaluation.reward_model import NUM_FOLDS, Shown
from bowerbird.pipeline.prepare import Window
from bowerbird.warehouse.inputs import as_moment, statement

if TYPE_CHECKING:
    import duckdb

Codes = NDArray[np.int64]
BLOCK_USERS, BLOCK_ROWS = 20_000, 1 << 19
"""Users whose lists are held at a time, and about so many impressions at most."""
CODED = "impressions.parquet"


class Counts(NamedTuple):
    """The row of ``impression_counts.sql``."""

    num: int
    num_with_user: int
    num_kept: int
    num_users: int
    least: float | None


class Block(NamedTuple):
    """Impressions of a window and of some users; positions count from 0."""

    users: Codes
    items: Codes
    positions: Codes
    clicks: NDArray[np.float64]
    propensities: NDArray[np.float64]

    @property
    def shown(self) -> Shown:
        """What a reward model is fitted on; a user's impressions are in one fold."""
        return Shown(self.users % NUM_FOLDS, self.positions, self.items, self.clicks)


@dataclass(frozen=True, eq=False)
class Feedback:
    """Impressions in a file: users and items by number, in the order in which they come first."""

    path: Path
    user_ids: pa.Array
    item_ids: Ids
    block_users: int

    def blocks(self, window: int) -> Iterator[Block]:
        """Go through the impressions of a window, those of some users at a time."""
        for start in range(0, len(self.user_ids), self.block_users):
            users = [("user_number", ">=", start), ("user_number", "<", start + self.block_users)]
            table = pq.read_table(self.path, filters=[("window_number", "==", window), *users])
            if len(table):
                yield _block(table)

    def __iter__(self) -> Iterator[Shown]:
        """Go through all impressions as a reward model reads them."""
        for batch in pq.ParquetFile(self.path).iter_batches(BLOCK_ROWS):
            yield _block(batch).shown


def read_feedback(con: duckdb.DuckDBPyConnection, windows: Sequence[Window], folder: Path, *, k: int) -> Feedback | str:
    """Write the impressions that a list of ``k`` can be put beside to a folder, or say why there is nothing to judge."""
    copy_windows(con, windows, folder)
    counts = Counts(*con.execute(statement("impression_counts"), {"k": k}).fetchall()[0])
    reason = why_not(counts, k)
    if reason is not None:
        return reason
    for name in ("impression_users", "impression_items"):
        con.execute(f"create or replace temp table {name} as {statement(name)}", {"k": k})
    block = max(1, min(BLOCK_USERS, BLOCK_ROWS * counts.num_users // counts.num_kept))
    path = folder / CODED
    con.execute(f"copy ({statement('impressions')}) to $path (format parquet)", {"k": k, "block": block, "path": str(path)})
    user_ids, item_ids = (
        con.sql(f"select {what}_id from impression_{what}s order by number").to_arrow_table().column(0).combine_chunks()  # noqa: S608
        for what in ("user", "item")
    )
    return Feedback(path, user_ids, np.asarray(item_ids.to_pylist(), object), block)


def copy_windows(con: duckdb.DuckDBPyConnection, windows: Sequence[Window], folder: Path) -> None:
    """Make the view ``shown``: the impressions of each window with the number of the window and their place in it."""
    for number, window in enumerate(windows):
        path = str(folder / f"window-{number}.parquet")
        span = {"start": as_moment(window.cut.at), "end": as_moment(window.end)}
        con.execute(f"copy ({statement('feedback')}) to $path (format parquet)", span | {"path": path})
        con.read_parquet([path], file_row_number=True).create_view(f"shown_{number}", replace=True)
    parts = [
        f"select {number} as window_number, file_row_number as place, * exclude (file_row_number) from shown_{number}"  # noqa: S608
        for number in range(len(windows))
    ]
    con.execute("create or replace temp view shown as " + " union all ".join(parts))


def why_not(counts: Counts, k: int) -> str | None:
    """Say why nothing can be estimated from impressions; None where something can."""
    if not counts.num:
        return "no impressions were logged in the test windows"
    if not counts.num_with_user:
        return f"the {counts.num:,} impressions of the test windows have no user_id, so no list can be put beside them"
    if not counts.num_kept:
        return f"the impressions of the test windows are all below the {k} places of a list"
    if counts.least == 1:
        return "nothing was left to chance in what was logged: every propensity is 1"
    if counts.num_users < 2:
        return "the impressions of the test windows are one user's"
    return None


def _block(table: pa.Table | pa.RecordBatch) -> Block:
    codes = (table[name].to_numpy().astype(np.int64) for name in ("user_number", "item_number", "position"))
    return Block(*codes, *(_numbers(table[name]) for name in ("click", "propensity")))


def _numbers(column: Any) -> NDArray[np.float64]:  # Any: pyarrow's two kinds of columns have no type in common
    numbers: NDArray[np.float64] = column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
    return numbers.astype(np.float64)
