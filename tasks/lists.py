"""The lists: refit, recommend, check, publish, and the report on all of it."""

from __future__ import annotations

from prefect import get_run_logger

from bowerbird.pipeline import approval, release, session, tell
from bowerbird.pipeline.judge import Verdict
from bowerbird.pipeline.prepare import Plan
from bowerbird.pipeline.prove import Champion, Fitted
from bowerbird.pipeline.release import Prepared
from bowerbird.pipeline.run import Run
from tasks import artifacts
from tasks.policies import retried


@retried("Recommend to everybody")
def recommend(run: Run, refitted: Fitted, plan: Plan, verdict: Verdict) -> Prepared:
    """List the best items for each user, and compare with what was evaluated and published."""
    with session.timed(run, "recommend"):
        prepared = release.prepare_lists(run, refitted, plan, verdict)
    get_run_logger().info("lists for %d users", prepared.num_users)
    return prepared


@retried("Publish")
def publish(run: Run, prepared: Prepared, verdict: Verdict, leader: Champion | None, *, is_last: bool) -> int | None:
    """Manifest, then one commit: the only point of no return. None where somebody published first and a try is left."""
    with session.timed(run, "publish"):
        release.write_manifest(run, prepared, verdict)
        version = release.publish(run, prepared, leader, is_last=is_last)
    get_run_logger().info("version %s is published", version)
    return version


@retried("Keep the lists for a person's answer")
def keep(run: Run, prepared: Prepared, verdict: Verdict) -> None:
    """Write the manifest of a set that waits, or that was rejected."""
    with session.timed(run, "keep"):
        release.write_manifest(run, prepared, verdict)
    if verdict.outcome == "held":
        artifacts.show_text(run, "answer", approval.instructions(run.home, run.run_id))


@retried("Write the report")
def report(run: Run, outcome: str, sentence: str, plan: Plan | None = None, prepared: Prepared | None = None) -> str:
    """Write outcome and report; return the outcome."""
    with session.timed(run, "report"):
        told = tell.finish(run, outcome, sentence=sentence, plan=plan, prepared=prepared)
    artifacts.show_curves(run)
    artifacts.show_report_link(run, f"{outcome}: {sentence}")
    return str(told["outcome"])
