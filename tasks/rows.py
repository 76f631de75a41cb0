"""Rows come in and are held against their contracts."""

from __future__ import annotations

from typing import Any

from prefect import get_run_logger

from bowerbird.pipeline import session, written
from bowerbird.pipeline.run import Run, pin_versions
from bowerbird.recipe_knowledge import Knowledge
from bowerbird.sources.intake import IngestReport
from bowerbird.text.knowledge import Report
from tasks import artifacts
from tasks.policies import retried


@retried("Bring the rows in")
def ingest(run: Run) -> Run:
    """Read the source into the tables; return the run with the versions that it reads from now on."""
    with session.timed(run, "ingest"):
        report = session.ingest_source(run)
    for message in report.messages:
        get_run_logger().info(message)
    artifacts.show_table(run, "rows", _rows(report), "What came in: read = accepted + quarantined + duplicates")
    return pin_versions(run)


@retried("Ask for knowledge of the items")
def ask_for_knowledge(run: Run, asked: Knowledge) -> Report:
    """Have a language model write what it knows of each item, once."""
    with session.timed(run, "knowledge"):
        report = written.write_knowledge(run, asked)
    get_run_logger().info(report.sentence())
    return report


@retried("Delete what is beyond the rollback horizon")
def tidy(run: Run) -> None:
    """Delete files and folders that no rollback needs any more."""
    tidied = session.tidy(run)
    found = (tidied.num_files, tidied.num_runs, tidied.num_cached)
    get_run_logger().info("%d files of tables, what %d runs have left beside their report, %d fits and results", *found)


def _rows(report: IngestReport) -> list[dict[str, Any]]:  # Any: cells
    return [
        {
            "table": name,
            "read": intake.read,
            "accepted": intake.accepted,
            "quarantined": intake.num_quarantined,
            "duplicates": intake.duplicates,
            "reasons": ", ".join(f"{reason} {count}" for reason, count in intake.quarantined.items() if count),
        }
        for name, intake in report.tables.items()
    ]
