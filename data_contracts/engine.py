"""Runs Great Expectations on DuckDB. Importing this module takes seconds, so import it where it is needed.

Great Expectations knows no DuckDB: its SQL engine reads results after it has closed the connection, which wipes them. The
engine here keeps one connection open, as Great Expectations itself does for SQLite.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Type  # noqa: UP035 - see DuckDBDatasource

import duckdb
import sqlalchemy as sa

from data_contracts.great import Expectation, ProgressBarsConfig, SqlAlchemyExecutionEngine, SQLDatasource, gx
from data_contracts.results import ContractRow

MEMORY_LIMIT = "768MB"


class DuckDBExecutionEngine(SqlAlchemyExecutionEngine):
    """The SQL engine with one connection that stays open."""

    @contextlib.contextmanager
    def get_connection(self) -> Iterator[sa.Connection]:
        """Yield the one connection."""
        if not self._connection:
            self._connection = self.engine.connect()
        yield self._connection


class DuckDBDatasource(SQLDatasource):
    """A DuckDB database as a source of tables."""

    type: Literal["duckdb"] = "duckdb"  # type: ignore[assignment]  # how Great Expectations registers a kind of source

    @property
    def execution_engine_type(self) -> Type[DuckDBExecutionEngine]:  # noqa: UP006 - the field above hides the builtin
        """Return the engine above."""
        return DuckDBExecutionEngine


@dataclass(frozen=True)
class Demand:
    """An expectation, how a reader calls it, and the column that it is about."""

    name: str
    column: str
    expectation: Expectation


@contextlib.contextmanager
def database(con: duckdb.DuckDBPyConnection, tables: Mapping[str, tuple[str, Mapping[str, object]]]) -> Iterator[Path]:
    """Write the results of queries, each with its parameters, as tables of a DuckDB file; yield its path, then remove it."""
    with tempfile.TemporaryDirectory(prefix="contract.") as folder:
        path = Path(folder) / "contract.duckdb"
        con.execute("attach $path as contract", {"path": str(path)})
        try:
            for name, (query, values) in tables.items():
                con.execute(f"create table contract.{name} as {query}", dict(values))
        finally:
            con.execute("detach contract")
        yield path


def validate(path: Path, table: str, demands: Sequence[Demand]) -> list[ContractRow]:
    """Hold a table of a DuckDB file against demands; the rows come in their order.

    An expectation that could not be evaluated is broken, and its error is what was observed.
    """
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    source = context.data_sources.add_duckdb(
        f"{table}_source",
        connection_string=f"duckdb:///{path}",
        kwargs={"connect_args": {"config": {"memory_limit": MEMORY_LIMIT}}},
    )
    batch = source.add_table_asset(table, table_name=table).add_batch_definition_whole_table("whole").get_batch()
    suite = gx.ExpectationSuite(name=table)
    places: dict[str, int] = {}  # an expectation that is asked for twice is evaluated once
    for place, demand in enumerate(demands):
        if places.setdefault(_key(demand), place) == place:
            demand.expectation.meta = {"place": place}
            suite.add_expectation(demand.expectation)
    try:
        found = batch.validate(suite, result_format={"result_format": "BASIC", "partial_unexpected_count": 0})
    finally:
        engine = source.get_execution_engine()
        if engine._connection:
            engine._connection.close()
        engine.engine.dispose()
    by_place = {result.expectation_config.meta["place"]: result for result in found.results}
    return [_row(demand, by_place[places[_key(demand)]]) for demand in demands]


def _key(demand: Demand) -> str:
    """Return what tells expectations apart."""
    configuration = demand.expectation.configuration
    return f"{configuration.type} {sorted(configuration.kwargs.items(), key=lambda pair: pair[0])}"


def _row(demand: Demand, result: Any) -> ContractRow:  # Any: Great Expectations has no types
    raised = _raised(result.exception_info or {})
    unexpected = int(result.result.get("unexpected_count") or 0)
    observed = result.result.get("observed_value")
    if demand.expectation.expectation_type == "unexpected_rows_expectation" and observed is not None:
        unexpected = int(observed)
    shown = raised or ("" if observed is None else str(observed))
    return ContractRow(demand.name, demand.column, bool(result.success) and not raised, shown, unexpected)


def _raised(info: Mapping[str, Any]) -> str:  # Any: Great Expectations has no types
    """Return the message of an expectation that raised; one that failed has none."""
    if "raised_exception" in info:
        return str(info["exception_message"]) if info["raised_exception"] else ""
    messages = [str(one["exception_message"]) for one in info.values() if one.get("raised_exception")]
    return messages[0] if messages else ""
