"""Delta tables: one commit, one version; read through DuckDB as the Parquet files that a version names.

Paths are joined by hand: ``DeltaTable.file_uris`` breaks on spaces and letters outside ASCII.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa

from bowerbird.errors import PublishConflictError

if TYPE_CHECKING:
    import duckdb
    from deltalake import DeltaTable

UNBORN = -1
LOG_RETENTION = "interval 3650 days"


@dataclass(frozen=True)
class Table:
    """A Delta table at ``path`` that begins with the columns of ``schema``."""

    path: Path
    schema: pa.Schema

    def exists(self) -> bool:
        """Tell whether the table has been created."""
        return (self.path / "_delta_log").is_dir()

    def create(self, *, retention_days: int) -> None:
        """Create the table where it is missing; the caller holds the lock, for of two creators the last wins."""
        from deltalake import DeltaTable

        if not self.exists():
            kept = {
                "delta.logRetentionDuration": LOG_RETENTION,
                "delta.deletedFileRetentionDuration": f"interval {retention_days} days",
            }
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
        return f"{self.open().metadata().id}@{self.version()}" if self.exists() else "none"

    def files(self, version: int | None = None) -> list[str]:
        """Return the absolute paths of the Parquet files of a version, in a fixed order."""
        if not self.exists():
            return []
        names = self.open(version).get_add_actions(flatten=True).column("path").to_pylist()
        return sorted(str(self.path / unquote(str(name))) for name in names)

    def append(self, rows: pa.Table | pa.RecordBatchReader, *, metadata: Mapping[str, str]) -> int:
        """Append rows in one commit, new columns added to the table; return the new version."""
        from deltalake import CommitProperties, write_deltalake

        handle = self.open()
        write_deltalake(
            handle, rows, mode="append", schema_mode="merge", commit_properties=CommitProperties(custom_metadata=dict(metadata))
        )
        return self.version()

    def overwrite(
        self, rows: pa.Table | pa.RecordBatchReader, *, metadata: Mapping[str, str], handle: DeltaTable | None = None
    ) -> int:
        """Replace all rows in one commit; through ``handle`` only if nobody has committed since it was opened.

        Raises
        ------
        PublishConflictError
            Where the handle is stale.
        """
        from deltalake import CommitProperties, write_deltalake
        from deltalake.exceptions import CommitFailedError

        target = handle or self.open()
        try:
            write_deltalake(
                target,
                rows,
                mode="overwrite",
                schema_mode="overwrite",
                commit_properties=CommitProperties(custom_metadata=dict(metadata), max_commit_retries=0),
            )
        except CommitFailedError as error:
            raise PublishConflictError(
                f"somebody else has committed to {self.path.name!r} since version {target.version()}",
                next_step="run again: the decision is made anew against what is published now",
            ) from error
        return self.version()

    def commits(self) -> list[dict[str, Any]]:  # Any: JSON
        """Return what is known of each commit, newest first."""
        return list(self.open().history()) if self.exists() else []


def relation(con: duckdb.DuckDBPyConnection, table: Table, name: str, *, version: int | None = None) -> None:
    """Make the temporary view ``name`` over a table's rows; an empty table has its columns and no rows.

    ``name`` is ours, never the user's.
    """
    files = table.files(version)
    if files:
        con.from_parquet(files, union_by_name=True).create_view(name, replace=True)
        return
    schema = pa.schema(table.open(version).schema()) if table.exists() else table.schema
    con.register(f"{name}_none", pa.Table.from_batches([], schema=schema))
    con.execute(f"create or replace temp view {name} as select * from {name}_none")  # noqa: S608 - our own names
