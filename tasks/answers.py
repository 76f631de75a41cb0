"""Answers to held runs: a person's, and those of deadlines."""

from __future__ import annotations

from prefect import get_run_logger, task

from bowerbird.pipeline import approval
from bowerbird.store.home import Home
from bowerbird.store.lock import writer_lock


@task(name="Carry out the answer")
def answer(home: Home, run_id: str, *, accept: bool, by: str, reason: str, wait_seconds: float) -> str:
    """Publish the run's lists, or close it; return the outcome."""
    with writer_lock(home.lock, wait_seconds=wait_seconds):
        closed = approval.approve(home, run_id, accept=accept, by=by, reason=reason)
    get_run_logger().info("run %s is %s", run_id, closed["outcome"])
    return str(closed["outcome"])


@task(name="Decide what is overdue")
def decide_overdue(home: Home) -> list[str]:
    """Decide the held runs whose deadline has passed; the caller holds the lock. Return what became of each."""
    decided = [f"run {one['run_id']} is {one['outcome']}: {one['answer']['reason']}" for one in approval.decide_overdue(home)]
    get_run_logger().info("; ".join(decided) or "no held run is overdue")
    return decided
