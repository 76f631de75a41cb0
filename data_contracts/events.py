"""The contract of the event log, and of logged feedback: what was counted at any size, and a sample through every rule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from bowerbird.columns import EVENT_ID
from bowerbird.errors import RecipeError
from bowerbird.recipe import Recipe
from bowerbird.sources.intake import TableIntake
from bowerbird.warehouse.rules import event_rules, feedback_rules
from data_contracts.results import ContractResult
from data_contracts.rows import SAMPLE_ROWS, result, unique, validate_intake, validate_sample

if TYPE_CHECKING:
    import duckdb

    from data_contracts.engine import Demand


def validate_events(
    con: duckdb.DuckDBPyConnection,
    recipe: Recipe,
    intake: TableIntake | None = None,
    *,
    now: datetime,
    run_id: str | None = None,
    sample_rows: int = SAMPLE_ROWS,
) -> ContractResult:
    """Hold the view ``events``, and what the ingest counted, against the contract of the event log.

    Parameters
    ----------
    now
        The ingest clock.
    run_id
        Only rows that this run has brought in are held against the recipe's rules, since those before may have come in under
        others; all rows where None.
    """
    if recipe.source.events is None:
        raise RecipeError(f"the recipe {recipe.name} has no events", next_step="add [source.events]")
    counted = [] if intake is None else validate_intake(con, "events", intake)
    rules = event_rules(recipe, recipe.source.events, now=now)
    chosen = ("run_id = $run_id", {"run_id": run_id}) if run_id is not None else None
    sampled = validate_sample(
        con, "events", key=EVENT_ID, rules=rules, further=_identified(), sample_rows=sample_rows, only=chosen
    )
    return result("events", counted, sampled)


def validate_feedback(
    con: duckdb.DuckDBPyConnection, intake: TableIntake | None = None, *, now: datetime, sample_rows: int = SAMPLE_ROWS
) -> ContractResult:
    """Hold the view ``feedback``, and what the ingest counted, against the contract of logged impressions."""
    counted = [] if intake is None else validate_intake(con, "feedback", intake)
    rules = feedback_rules(now=now)
    sampled = validate_sample(con, "feedback", key=EVENT_ID, rules=rules, further=_identified(), sample_rows=sample_rows)
    return result("feedback", counted, sampled)


def _identified() -> Sequence[Demand]:
    """Demand of each row an identity of its own and a place that it came from."""
    from data_contracts.engine import Demand
    from data_contracts.great import gxe

    there = [Demand(f"{name} is not null", name, gxe.ExpectColumnValuesToNotBeNull(column=name)) for name in ORIGIN]
    length = gxe.ExpectColumnValueLengthsToEqual(column=EVENT_ID, value=32)
    return [unique(EVENT_ID), Demand("event_id is an md5", EVENT_ID, length), *there]


ORIGIN = (EVENT_ID, "source_file", "source_row", "run_id")
