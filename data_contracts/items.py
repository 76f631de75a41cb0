"""The contract of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bowerbird.columns import ITEM_ID
from bowerbird.recipe import Recipe
from bowerbird.sources.intake import TableIntake
from bowerbird.warehouse.rules import item_rules
from data_contracts.results import ContractResult
from data_contracts.rows import SAMPLE_ROWS, result, unique, validate_intake, validate_sample

if TYPE_CHECKING:
    import duckdb


def validate_items(
    con: duckdb.DuckDBPyConnection, recipe: Recipe, intake: TableIntake | None = None, *, sample_rows: int = SAMPLE_ROWS
) -> ContractResult:
    """Hold the view ``items``, and what the ingest counted, against the contract of the catalogue."""
    counted = [] if intake is None else validate_intake(con, "items", intake)
    columns = list(recipe.source.items.columns) if recipe.source.items is not None else [ITEM_ID]
    rules = item_rules(columns)
    sampled = validate_sample(con, "items", key=ITEM_ID, rules=rules, further=[unique(ITEM_ID)], sample_rows=sample_rows)
    return result("items", counted, sampled)
