"""The proof: windows, features, fits, figures, the gate's decision."""

from __future__ import annotations

from prefect import get_run_logger, task

from bowerbird.pipeline import explain, judge, leaks, prepare, prove, search, session
from bowerbird.pipeline.judge import SEARCHES, Verdict
from bowerbird.pipeline.prepare import Cut, Plan, Window
from bowerbird.pipeline.prove import Champion, Fitted, Nominee, Scored, Spec
from bowerbird.pipeline.release import Prepared
from bowerbird.pipeline.run import Run
from bowerbird.pipeline.search import Trial
from bowerbird.report.words import decision_text, figures_rows, search_rows
from bowerbird.store.runs import read_json
from tasks import artifacts
from tasks.policies import fit_cache_key, retried


@task(name="Plan the windows")
def plan_windows(run: Run) -> Plan:
    """Cut the log into fit, selection and test."""
    with session.timed(run, "plan"):
        plan = prepare.make_plan(run)
    get_run_logger().info("%s: selection, then %d test windows", plan.kind, len(plan.test))
    return plan


@retried("Build the features")
def build_features(run: Run, plan: Plan) -> list[str]:
    """Write the features as of the first test cut-off, and check that nothing later is in any table; return their paths."""
    with session.timed(run, "features"):
        paths = prepare.build_features(run, plan)
        leaks.check_tables(run, plan, paths)
    get_run_logger().info("%d feature tables", len(paths))
    return [str(path) for path in paths]


@task(
    name="Fit a model",
    task_run_name="Fit {spec.label} for {purpose}",
    cache_key_fn=fit_cache_key,
    persist_result=True,
    result_serializer="json",
)
def fit(run: Run, spec: Spec, cut: Cut, purpose: str) -> Fitted:
    """Fit one model on one cut; the same fit is never made twice."""
    with session.timed(run, "train"):
        fitted = prove.fit(run, spec, cut)
    get_run_logger().info("%s for %s: %s", spec.label, purpose, "trained" if fitted.run_id else "found, not trained anew")
    return fitted


@task(name="Make a trial", task_run_name="Trial {number} of {spec.label}")
def trial(run: Run, spec: Spec, window: Window, number: int) -> Trial:
    """Fit and score one set of settings of a search."""
    with session.timed(run, "search"):
        made = search.make_trial(run, spec, window, number)
    get_run_logger().info("%s: %s, %s", made.settings, made.state, made.error or made.score)
    return made


@task(name="Take the best trial", task_run_name="Take the best trial of {spec.label}")
def best_of(run: Run, spec: Spec, window: Window) -> Spec:
    """Freeze the settings that a search has found."""
    found = search.best_of(run, spec, window)
    rows = search_rows(read_json(run.folder / SEARCHES)[spec.label])
    artifacts.show_table(run, f"search-{spec.label.replace('_', '-')}", rows, f"Trials of {spec.label} on the selection window")
    return found


@task(name="Score a model", task_run_name="Score {fitted.spec.label} on {window.name}")
def score(run: Run, fitted: Fitted, window: Window) -> Scored:
    """Recommend to everybody with something to find in a window, and count what is found."""
    with session.timed(run, "score"):
        return prove.score(run, fitted, window)


@task(name="Choose the nominee")
def choose_nominee(run: Run, fits: list[Fitted], scored: list[Scored], leader: Champion | None) -> Nominee:
    """Choose on the selection window alone."""
    with session.timed(run, "choose"):
        nominee = judge.choose_nominee(run, fits, scored, leader)
    get_run_logger().info("the nominee is %s", nominee.spec.label)
    return nominee


@task(name="Put the figures together")
def evaluate(run: Run, plan: Plan, scored: list[Scored], nominee: Nominee, leader: Champion | None) -> None:
    """Intervals, differences, and every use of the test windows."""
    with session.timed(run, "evaluate"):
        evaluation = judge.evaluate(run, plan, scored, nominee, leader)
    artifacts.show_table(
        run,
        "metrics",
        figures_rows(evaluation),
        f"{evaluation['metric']} with {100 * evaluation['confidence']:g} % intervals over users",
    )


@task(name="Let the gate decide")
def decide(run: Run, plan: Plan, nominee: Nominee, leader: Champion | None, scored: list[Scored]) -> Verdict:
    """A pure function of the evidence; the reason in words."""
    with session.timed(run, "decide"):
        verdict = judge.decide(run, plan, nominee, leader, scored)
    get_run_logger().info(verdict.sentence)
    return verdict


@task(name="Confirm after the refit")
def confirm(run: Run, verdict: Verdict, prepared: Prepared, broken: str) -> Verdict:
    """Hold what the refit has changed too much, reject a set that is broken."""
    overlaps = {"refit_overlap": prepared.refit_overlap, "published_overlap": prepared.published_overlap}
    with session.timed(run, "confirm"):
        confirmed = judge.confirm(run, verdict, **overlaps, broken=broken)
    artifacts.show_text(run, "decision", decision_text(confirmed.decision.model_dump(mode="json")))
    artifacts.show_table(run, "rules", explain.rows(confirmed.decision), confirmed.sentence)
    return confirmed
