"""A person's answer, carried out under the lock."""

from __future__ import annotations

from prefect import get_run_logger, task

from bowerbird.pipeline import release
from bowerbird.store.home import Home
from bowerbird.store.lock import writer_lock


@task(name="Carry out the answer")
def answer(home: Home, run_id: str, *, accept: bool, by: str, reason: str, wait_seconds: float) -> str:
    """Publish the run's lists, or close it; return the outcome."""
    with writer_lock(home.lock, wait_seconds=wait_seconds):
        closed = release.approve(home, run_id, accept=accept, by=by, reason=reason)
    get_run_logger().info("run %s is %s", run_id, closed["outcome"])
    return str(closed["outcome"])
