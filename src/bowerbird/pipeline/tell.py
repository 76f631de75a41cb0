"""What a run tells at its end: ``outcome.json`` for programs, ``report.html`` for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bowerbird.evaluation import leaks
from bowerbird.pipeline import drift, tell_data, tell_models, view
from bowerbird.pipeline.approval import waiting_of
from bowerbird.pipeline.examples import pick_examples
from bowerbird.pipeline.prepare import Plan
from bowerbird.pipeline.release import Prepared
from bowerbird.pipeline.run import Run, code_commit, environment
from bowerbird.pipeline.session import outcome_of
from bowerbird.report import content as report
from bowerbird.report.content_decision import Answer, DecisionView, Drift
from bowerbird.report.page import write_report
from bowerbird.report.words import check_in_words, slice_in_words
from bowerbird.store.published import current, history
from bowerbird.store.runs import CONTENT, DECISION, EVALUATION, MANIFEST, OUTCOME, REPORT, read_json, write_json

DRIFT = "drift.json"
SIMULATED = "The data is simulated: no person, item or event in it is real."


def finish(
    run: Run, outcome: str, *, sentence: str, plan: Plan | None = None, prepared: Prepared | None = None
) -> dict[str, Any]:  # Any: JSON
    """Write outcome and report; return the outcome."""
    told = outcome_of(run, outcome) | {"sentence": sentence}
    evaluation = read_json(run.folder / EVALUATION) if (run.folder / EVALUATION).exists() else None
    seen = None
    if evaluation is not None:
        seen = view.decision_view(evaluation)
        told |= _figures(evaluation) | _findings(seen) | {"decision": read_json(run.folder / DECISION)}
    if run.source is None and run.recipe.source.sample is not None:
        told["note"] = SIMULATED
    version = read_json(run.folder / MANIFEST)["champion_version"] if prepared else None
    examples, changes = pick_examples(run, prepared, version) if prepared else ((), None)
    told["example_user"] = examples[0].user_id if examples else None
    path = run.folder / REPORT
    content = _content(run, told, evaluation, plan, prepared)
    beside = {"view": seen, "examples": examples, "changes": changes, "drift": _drift(run, version)}
    content = content.model_copy(update=beside | {"answer": _awaited(run) if outcome == "held" else None})
    write_json(run.folder / CONTENT, content.model_dump(mode="json"))
    write_report(content, path)
    told["report"] = str(path)
    write_json(run.folder / OUTCOME, told)
    return told


def tell_of_leak(run: Run, told: dict[str, Any]) -> str:  # Any: JSON
    """Write the report of a run that a leak has ended, with the leak checks as its rules; return its path."""
    rules = leaks.as_rules(read_json(run.folder / EVALUATION)["leaks"])
    content = _content(run, told | {"decision": {"rules": rules}}, None, None, None)
    write_json(run.folder / CONTENT, content.model_dump(mode="json"))
    write_report(content, run.folder / REPORT)
    return str(run.folder / REPORT)


def _figures(evaluation: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    """Return value, low and high of the gate's metric by model: those under proof, and the rivals."""
    name = evaluation["metric"].split("@")[0]

    def figure(label: str) -> dict[str, Any]:  # Any: JSON
        value, low, high = evaluation["models"][label]["metrics"][name]
        return {"value": value, "low": low, "high": high, "coverage": evaluation["models"][label]["coverage"]}

    proven = [evaluation["nominee"], *([evaluation["champion"]] if evaluation["champion"] in evaluation["models"] else [])]
    return {
        "metric": evaluation["metric"],
        "nominee": evaluation["nominee"],
        "num_users": evaluation["num_users"],
        "confidence": evaluation.get("confidence", view.DEFAULT_CONFIDENCE),
        "metrics": {label: figure(label) for label in proven},
        "rivals": {label: figure(label) for label in evaluation["rivals"]},
    }


def _findings(seen: DecisionView) -> dict[str, Any]:  # Any: JSON
    """Return in words the worst part of the users and the broken checks."""
    worst = seen.worst_slice
    return {
        "worst_slice": slice_in_words(worst, seen.metric) if worst else None,
        "broken_checks": [check_in_words(check) for check in seen.broken],
    }


def _awaited(run: Run) -> Answer:
    """Say until when an answer is awaited, of whom, and what comes without one."""
    held = waiting_of(run.folder)
    then = {"publish": "it is published", "reject": "it is closed"}[held.asked.on_deadline] if held.until else ""
    return Answer(approvers=held.asked.approvers, deadline=held.until, without_answer=then)


def _drift(run: Run, version: int | None) -> Drift | None:
    """Compare the input with that of the run behind a published version; kept in the run's folder too."""
    if version is None:
        return None
    publish = next(one for one in history(run.home) if one.version == version)
    found = drift.measure(run, publish.run_id)
    if found is not None:
        write_json(run.folder / DRIFT, found.model_dump(mode="json"))
    return found


def _content(
    run: Run,
    told: dict[str, Any],  # Any: JSON
    evaluation: dict[str, Any] | None,  # Any: JSON
    plan: Plan | None,
    prepared: Prepared | None,
) -> report.ReportContent:
    present = current(run.home)
    shown = None
    if told["outcome"] == "published" and present is not None and prepared is not None:
        shown = report.Published(
            version=present.version,
            model=prepared.spec.label,
            num_users=prepared.num_users,
            k=run.recipe.recommend.k,
            run_id=run.run_id,
        )
    return report.ReportContent(
        facts=_facts(run, told, plan),
        outcome=told["outcome"],
        sentence=told["sentence"],
        notes=(told["note"],) if "note" in told else (),
        published=shown,
        tables=tell_data.tables_of(run),
        days=tell_data.days_of(run),
        profiles=tell_data.profiles_of(run),
        evaluations=tell_models.evaluations_of(evaluation) if evaluation else (),
        decision=tell_models.rules_of(told["decision"]) if told["decision"] else (),
        searches=tell_models.searches_of(evaluation) if evaluation else (),
        curves=tell_models.training_curves(run),
        reliability=tell_models.reliability_of(run, evaluation, plan) if evaluation and plan else (),
        reach=tell_data.reach_of(run, prepared) if prepared else None,
        test_windows=tell_models.windows_of(evaluation) if evaluation else (),
    )


def _facts(run: Run, told: dict[str, Any], plan: Plan | None) -> report.RunFacts:  # Any: JSON
    cuts = {} if plan is None else {"all events": plan.now, "test begins": min(window.cut.at for window in plan.test)}
    if plan is not None and plan.kind == "global_time":
        cuts["selection begins"] = plan.selection.cut.at
    return report.RunFacts(
        run_id=run.run_id,
        recipe=run.recipe.name,
        seed=run.recipe.seed,
        started=datetime.strptime(run.run_id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC),
        now=tell_models.moment(plan.now) if plan else None,
        recipe_digest=run.recipe.digest(),
        code_commit=code_commit(),
        num_threads=environment()["threads"],
        cut_offs={name: tell_models.moment(at) for name, at in sorted(cuts.items(), key=lambda pair: pair[1])},
        table_versions=run.versions,
        packages=environment()["packages"],
        steps=tuple(report.Step(name=name, seconds=seconds) for name, seconds in told["seconds"].items()),
    )
