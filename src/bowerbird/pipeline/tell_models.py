"""What a report shows of a run's models: their figures, the rules, searches, curves, probabilities and test windows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from bowerbird.data.interactions import MICROSECONDS_A_DAY
from bowerbird.models import check_config
from bowerbird.pipeline import view
from bowerbird.pipeline.judge import SELECTION
from bowerbird.pipeline.prepare import Plan
from bowerbird.pipeline.run import Run
from bowerbird.report import content as report
from bowerbird.store.runs import read_json

TITLES = {
    "global_time": "Global time split",
    "leave_last_out": "Leave-last-out",
    "session_next_item": "Session next item",
}
LEAVE_LAST_OUT = (
    "Leave-last-out: each user's last success is held out, whenever it was, so popularity and item relations come in part "
    "from later times. The global time split beside it has no such leak."
)


def evaluations_of(evaluation: dict[str, Any]) -> tuple[report.Evaluation, ...]:  # Any: JSON
    """Return the figures of all models, under the protocol that decides and those shown beside it."""
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
        reach = {name: (one[name], None, None) for name in ("coverage", "novelty", "gini")} | one.get("reach", {})
        lone = [report.Metric(name=name, k=int(k), value=v, low=lo, high=hi) for name, (v, lo, hi) in reach.items()]
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


def rules_of(decision: dict[str, Any]) -> tuple[report.Rule, ...]:  # Any: JSON
    """Return what each rule of the gate asked and found."""
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


def searches_of(evaluation: dict[str, Any]) -> tuple[report.Search, ...]:  # Any: JSON
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


def reliability_of(run: Run, evaluation: dict[str, Any], plan: Plan) -> tuple[report.Reliability, ...]:  # Any: JSON
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


def windows_of(evaluation: dict[str, Any]) -> tuple[report.TestWindow, ...]:  # Any: JSON
    """Return the test windows, and which runs have looked at each."""
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


def moment(at: int) -> datetime:
    """Turn microseconds since 1970 into a time."""
    return datetime.fromtimestamp(at / 1_000_000, UTC)
