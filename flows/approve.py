"""A person's answer to a held run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from bowerbird.settings import Settings
from bowerbird.store.home import Home
from tasks import answers


@flow(name="approve", flow_run_name="{decision}-{run_id}")
def approve(
    run_id: str,
    decision: Literal["publish", "reject"],
    by: str,
    reason: str,
    home: str = "",
    wait_seconds: float = 600,
) -> State[str]:
    """Publish a held run from its folder, or close it.

    Args:
        run_id: The held run, as its report and its decision name it.
        decision: Publish the lists that the run has kept, or close it without publishing.
        by: Who decides; one of those whom the run's policy names, where it names any. Stands in the history.
        reason: Why; stands in the history.
        home: The home folder of the run. Empty for the worker's own.
        wait_seconds: How long to wait for another run in the same home.
    """
    opened = Home.open(Path(home) if home else Settings().home)
    outcome = answers.answer(opened, run_id, accept=decision == "publish", by=by, reason=reason, wait_seconds=wait_seconds)
    return Completed(name=outcome.capitalize(), message=f"run {run_id}: {outcome}", data=outcome)
