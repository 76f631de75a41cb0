"""The published set: what readers see, who put it there, and the way back.

The table ``recommendations`` alone says who is champion: a commit of it that carries ``bowerbird.run_id`` is a publish. The table
``similar_items`` is written before that commit and carries the run's id too. What it shows holds only with the recommendations of
the same run, so readers take the version that the published run has written, and none where it has written none: then a run
that was killed in between, or a rollback, changes nothing that does not belong together.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow.parquet import ParquetFile, read_table

from bowerbird.columns import ITEM_ID, RANK, RUN_ID, SCORE, USER_ID
from bowerbird.errors import UserError
from bowerbird.store.home import RECOMMENDATIONS, SIMILAR_ITEMS, Home

if TYPE_CHECKING:
    from deltalake import DeltaTable

RUN, KIND, CHECKSUM, ROLLED_BACK_TO = "bowerbird.run_id", "bowerbird.kind", "bowerbird.checksum", "bowerbird.rolled_back_to"
BY, REASON = "bowerbird.by", "bowerbird.reason"


@dataclass(frozen=True)
class Publish:
    """One publish: the table's version, the run whose lists it shows, and how it came about."""

    version: int
    run_id: str
    kind: str
    """``publish``, ``approve``, ``force``, ``deadline`` or ``rollback``."""
    at: datetime
    checksum: str
    rolled_back_to: int | None = None
    by: str = ""
    reason: str = ""


def checksum(path: Path) -> str:
    """Return the SHA-256 over the rows of a Parquet file that is sorted by user, then rank: user, rank, item, score.

    Each column is one stream of bytes, so equal rows have equal checksums however the file is cut into row groups.
    """
    columns = {USER_ID: pa.large_string(), RANK: pa.int32(), ITEM_ID: pa.large_string(), SCORE: pa.float64()}
    values = {name: hashlib.sha256() for name in columns}
    lengths = {name: hashlib.sha256() for name in columns}
    for batch in ParquetFile(path).iter_batches(columns=list(columns)):
        for name, kind in columns.items():
            column = batch.column(name).cast(kind)
            assert column.null_count == 0, f"{name} of a set is never null"
            if kind == pa.large_string():
                text, ends = _letters(column)
                values[name].update(text)
                lengths[name].update(np.diff(ends).data)
            else:
                numbers = column.to_numpy() + kind.to_pandas_dtype()(0)  # -0.0 equals 0.0
                values[name].update(numbers.data)
    whole = hashlib.sha256()
    for name in columns:
        whole.update(values[name].digest() + lengths[name].digest())
    return whole.hexdigest()


def _letters(column: pa.LargeStringArray) -> tuple[memoryview, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return the bytes of all texts, one after the other, and where each begins and ends among them."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int64, count=len(column) + 1, offset=column.offset * 8)
    return memoryview(data or b"")[ends[0] : ends[-1]], ends


def history(home: Home) -> list[Publish]:
    """Return all publishes, newest first."""
    return [_read(commit) for commit in home.recommendations.commits() if RUN in commit]


def _read(commit: dict[str, Any]) -> Publish:  # Any: JSON
    at = datetime.fromtimestamp(commit["timestamp"] / 1000, UTC)
    back = commit.get(ROLLED_BACK_TO)
    return Publish(
        int(commit["version"]), commit[RUN], commit[KIND], at, commit[CHECKSUM], int(back) if back else None,
        commit.get(BY, ""), commit.get(REASON, ""),
    )  # fmt: skip


def current(home: Home) -> Publish | None:
    """Return what is published now, or None."""
    return next(iter(history(home)), None)


def of_run(home: Home, run_id: str) -> Publish | None:
    """Return the publish that a run has made, or None."""
    return next((found for found in history(home) if found.run_id == run_id and found.kind != "rollback"), None)


def publish(
    home: Home,
    lists: Path,
    *,
    run_id: str,
    handle: DeltaTable,
    similar: Path | None = None,
    kind: str = "publish",
    by: str = "",
    reason: str = "",
) -> int:
    """Replace the published set in one commit, the only point of no return; return its version.

    ``lists`` is a Parquet file with the columns of a set, sorted by user, then rank. ``handle`` was opened when the
    champion was read: if anybody has committed since, no set is written. A run that has published already is not
    published again, so a retry is harmless. ``similar`` is the run's Parquet file of similar items, where it has made one.

    Raises
    ------
    PublishConflictError
        Where the handle is stale.
    HomeError, DiskFullError
        Where the disk does not take the set.
    """
    done = of_run(home, run_id)
    if done is not None:
        return done.version
    if similar is not None and similar.exists():
        _write_similar_items(home, similar, run_id)
    batches = ParquetFile(lists).iter_batches(columns=RECOMMENDATIONS.names)
    rows = pa.RecordBatchReader.from_batches(RECOMMENDATIONS, map(_as_set, batches))
    metadata = {RUN: run_id, KIND: kind, CHECKSUM: checksum(lists), BY: by, REASON: reason}
    return home.recommendations.overwrite(rows, metadata=metadata, handle=handle)


def _write_similar_items(home: Home, similar: Path, run_id: str) -> None:
    rows = read_table(similar)
    rows = rows.append_column(RUN_ID, pa.array([run_id] * len(rows), pa.string())).select(SIMILAR_ITEMS.names).cast(SIMILAR_ITEMS)
    home.similar_items.overwrite(rows, metadata={RUN: run_id})


def similar_versions(home: Home) -> dict[str, int]:
    """Return the version of ``similar_items`` that each run has written last, by the run's id."""
    return {commit[RUN]: int(commit["version"]) for commit in reversed(home.similar_items.commits()) if RUN in commit}


def read_similar_items(home: Home, item_id: str) -> pd.DataFrame:
    """Return what is most like an item, as of the published run, best first; no rows where that run compared no items."""
    from bowerbird.store.tables import relation
    from bowerbird.warehouse.connection import connect

    present = current(home)
    version = similar_versions(home).get(present.run_id) if present else None
    with connect() as con:
        relation(con, home.similar_items, "alike", version=0 if version is None else version)
        found: pd.DataFrame = con.execute("select * from alike where item_id = ? order by rank", [item_id]).df()
        return found


def _as_set(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give rows the columns of a set; null where an earlier version did not make them."""
    columns = [
        batch.column(field.name).cast(field.type) if field.name in batch.schema.names else pa.nulls(len(batch), field.type)
        for field in RECOMMENDATIONS
    ]
    return pa.RecordBatch.from_arrays(columns, schema=RECOMMENDATIONS)


def rollback(home: Home, version: int | None = None, *, retention_days: int, by: str = "", reason: str = "") -> Publish:
    """Bring an earlier publish back as a new commit.

    Without ``version`` that is what was shown before the present set was published, so a second rollback goes further
    back, and what has been rolled back from does not return. A set is within reach until ``retention_days`` after it was
    last shown.

    Raises
    ------
    UserError
        Where there is nothing to go back to, no such publish, one that is shown already, or one beyond the horizon.
    HomeError
        Where files of that publish are gone.
    PublishConflictError
        Where somebody has published in between.
    """
    publishes = history(home)
    target = _target(publishes, version)
    gone = _last_shown_until(publishes, target)
    if gone < _horizon(retention_days):
        raise UserError(
            f"version {target.version} was last shown on {gone:%Y-%m-%d}, beyond the rollback horizon of {retention_days} days",
            next_step="choose a newer version from 'bowerbird history'",
        )
    metadata = {RUN: target.run_id, KIND: "rollback", CHECKSUM: target.checksum, BY: by, REASON: reason}
    home.recommendations.restore(target.version, metadata=metadata | {ROLLED_BACK_TO: str(target.version)})
    return history(home)[0]


def reachable(home: Home, *, retention_days: int) -> list[Publish]:
    """Return what is shown now and what a rollback can bring back: the publishes last shown within the horizon."""
    publishes, horizon = history(home), _horizon(retention_days)
    return [one for one in publishes if one.kind != "rollback" and _last_shown_until(publishes, one) >= horizon]


def _horizon(retention_days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=retention_days)


def _target(publishes: list[Publish], version: int | None) -> Publish:
    """Choose the publish to go back to; never a rollback, but the publish whose lists it shows."""
    if not publishes:
        raise UserError("nothing has been published yet", next_step="run 'bowerbird run' first")
    shown = _original(publishes, publishes[0])
    if version is None:
        return _before(publishes, shown)
    found = next((one for one in publishes if one.version == version), None)
    if found is None:
        raise UserError(
            f"version {version} is no publish; there are {[one.version for one in publishes]}", next_step="choose one of these"
        )
    target = _original(publishes, found)
    if target == shown:
        raise UserError(f"the lists of version {version} are shown already", next_step="choose another from 'bowerbird history'")
    return target


def _before(publishes: list[Publish], shown: Publish) -> Publish:
    """Find what was shown before a publish, past sets that are equal to it."""
    found = shown
    while found.checksum == shown.checksum:
        earlier = next((one for one in publishes if one.version < found.version), None)
        if earlier is None:
            raise UserError(f"there is no publish before version {shown.version}", next_step="'bowerbird history' shows all")
        found = _original(publishes, earlier)
    return found


def _last_shown_until(publishes: list[Publish], target: Publish) -> datetime:
    """Return when the lists of a publish, brought back or not, were last replaced; now, while they are shown."""
    until = datetime.now(UTC)
    for one in publishes:
        if _original(publishes, one) == target:
            return until
        until = one.at
    return until


def _original(publishes: list[Publish], one: Publish) -> Publish:
    """Follow a rollback to the publish whose lists it shows."""
    while one.rolled_back_to is not None:
        back = one.rolled_back_to
        one = next(found for found in publishes if found.version == back)
    return one


def read_lists(home: Home, user_id: str, *, version: int | None = None) -> pd.DataFrame:
    """Return one user's published list, best first; no rows for a user who has none."""
    from bowerbird.store.tables import relation
    from bowerbird.warehouse.connection import connect

    with connect() as con:
        relation(con, home.recommendations, "published", version=version)
        found: pd.DataFrame = con.execute("select * from published where user_id = ? order by rank", [user_id]).df()
        return found
