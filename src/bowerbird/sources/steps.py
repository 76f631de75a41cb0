"""What the steps of an ingest share: the state of one ingest, its statements, and the comparison of identities."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from bowerbird.recipe import Recipe
from bowerbird.sources.intake import IngestReport
from bowerbird.sources.staging import Staged
from bowerbird.store.home import Home
from bowerbird.store.tables import Table, relation

logger = logging.getLogger(__name__)

SQL = Path(__file__).parent / "sql"
APPENDED = ("events", "feedback")


@dataclass
class Ingest:
    """What the steps of one ingest share."""

    home: Home
    recipe: Recipe
    con: duckdb.DuckDBPyConnection
    scratch: Path
    report: IngestReport
    staged: dict[str, Staged] = field(default_factory=dict)
    compared: str = ""
    """The table whose rows ``repeated``, ``known`` and ``candidates`` are about."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the seconds that a step takes to the report."""
        start = time.perf_counter()
        yield
        self.report.seconds[name] = self.report.seconds.get(name, 0.0) + time.perf_counter() - start

    def tell(self, message: str) -> None:
        """Log a message and keep it for the report."""
        logger.info("%s", message)
        self.report.messages.append(message)


def table_of(home: Home, name: str) -> Table:
    """Return a table of a home by its name."""
    table = getattr(home, name)
    assert isinstance(table, Table)
    return table


def read_sql(name: str) -> str:
    """Return a statement of ours by name."""
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


def count_of(con: duckdb.DuckDBPyConnection, query: str) -> int:
    """Return the one number that a query gives."""
    return int(con.execute(query).fetchall()[0][0])


def compare(run: Ingest, name: str) -> None:
    """Find equal rows among the staged ones, and those that the table holds; makes ``repeated``, ``known``, ``candidates``."""
    run.staged[name].show(run.con)
    relation(run.con, table_of(run.home, name), "stored")
    if run.compared == name:
        return
    run.con.execute(read_sql("repeated"), {"keep": run.recipe.contracts.duplicates == "keep"})
    run.con.execute(read_sql("candidates"))
    run.con.execute(read_sql("known"))
    run.compared = name
