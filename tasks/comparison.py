"""Two runs or versions side by side."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from bowerbird.pipeline.compare import compare
from bowerbird.report.tables import comparison_rows, comparison_text
from bowerbird.store.home import Home


@task(name="Compare two runs")
def compare_runs(home: Home, a: str, b: str) -> str:
    """Show the differences as a table, and what changed as text; return the sentence."""
    content = compare(home, a, b)
    create_table_artifact(comparison_rows(content), key="comparison", description=content["sentence"])
    create_markdown_artifact(comparison_text(content), key="comparison-changes")
    get_run_logger().info(content["sentence"])
    return str(content["sentence"])
