"""Tables are held against their contracts, in Great Expectations; a broken one ends the run before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from prefect import get_run_logger, task

from bowerbird.errors import CheckError
from bowerbird.pipeline import session
from bowerbird.pipeline.prepare import Plan, reading
from bowerbird.pipeline.release import Prepared, check_lists
from bowerbird.pipeline.run import KNOWLEDGE, Run
from bowerbird.text.knowledge import Report
from bowerbird.warehouse.recommendation_checks import broken_in_words
from data_contracts.events import validate_events, validate_feedback
from data_contracts.features import validate_features
from data_contracts.items import validate_items
from data_contracts.knowledge import validate_knowledge
from data_contracts.recommendations import validate_recommendations
from data_contracts.results import ContractResult
from data_contracts.users import validate_users
from tasks import artifacts


@task(name="Hold the rows against their contracts")
def rows(run: Run) -> None:
    """Hold what was counted, at any size, and a sample of the accepted rows against the contract of each table."""
    source, now = run.recipe.source, datetime.now(UTC)
    intakes = session.ingest_report(run).tables
    with session.timed(run, "contracts"), reading(run) as con:
        results = [
            *([validate_events(con, run.recipe, intakes["events"], now=now, run_id=run.run_id)] if source.events else []),
            *([validate_feedback(con, intakes["feedback"], now=now)] if source.feedback else []),
            *([validate_items(con, run.recipe, intakes["items"])] if source.items else []),
            *([validate_users(con, intakes["users"])] if source.users else []),
        ]
    require(run, "row-contracts", results)


@task(name="Hold the knowledge against its contract")
def knowledge(run: Run, report: Report) -> None:
    """Hold what a language model has written against its contract, and what was counted of it."""
    with session.timed(run, "contracts"), reading(run) as con:
        con.from_parquet(str(run.folder / KNOWLEDGE)).create_view("knowledge")
        result = validate_knowledge(con, run.recipe, report)
    require(run, "knowledge-contract", [result])


@task(name="Hold the features against their contracts")
def features(run: Run, paths: list[str]) -> None:
    """Hold each feature table against its contract."""
    with session.timed(run, "contracts"), reading(run) as con:
        results = validate_features(con, [Path(path) for path in paths])
    require(run, "feature-contracts", results)


@task(name="Check the lists")
def lists(run: Run, prepared: Prepared, plan: Plan) -> str:
    """Hold the set against the contract of a recommendation set; return in words what is broken, for the gate to reject it."""
    with session.timed(run, "check"), reading(run) as con:
        checks = check_lists(run, prepared, plan)
        result = validate_recommendations(con, checks)
    broken = broken_in_words(checks)
    (show if broken else require)(run, "list-contract", [result])
    return broken


def require(run: Run, name: str, results: Sequence[ContractResult]) -> None:
    """Show the results as a table; raise CheckError where a contract is broken."""
    show(run, name, results)
    broken = [result.sentence() for result in results if not result.success]
    if broken:
        raise CheckError("; ".join(broken), next_step="nothing was published; look at the contract's artifact and the report")


def show(run: Run, name: str, results: Sequence[ContractResult]) -> None:
    """Show the results as a table."""
    cells = [{"table": result.table} | asdict(row) for result in results for row in result.rows]
    artifacts.show_table(run, name, cells, "; ".join(result.sentence() for result in results))
    for result in results:
        get_run_logger().info(result.sentence())
