"""What a run leaves in the Prefect UI: tables, a picture, a link."""

from __future__ import annotations

import base64
from typing import Any

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from bowerbird.application import report_address
from bowerbird.pipeline.run import Run
from bowerbird.pipeline.tell_models import training_curves
from bowerbird.report.picture import curve_picture


def key(run: Run, name: str) -> str:
    """Return an artifact's key: one history a recipe, so that the UI shows how a figure changes from run to run."""
    return f"{run.recipe.name.replace('_', '-')}-{name}"


def show_table(run: Run, name: str, rows: list[dict[str, Any]], description: str) -> None:  # Any: cells
    """Show rows as a table."""
    create_table_artifact(rows, key=key(run, name), description=description)


def show_text(run: Run, name: str, text: str) -> None:
    """Show Markdown."""
    create_markdown_artifact(text, key=key(run, name))


def show_picture(run: Run, name: str, svg: str, description: str) -> None:
    """Show a drawing."""
    data = base64.b64encode(svg.encode()).decode()
    create_image_artifact(f"data:image/svg+xml;base64,{data}", key=key(run, name), description=description)


def show_report_link(run: Run, description: str, *, page: str = "report.html") -> None:
    """Link to the report where ``bowerbird ui`` serves it."""
    create_link_artifact(
        report_address(run.run_id, page=page),
        key=key(run, page.removesuffix(".html")),
        link_text="Report",
        description=description,
    )


def show_curves(run: Run) -> None:
    """Draw how the fits went, of the models that learn in epochs."""
    for curve in training_curves(run):
        picture = curve_picture(curve)
        show_picture(run, f"{curve.model.replace('_', '-')}-curve", picture, f"Training curve of {curve.model}")
