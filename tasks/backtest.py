"""A backtest: several cut-offs, each model at each of them as a task of its own, several at once, and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import get_run_logger, task
from prefect.task_runners import ThreadPoolTaskRunner

from bowerbird.pipeline import backtest, session
from bowerbird.pipeline.backtest import Cell
from bowerbird.pipeline.interruptible import interrupt_all, interruptible
from bowerbird.pipeline.prepare import Plan, Window
from bowerbird.pipeline.prove import Spec
from bowerbird.pipeline.run import Run
from bowerbird.report.tables import age_rows, board_rows
from tasks import artifacts


@task(name="Plan the cut-offs")
def plan_cut_offs(run: Run, num_cut_offs: int, step: str) -> Plan:
    """Cut the log at several moments, and find what has to be found after each."""
    with session.timed(run, "plan"):
        plan = backtest.make_plan(run, num_cut_offs=num_cut_offs, step=step)
    get_run_logger().info("%d cut-offs", len(plan.test))
    return plan


def measure_all(run: Run, plan: Plan, specs: Sequence[Spec], *, at_once: int) -> list[Cell]:
    """Measure each model at each cut-off, ``at_once`` of them side by side."""
    with session.timed(run, "measure"), ThreadPoolTaskRunner[list[Cell]](max_workers=at_once) as runner:
        jobs = [{"run": run, "plan": plan, "spec": spec, "window": window} for window in plan.test for spec in specs]
        futures = [runner.submit(measure, job) for job in jobs]
        try:
            return [cell for future in futures for cell in future.result()]
        except KeyboardInterrupt:
            interrupt_all()
            raise


@task(name="Measure a model", task_run_name="Measure {spec.label} at {window.name}")
def measure(run: Run, plan: Plan, spec: Spec, window: Window) -> list[Cell]:
    """Fit one model at one cut-off, and score it on the window there and on later ones."""
    with interruptible():
        cells = backtest.measure(run, plan, spec, window)
    get_run_logger().info("%s at %s: %d windows", spec.label, window.name, len(cells))
    return cells


@task(name="Put the backtest together")
def report(run: Run, plan: Plan, cells: Sequence[Cell]) -> dict[str, Any]:  # Any: JSON
    """Leaderboard, age curves, advice, and the page; return the outcome."""
    with session.timed(run, "report"):
        content = backtest.summarize(run, plan, cells)
    told = backtest.finish(run, content)
    artifacts.show_table(run, "leaderboard", board_rows(content), content["sentence"])
    artifacts.show_table(run, "ages", age_rows(content), " ".join(content["advice"].values()))
    artifacts.show_report_link(run, content["sentence"], page=backtest.PAGE)
    get_run_logger().info(content["sentence"])
    return told
