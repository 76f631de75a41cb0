"""Delta tables: one commit, one version; read through DuckDB as the Parquet files that a version names.

Paths are joined by hand: ``DeltaTable.file_uris`` breaks on spaces and letters outside ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa

from bowerbird.errors import DiskFullError, HomeError, PublishConflictError

if TYPE_CHECKING:
    import duckdb
    from deltalake import DeltaTable

UNBORN = -1
LOG_RETENTION = "interval 3650 days"
COLOURS = re.compile(r"\x1b\[[0-9;]*m|↳")
"""Delta draws its errors for a terminal."""


@dataclass(frozen=True)
class Table:
    """A Delta table at ``path`` that begins with the columns of ``schema``."""

    path: Path
    schema: pa.Schema

    def exists(self) -> bool:
        """Tell whether the table has been created: a creator that was killed leaves the folder of a log, and no commit."""
        return next((self.path / "_delta_log").glob("*.json"), None) is not None

    def create(self, *, retention_days: int) -> None:
        """Create the table where it is missing; the caller holds the lock, for of two creators the last wins."""
        from deltalake import DeltaTable

        if not self.exists():
            kept = {
                "delta.logRetentionDuration": LOG_RETENTION,
                "delta.deletedFileRetentionDuration": f"interval {retention_days} days",
            }
            with _told(self.path):
                DeltaTable.create(self.path, schema=self.schema, configuration=kept)

    def open(self, version: int | None = None) -> DeltaTable:
        """Return a handle on the newest version, or on a given one; a commit through a stale handle is refused."""
        from deltalake import DeltaTable

        return DeltaTable(self.path, version=version)

    def version(self) -> int:
        """Return the newest version, or -1 where the table is missing."""
        return int(self.open().version()) if self.exists() else UNBORN

    def identity(self) -> str:
        """Return what tells this table at this version from any other."""
        if not self.exists():
            return "none"
        opened = self.open()
        return f"{opened.metadata().id}@{opened.version()}"

    def files(self, version: int | None = None) -> list[str]:
        """Return the absolute paths of the Parquet files of a version, in a fixed order."""
        return self._files(self.open(version)) if self.exists() else []

    def _files(self, opened: DeltaTable) -> list[str]:
        names = opened.get_add_actions(flatten=True).column("path").to_pylist()
        return sorted(str(self.path / unquote(str(name))) for name in names)

    def read(self, version: int | None = None) -> tuple[pa.Schema, list[str]]:
        """Return the schema of a version and its ``files``, with one look at the table; our own schema where it is missing."""
        if not self.exists():
            return self.schema, []
        opened = self.open(version)
        return pa.schema(opened.schema()), self._files(opened)

    def append(self, rows: pa.Table | pa.RecordBatchReader, *, metadata: Mapping[str, str]) -> int:
        """Append rows in one commit, new columns added to the table; return the new version.

        Raises
        ------
        HomeError, DiskFullError
            Where the disk does not take them; the table is as it was.
        """
        from deltalake import CommitProperties, write_deltalake

        properties = CommitProperties(custom_metadata=dict(metadata))
        with _told(self.path):
            write_deltalake(self.open(), rows, mode="append", schema_mode="merge", commit_properties=properties)
        return self.version()

    def overwrite(
        self, rows: pa.Table | pa.RecordBatchReader, *, metadata: Mapping[str, str], handle: DeltaTable | None = None
    ) -> int:
        """Replace all rows in one commit; through ``handle`` only if nobody has committed since it was opened.

        Raises
        ------
        PublishConflictError
            Where the handle is stale.
        HomeError, DiskFullError
            Where the disk does not take the rows; the table is as it was.
        """
        from deltalake import CommitProperties, write_deltalake
        from deltalake.exceptions import CommitFailedError

        target = self.open() if handle is None else handle
        seen = target.version()
        properties = CommitProperties(custom_metadata=dict(metadata), max_commit_retries=0)
        try:
            with _told(self.path):
                write_deltalake(target, rows, mode="overwrite", schema_mode="overwrite", commit_properties=properties)
        except CommitFailedError as error:
            raise PublishConflictError(
                f"somebody else has committed to {self.path.name!r} since version {seen}",
                next_step="run again: the decision is made anew against what is published now",
            ) from error
        return self.version()

    def restore(self, version: int, *, metadata: Mapping[str, str]) -> int:
        """Show the rows of an earlier version again, in one commit that writes no rows; return the new version.

        Raises
        ------
        PublishConflictError
            Where somebody has committed in between.
        HomeError, DiskFullError
            Where files of that version are gone, or the disk does not take the commit.
        """
        from deltalake import CommitProperties
        from deltalake.exceptions import CommitFailedError, DeltaError

        properties = CommitProperties(custom_metadata=dict(metadata), max_commit_retries=0)
        try:
            with _told(self.path):
                self.open().restore(version, commit_properties=properties)
        except CommitFailedError as error:
            raise PublishConflictError(
                f"somebody else has committed to {self.path.name!r} in between", next_step="look at 'bowerbird history'"
            ) from error
        except DeltaError as error:
            if "missing file" not in str(error):
                raise
            raise HomeError(
                f"files of version {version} of {self.path.name!r} are gone", next_step="choose a newer version"
            ) from error
        return self.version()

    def sweep(self, *, retention_days: int, keep: Collection[int] = ()) -> int:
        """Delete the files that neither a version of the last days shows nor one to ``keep``; return how many.

        Files that no commit knows, as a full disk leaves them, go when they are as old. No commit is made. The caller holds
        the lock.
        """
        if not self.exists():
            return 0
        names = self.open().vacuum(
            retention_hours=24 * retention_days,
            dry_run=True,  # a vacuum of Delta's own makes two commits
            enforce_retention_duration=False,  # the setting may be shorter than the one that the table was created with
            full=True,
            keep_versions=sorted(keep) or None,
        )
        left = [path for path in (self.path / unquote(name) for name in names) if path.exists()]
        for path in left:
            path.unlink()
        return len(left)

    def commits(self) -> list[dict[str, Any]]:  # Any: JSON
        """Return what is known of each commit, newest first."""
        return list(self.open().history()) if self.exists() else []


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the operating system refused, however Delta wraps it, into a HomeError, or a DiskFullError where that is why.

    Files that a failed commit has written stay, for another writer's may be among them: nothing refers to them.
    """
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (DeltaError, OSError) as error:
        if "os error" not in str(error):
            raise
        said = " ".join(COLOURS.sub("", str(error)).split())
        is_full = DiskFullError.is_told_by(error)
        raise (DiskFullError if is_full else HomeError)(
            f"cannot write the table {str(path)!r}, which is as it was: {said}",
            next_step=f"{'free some space' if is_full else 'give permission'} and run again",
        ) from error


def relation(con: duckdb.DuckDBPyConnection, table: Table, name: str, *, version: int | None = None) -> None:
    """Make the temporary view ``name`` over a table's rows, its columns in the order of the table's schema.

    An empty table has its typed columns and no rows. ``name`` is ours, never the user's.
    """
    schema, files = table.read(version)
    con.register(f"{name}_none", pa.Table.from_batches([], schema=schema))
    text = f"select * from {name}_none"  # noqa: S608 - our own name
    if files:
        rows = con.from_parquet(files, union_by_name=True)
        rows.create_view(f"{name}_files", replace=True)  # a view of its own keeps the paths out of the text of SQL
        if set(schema.names) <= set(rows.columns):
            columns = ", ".join('"' + column.replace('"', '""') + '"' for column in schema.names)
            text = f"select {columns} from {name}_files"  # noqa: S608
        else:  # a column that came with no rows is in no file
            text += f" union all by name select * from {name}_files"  # noqa: S608
    con.execute(f"create or replace temp view {name} as {text}")
