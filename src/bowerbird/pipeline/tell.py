"""What a run tells at its end: ``outcome.json`` for programs, ``report.html`` for people."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from bowerbird.data.interactions import MICROSECONDS_A_DAY
from bowerbird.models import check_config
from bowerbird.pipeline import drift, view
from bowerbird.pipeline.approval import waiting_of
from bowerbird.pipeline.examples import pick_examples
from bowerbird.pipeline.judge import EVALUATION, SELECTION
from bowerbird.pipeline.prepare import Plan, reading
from bowerbird.pipeline.release import Prepared
from bowerbird.pipeline.run import Run, code_commit, environment, semantic_ids_report
from bowerbird.pipeline.semantic_ids import in_words
from bowerbird.pipeline.session import ingest_report, outcome_of
from bowerbird.report import content as report
from bowerbird.report.content_decision import Answer, DecisionView, Drift
from bowerbird.report.page import write_report
from bowerbird.report.reach import measure_reach
from bowerbird.report.words import check_in_words, slice_in_words
from bowerbird.sources.intake import IngestReport
from bowerbird.store.published import current, history
from bowerbird.store.runs import CONTENT, DECISION, MANIFEST, OUTCOME, REPORT, read_json, write_json

DRIFT = "drift.json"
SIMULATED = "The data is simulated: no person, item or event in it is real."
TITLES = {
    "global_time": "Global time split",
    "leave_last_out": "Leave-last-out",
    "session_next_item": "Session next item",
}
LEAVE_LAST_OUT = (
    "Leave-last-out: each user's last success is held out, whenever it was, so popularity and item relations come in part "
    "from later times. The global time split beside it has no such leak."
)
REASONS = {
    "malformed_row": "the row could not be read",
    "missing_user": "no user id",
    "missing_item": "no item id",
    "id_too_long": "an id of more than 512 characters",
    "missing_timestamp": "no time",
    "unreadable_timestamp": "a time in no known format",
    "timestamp_out_of_range": "a time before 1970",
    "timestamp_in_future": "a time after the ingest",
    "unknown_event": "an event type that the recipe does not list",
    "not_finite": "a number that is not finite",
}


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
    ingest = ingest_report(run)
    present, ids = current(run.home), semantic_ids_report(run)
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
        tables=tuple(_table(name, ingest, ids if name == "items" else None) for name in ingest.tables),
        days=_days(run),
        profiles=_profiles(run),
        evaluations=_evaluations(evaluation) if evaluation else (),
        decision=_rules(told["decision"]) if told["decision"] else (),
        searches=_searches(evaluation) if evaluation else (),
        curves=training_curves(run),
        reliability=_reliability(run, evaluation, plan) if evaluation and plan else (),
        reach=_reach(run, prepared) if prepared else None,
        test_windows=_windows(evaluation) if evaluation else (),
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
        now=moment(plan.now) if plan else None,
        recipe_digest=run.recipe.digest(),
        code_commit=code_commit(),
        num_threads=environment()["threads"],
        cut_offs={name: moment(at) for name, at in sorted(cuts.items(), key=lambda pair: pair[1])},
        table_versions=run.versions,
        packages=environment()["packages"],
        steps=tuple(report.Step(name=name, seconds=seconds) for name, seconds in told["seconds"].items()),
    )


def moment(at: int) -> datetime:
    """Turn microseconds since 1970 into a time."""
    return datetime.fromtimestamp(at / 1_000_000, UTC)


def _table(name: str, ingest: IngestReport, ids: dict[str, Any] | None) -> report.TableIngest:  # Any: JSON
    intake = ingest.tables[name]
    reasons = tuple(
        report.Reason(name=reason, rows=count, explanation=REASONS.get(reason, "a rule of the recipe"))
        for reason, count in intake.quarantined.items()
        if count
    )
    notes = [f"{count:,} {event}" for event, count in intake.by_event.items()]
    if intake.late:
        notes.append(f"{intake.late:,} events are older than the newest that was there before: used from this run on")
    if intake.new_columns:
        notes.append(f"columns that the recipe does not map: {', '.join(intake.new_columns)}")
    notes += [in_words(ids)] if ids is not None else []
    return report.TableIngest(
        table=name, read=intake.read, accepted=intake.accepted, duplicates=intake.duplicates, reasons=reasons, notes=tuple(notes)
    )


def _days(run: Run) -> tuple[report.Day, ...]:
    with reading(run) as con:
        rows = con.execute(
            "select strftime(timestamp, '%Y-%m-%d') as day, count(*) from events group by day order by day desc limit 400"
        ).fetchall()
    return tuple(report.Day(day=day, num_events=count) for day, count in reversed(rows))


def _profiles(run: Run) -> tuple[report.TableProfile, ...]:
    """Summarise the columns of each table that has rows."""
    found = []
    with reading(run) as con:
        for name in ("events", "items", "users"):
            rows = con.execute(f"select * from (summarize {name})").df()  # noqa: S608 - our own names
            counted = con.execute(f"select count(*) from {name}").fetchone()  # noqa: S608 - our own names
            if counted is None or not counted[0]:
                continue
            columns = [
                report.ColumnProfile(
                    name=row["column_name"],
                    kind=row["column_type"].lower(),
                    missing_share=float(row["null_percentage"]) / 100,
                    num_distinct=int(row["approx_unique"]),
                    lowest=_short(row["min"]),
                    highest=_short(row["max"]),
                )
                for row in rows.to_dict("records")
            ]
            found.append(report.TableProfile(table=name, num_rows=counted[0], columns=tuple(columns)))
    return tuple(found)


def _short(value: object) -> str | None:
    text = None if value is None or value is pd.NA or value != value else str(value)
    return text if text is None or len(text) <= 40 else text[:39] + "…"


def _evaluations(evaluation: dict[str, Any]) -> tuple[report.Evaluation, ...]:  # Any: JSON
    protocol, comparison = evaluation["protocol"], "Shown for comparison; it decides nothing."
    found = [_evaluation(TITLES[protocol], evaluation, "models", LEAVE_LAST_OUT if protocol == "leave_last_out" else "")]
    if evaluation["beside"]:
        found.append(_evaluation("Global time split, beside", evaluation, "beside", comparison))
    if evaluation.get("file_order"):
        found.append(_evaluation("Ties in the source's order, beside", evaluation, "file_order", comparison))
    return tuple(found)


def _evaluation(title: str, evaluation: dict[str, Any], part: str, note: str) -> report.Evaluation:  # Any: JSON
    primary, k = evaluation["metric"].split("@")
    results = []
    for label, one in evaluation[part].items():
        names = [primary, *(name for name in one["metrics"] if name != primary)]
        shown = [
            report.Metric(name=name, k=int(k), value=v, low=lo, high=hi) for name in names for v, lo, hi in [one["metrics"][name]]
        ]
        beyond = {
            name: report.Metric(name=name, value=value, low=low, high=high)
            for name, (value, low, high) in one.get("beyond", {}).items()
        }
        lone = [report.Metric(name=name, k=int(k), value=one[name]) for name in ("coverage", "novelty", "gini")]
        shown += [metric for metric in lone if metric.name not in beyond]
        sides = {
            side: report.Metric(name=primary, k=int(k), value=bounds[0], low=bounds[1], high=bounds[2]) if bounds else None
            for side, bounds in one["sides"].items()
        }
        roles = [role for role in ("nominee", "champion") if evaluation[role] == label]
        roles += ["rival"] if label in evaluation["rivals"] else []
        results.append(
            report.ModelResult(
                name=label,
                roles=cast(tuple[report.Role, ...], tuple(roles)),
                metrics=tuple(shown),
                repeat=sides["repeat"],
                novel=sides["novel"],
                beyond=beyond,
            )
        )
    results.sort(key=lambda result: -result.metrics[0].value)
    return report.Evaluation(
        title=title,
        results=tuple(results),
        num_users=evaluation["num_users_beside" if part == "beside" else "num_users"],
        note=note,
    )


def _rules(decision: dict[str, Any]) -> tuple[report.Rule, ...]:  # Any: JSON
    return tuple(
        report.Rule(
            name=rule["name"][:1].upper() + rule["name"][1:],
            asked=rule["asked"],
            found=rule["found"],
            passed=rule["passed"],
            to_pass=rule["to_pass"],
        )
        for rule in decision["rules"]
    )


def _searches(evaluation: dict[str, Any]) -> tuple[report.Search, ...]:  # Any: JSON
    """Tell of the trials by which settings were found."""
    found = []
    for label, one in evaluation.get("searches", {}).items():
        trials = [
            report.Trial(
                number=trial["number"],
                settings=", ".join(f"{key} = {_rounded(value)}" for key, value in trial["settings"].items()),
                score=trial["score"],
                state="best" if trial["number"] == one["best"] else trial["error"] or trial["state"],
            )
            for trial in one["trials"]
        ]
        found.append(report.Search(model=label, metric=view.in_words(*one["metric"].split("@")), trials=tuple(trials)))
    return tuple(found)


def _rounded(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def training_curves(run: Run) -> tuple[report.TrainingCurve, ...]:
    """Return how the fits before the selection window went, of the models that learn in epochs."""
    path = run.folder / SELECTION
    found = []
    for label, folder in (read_json(path)["fits"] if path.exists() else {}).items():
        points = [report.CurvePoint(**point) for point in read_json(Path(folder) / "model.json")["curve"]]
        if points:
            found.append(report.TrainingCurve(model=label, points=tuple(points)))
    return tuple(found)


def _reliability(run: Run, evaluation: dict[str, Any], plan: Plan) -> tuple[report.Reliability, ...]:  # Any: JSON
    """Tell of models with probabilities whether these came true, and where a model foretells another stretch of time."""
    days = (plan.test[0].end - plan.test[0].cut.at) / MICROSECONDS_A_DAY
    settings = {model.name: check_config(model.name, model.config) for model in run.recipe.models}
    found = []
    for label, one in evaluation.get("reliability", {}).items():
        own = getattr(settings.get(label), "horizon_days", None)
        note = ""
        if plan.kind == "leave_last_out":
            note = "Leave-last-out takes one success of each user, whenever it was; probabilities speak of a stretch of time."
        elif own is not None and own != days:
            note = f"It foretells {own:g} days, and a test window has {days:g}: set horizon_days = {days:g} in the recipe."
        found.append(report.Reliability(model=label, horizon_note=note, **one))
    return tuple(found)


def _reach(run: Run, prepared: Prepared) -> report.Reach:
    """Count how often each item was chosen and how often it is recommended."""
    with reading(run) as con:
        con.from_parquet(str(prepared.lists)).create_view("lists", replace=True)
        con.register("wanted", pd.DataFrame({"event": list(run.recipe.target.events if run.recipe.target else ())}))
        rows = con.execute(
            """
            with chosen as (select item_id, count(*) as n from events semi join wanted using (event) group by item_id),
            listed as (select item_id, count(*) as n from lists group by item_id),
            known as (select item_id from events union select item_id from items)
            select coalesce(chosen.n, 0) as chosen, coalesce(listed.n, 0) as listed
            from known left join chosen using (item_id) left join listed using (item_id) order by item_id
            """
        ).df()
    return measure_reach(rows["chosen"].to_numpy(np.int64), rows["listed"].to_numpy(np.int64))


def _windows(evaluation: dict[str, Any]) -> tuple[report.TestWindow, ...]:  # Any: JSON
    return tuple(
        report.TestWindow(
            start=moment(one["start"]),
            end=moment(one["end"]),
            num_users=one["num_users"],
            num_uses=len(one["used_by"]),
            used_by=tuple(one["used_by"]),
        )
        for one in evaluation["test_windows"]
    )
