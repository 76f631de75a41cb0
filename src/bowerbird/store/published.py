"""The published set: what readers see, who put it there, and the way back.

The table alone says who is champion: a commit that carries ``bowerbird.run_id`` is a publish.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from pyarrow.parquet import ParquetFile

from bowerbird.columns import ITEM_ID, RANK, SCORE, USER_ID
from bowerbird.errors import PublishConflictError, UserError
from bowerbird.store.home import RECOMMENDATIONS, Home

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
    """``publish``, ``approve``, ``force`` or ``rollback``."""
    at: datetime
    checksum: str
    rolled_back_to: int | None = None
    by: str = ""
    reason: str = ""


def checksum(path: Path) -> str:
    """Return the SHA-256 over the rows of a Parquet file that is sorted by user, then rank: user, rank, item, score."""
    digest = hashlib.sha256()
    for batch in ParquetFile(path).iter_batches(columns=[USER_ID, RANK, ITEM_ID, SCORE]):
        for row in zip(*(batch.column(name).to_pylist() for name in (USER_ID, RANK, ITEM_ID, SCORE)), strict=True):
            digest.update(repr(row).encode())
    return digest.hexdigest()


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


def publish(
    home: Home, lists: Path, *, run_id: str, handle: DeltaTable, kind: str = "publish", by: str = "", reason: str = ""
) -> int:
    """Replace the published set in one commit, the only point of no return; return its version.

    ``lists`` is a Parquet file with the columns of a set, sorted by user, then rank. ``handle`` was opened when the
    champion was read: if anybody has committed since, nothing is written. A run that has published already is not
    published again, so a retry is harmless.

    Raises
    ------
    PublishConflictError
        Where the handle is stale.
    """
    done = next((found for found in history(home) if found.run_id == run_id and found.kind != "rollback"), None)
    if done is not None:
        return done.version
    file = ParquetFile(lists)
    rows = pa.RecordBatchReader.from_batches(RECOMMENDATIONS, (b.cast(RECOMMENDATIONS) for b in file.iter_batches()))
    metadata = {RUN: run_id, KIND: kind, CHECKSUM: checksum(lists), BY: by, REASON: reason}
    return home.recommendations.overwrite(rows, metadata=metadata, handle=handle)


def rollback(home: Home, version: int | None = None, *, retention_days: int, by: str = "", reason: str = "") -> Publish:
    """Bring an earlier publish back as a new commit; the publish before the present one where ``version`` is None.

    Raises
    ------
    UserError
        Where there is nothing to go back to, no such publish, or one whose files are beyond the horizon.
    """
    from deltalake import CommitProperties
    from deltalake.exceptions import CommitFailedError

    publishes = history(home)
    target = _target(publishes, version)
    if target.at < datetime.now(UTC) - timedelta(days=retention_days):
        raise UserError(
            f"version {target.version} is from {target.at:%Y-%m-%d}, beyond the rollback horizon of {retention_days} days",
            next_step="choose a newer version from 'bowerbird history'",
        )
    metadata = {RUN: target.run_id, KIND: "rollback", CHECKSUM: target.checksum, BY: by, REASON: reason}
    metadata[ROLLED_BACK_TO] = str(target.version)
    try:
        home.recommendations.open().restore(
            target.version, commit_properties=CommitProperties(custom_metadata=metadata, max_commit_retries=0)
        )
    except CommitFailedError as error:
        raise PublishConflictError("somebody else has published in between", next_step="look at 'bowerbird history'") from error
    return history(home)[0]


def _target(publishes: list[Publish], version: int | None) -> Publish:
    """Choose the publish to go back to: the newest one that shows other lists than the present one."""
    if not publishes:
        raise UserError("nothing has been published yet", next_step="run 'bowerbird run' first")
    if version is not None:
        found = next((one for one in publishes if one.version == version), None)
        if found is None:
            raise UserError(
                f"version {version} is no publish; there are {[one.version for one in publishes]}",
                next_step="choose one of these",
            )
        return found
    shown = _original(publishes, publishes[0])
    earlier = [one for one in publishes if one.version < shown.version and one.kind != "rollback"]
    if not earlier:
        raise UserError(f"there is no publish before version {shown.version}", next_step="'bowerbird history' shows all")
    return earlier[0]


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
