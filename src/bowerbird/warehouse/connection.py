"""Opens DuckDB as Bowerbird uses it: in memory, in UTC, without a progress bar, and spilling where it is told to."""

from __future__ import annotations

from pathlib import Path

import duckdb


def connect(
    *, memory_limit: str | None = None, threads: int | None = None, temp: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """Open a database in memory.

    Parameters
    ----------
    memory_limit
        What DuckDB may hold, such as ``"3GB"``; its own default (80 % of the machine) where absent. The process takes up to
        half as much again, for what DuckDB does not count.
    threads
        All cores where absent.
    temp
        Folder that larger-than-memory steps spill to; made where it is missing.

    Returns
    -------
    duckdb.DuckDBPyConnection
        Close it, or use it in a ``with`` block.
    """
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")  # a day is 24 hours, whatever the machine's zone
    con.execute("set enable_progress_bar = false")
    if memory_limit is not None:
        con.execute("set memory_limit = $limit", {"limit": memory_limit})
    if threads is not None:
        con.execute("set threads = $threads", {"threads": threads})
    if temp is not None:
        temp.mkdir(parents=True, exist_ok=True)
        con.execute("set temp_directory = $temp", {"temp": str(temp)})
    return con
