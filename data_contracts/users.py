"""The contract of the users' table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bowerbird.columns import USER_ID
from bowerbird.sources.intake import TableIntake
from bowerbird.warehouse.rules import user_rules
from data_contracts.results import ContractResult
from data_contracts.rows import SAMPLE_ROWS, result, unique, validate_intake, validate_sample

if TYPE_CHECKING:
    import duckdb


def validate_users(
    con: duckdb.DuckDBPyConnection, intake: TableIntake | None = None, *, sample_rows: int = SAMPLE_ROWS
) -> ContractResult:
    """Hold the view ``users``, and what the ingest counted, against the contract of the users' table."""
    counted = [] if intake is None else validate_intake(con, "users", intake)
    sampled = validate_sample(con, "users", key=USER_ID, rules=user_rules(), further=[unique(USER_ID)], sample_rows=sample_rows)
    return result("users", counted, sampled)
