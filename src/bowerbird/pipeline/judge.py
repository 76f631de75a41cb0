"""Choose the nominee on the selection window, put test figures together with their intervals, and let the gate decide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from bowerbird.columns import RANK
from bowerbird.evaluation import calibration, gate, metrics, reach, statistics
from bowerbird.evaluation.beyond import AGREEMENT, FIGURES
from bowerbird.evaluation.decision import (
    RANDOM,
    CheckResult,
    Decision,
    Evidence,
    GuardResult,
    OffPolicyResult,
    SliceResult,
    best_rival,
)
from bowerbird.evaluation.guards import measure_guards
from bowerbird.evaluation.mean_intervals import mean_intervals
from bowerbird.evaluation.nomination import nominate
from bowerbird.evaluation.past_slices import compare_with_past
from bowerbird.evaluation.statistics import Difference, Interval
from bowerbird.evaluation.wording import runs
from bowerbird.pipeline import leaks
from bowerbird.pipeline.behaviour import check_behaviour
from bowerbird.pipeline.catalogue import published_lists
from bowerbird.pipeline.found import targets_found
from bowerbird.pipeline.off_policy import measure_off_policy
from bowerbird.pipeline.own_runs import own_metrics, own_slices
from bowerbird.pipeline.prepare import Plan, Window
from bowerbird.pipeline.prove import (
    Champion,
    Fitted,
    Nominee,
    Scored,
    Spec,
    entrants,
    freeze,
    label_of,
    rivals,
)
from bowerbird.pipeline.run import Run
from bowerbird.pipeline.slices import compare_slices
from bowerbird.recipe import Recipe
from bowerbird.store.runs import BACKTEST, DECISION, EVALUATION, list_runs, read_json, write_json

SELECTION = "selection.json"
SEARCHES = "searches.json"
SIDES = ("repeat", "novel")


class Figures(BaseModel):
    """What one model reached in the pooled windows; each figure is value, low, high."""

    model_config = ConfigDict(frozen=True)

    label: str
    metrics: dict[str, tuple[float, float, float]]
    sides: dict[str, tuple[float, float, float] | None]
    """The gate's metric on repeat and on novel targets alone; None where there are none."""
    shorter: dict[str, tuple[float, float, float]] = {}
    """The gate's metric for fewer places of the same lists, as in ``ndcg@5``, and guarded metrics for places of their own."""
    beyond: dict[str, tuple[float, float, float]] = {}
    """What the lists are like, named as in ``evaluation.beyond.FIGURES``; what the catalogue does not tell is missing."""
    reach: dict[str, tuple[float, float, float]] = {}
    """``coverage`` and ``gini``, of all lists together."""
    coverage: float
    novelty: float
    gini: float


def metric_name(recipe: Recipe) -> str:
    """Return the name of the gate's metric, as in ``ndcg@10``."""
    return f"{recipe.gate.metric}@{recipe.gate.k}"


class Verdict(BaseModel):
    """What the gate says, and the model whose lists are made ready for it."""

    model_config = ConfigDict(frozen=True)

    evidence: Evidence
    decision: Decision
    spec: Spec
    scored: tuple[Scored, ...]
    """The lists of ``spec`` on the test windows."""

    @property
    def publishes(self) -> bool:
        return self.decision.publish is not None

    @property
    def outcome(self) -> str:
        return {"promote": "published", "hold": "held", "reject": "rejected"}[self.decision.outcome]

    @property
    def sentence(self) -> str:
        return self.decision.sentence


def choose_nominee(run: Run, fits: Sequence[Fitted], scored: Sequence[Scored], leader: Champion | None) -> Nominee:
    """Choose on the selection window: the best by the gate's metric; the champion's recipe unless another is surely better."""
    metric, level = run.recipe.gate.metric, run.recipe.gate.confidence
    values = {one.label: pooled([one])[metric] for one in scored}
    fitted_as = {fitted.spec.label: fitted for fitted in fits}
    own = next((label for label, one in fitted_as.items() if leader and one.spec.identity == leader.spec.identity), None)
    contest = {label: values[label].to_numpy() for label in fitted_as}
    chosen, leading = nominate(contest, champion=own, level=level, seed=run.recipe.seed)
    reason = f"it has the highest {metric_name(run.recipe)} on the selection window"
    if chosen != leading:
        reason = f"it is the champion's recipe, and {leading} is not surely better on the selection window"
    best = fitted_as[chosen]
    means = {label: float(series.mean()) for label, series in values.items()}
    write_json(
        run.folder / SELECTION,
        {
            "nominee": best.spec.label,
            "reason": reason,
            "metric": metric_name(run.recipe),
            "values": means,
            "fits": {fitted.spec.label: str(fitted.folder) for fitted in fits},
        },
    )
    return Nominee(spec=freeze(best), also_fitted=tuple(freeze(fitted) for fitted in fits if fitted != best))


def pooled(scored: Sequence[Scored]) -> pd.DataFrame:
    """Return one row a user, his mean over the windows; so users are what is resampled."""
    return metrics.pool_windows([pd.read_parquet(one.users) for one in scored])


def figures(by_label: Mapping[str, Sequence[Scored]], *, shown: pd.DataFrame | None = None, level: float) -> dict[str, Figures]:
    """Put each model's windows together, with intervals of that level.

    ``shown`` are the published lists, which those of the newest window are held against.
    """
    return {label: _figures(scored, _table(scored, shown), level) for label, scored in by_label.items()}


def _table(scored: Sequence[Scored], shown: pd.DataFrame | None) -> pd.DataFrame:
    """Return what of one model gets intervals, one row a user."""
    users = pooled(scored)
    if shown is not None:
        users[AGREEMENT] = metrics.rank_biased_overlap(pd.read_parquet(scored[0].lists), shown, k=int(shown[RANK].max()))
    shorter = [name for name in map(str, users) if "@" in name]
    return users[[name for name in (*metrics.METRICS, *SIDES, *FIGURES, *shorter) if name in users]]


def _figures(scored: Sequence[Scored], users: pd.DataFrame, level: float) -> Figures:
    bounded = [name for name in users if name not in FIGURES]
    bounds = mean_intervals(users, bounded=bounded, level=level)
    found = {name: (one.value, one.low, one.high) for name, one in bounds.items()}
    beyond = {name: found[name] for name in FIGURES if name in found}
    together = reach.intervals([one.reach for one in scored], level=level)
    return Figures(
        label=scored[0].label,
        metrics={name: found[name] for name in metrics.METRICS},
        sides={side: found.get(side) for side in SIDES},
        shorter={name: bounds for name, bounds in found.items() if "@" in name},
        beyond=beyond,
        reach={name: (one.value, one.low, one.high) for name, one in together.items()},
        coverage=sum(one.reach.whole.coverage for one in scored) / len(scored),
        novelty=beyond["novelty"][0] if "novelty" in beyond else 0.0,
        gini=sum(one.reach.whole.gini for one in scored) / len(scored),
    )


def evaluate(
    run: Run, plan: Plan, scored: Sequence[Scored], nominee: Nominee, leader: Champion | None
) -> dict[str, Any]:  # Any: JSON
    """Write and return ``evaluation.json``: figures, the nominee's differences, and every use of the test windows."""
    recipe = run.recipe
    metric, level, seed = recipe.gate.metric, recipe.gate.confidence, recipe.seed
    tested, beside = _by_label(scored, plan.test), _by_label(scored, plan.beside)
    users = {label: pooled(windows) for label, windows in tested.items()}
    values = {label: one[metric] for label, one in users.items()}
    among = entrants(recipe, nominee, leader)
    own, champion = nominee.spec.label, label_of(leader.spec, among) if leader else None
    others = {label: other for label, other in values.items() if label != own}
    differences = statistics.paired_differences(values[own], others, level=level, seed=seed)
    rival_labels = [label_of(spec, among) for spec in rivals(recipe)]
    is_change = champion is not None and champion != own
    beside_it = champion if is_change else best_rival({one: float(values[one].mean()) for one in rival_labels}, nominee=own)
    guarded_by = beside_it if is_change or champion is None else None
    is_refresh = leader is not None and leader.spec.identity == nominee.spec.identity
    guards = measure_guards(recipe.gate, users, nominee=own, other=guarded_by, seed=seed)
    slices = compare_slices(run, plan.test, tested[own], tested.get(beside_it or ""), guards=guards, decides=is_change)
    content = {
        "metric": metric_name(recipe),
        "confidence": level,
        "protocol": plan.kind,
        "nominee": own,
        "named_by_person": recipe.candidate is not None,
        "champion": champion,
        "is_refresh": is_refresh,
        "rivals": rival_labels,
        "num_users": len(values[own]),
        "models": _all_figures(run, tested, published_lists(run)),
        "beside": _all_figures(run, beside, None),
        "file_order": _all_figures(run, _by_label(scored, plan.file_order), None),
        "num_users_beside": len(pooled(beside[own])) if beside else 0,
        "differences": {label: vars(one) for label, one in differences.items()},
        "reliability": {label: _reliability(windows) for label, windows in tested.items() if windows[0].probabilities},
        "rivals_minus_random": {
            label: vars(statistics.paired_difference(values[label], values[RANDOM], level=level, seed=seed))
            for label in rival_labels
            if label != RANDOM
        },
        "targets_found": targets_found(run, plan.test, tested),
        **slices,
        "own_runs": own_metrics(run, leader, metric_name(recipe)) if leader else [],
        "own_slices": _beside_own_runs(run, leader, slices["slices"]) if leader and is_refresh else [],
        "searches": read_json(run.folder / SEARCHES) if (run.folder / SEARCHES).exists() else {},
        "behaviour": [one.model_dump(mode="json") for one in check_behaviour(run, plan, nominee.spec)],
        "off_policy": measure_off_policy(run, plan, nominee).model_dump(mode="json"),
        "leaks": leaks.summary(run, plan, [found for one in scored for found in one.leaks]),
        "test_windows": [_window_use(run, window, tested[own]) for window in plan.test],
    }
    write_json(run.folder / EVALUATION, content)
    return content


def _reliability(windows: Sequence[Scored]) -> dict[str, Any]:  # Any: JSON
    """Compare what one model foretold of the test windows with what came."""
    found = calibration.pooled([pd.read_parquet(one.probabilities) for one in windows if one.probabilities])
    relative_error = found.relative_error if found.observed else None
    return {"bins": found.bins.to_dict("records"), "ece": found.ece, "relative_error": relative_error}


def _by_label(scored: Sequence[Scored], windows: Sequence[Window]) -> dict[str, list[Scored]]:
    names = {window.name for window in windows}
    found = defaultdict[str, list[Scored]](list)
    for one in scored:
        if one.window in names:
            found[one.label].append(one)
    return dict(found)


def _beside_own_runs(run: Run, leader: Champion, slices: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:  # Any: JSON
    """Hold the slices of a refresh against those of its recipe's earlier runs."""
    policy, past = run.recipe.gate, own_slices(run, leader, metric_name(run.recipe))
    found = compare_with_past(
        [SliceResult(**one) for one in slices],
        past,
        other=f"its own last {runs(len(past))}",
        max_loss=policy.slices.max_loss,
        level=policy.confidence,
        significance=policy.significance,
    )
    return [one.model_dump() for one in found]


def decide(run: Run, plan: Plan, nominee: Nominee, leader: Champion | None, scored: Sequence[Scored]) -> Verdict:
    """Put the evidence together and let the gate decide; a rival that would be published is asked as the nominee was."""
    evaluation = read_json(run.folder / EVALUATION)
    metric = run.recipe.gate.metric
    figures_of = evaluation["models"]
    evidence = Evidence(
        nominee=evaluation["nominee"],
        named_by_person=evaluation["named_by_person"],
        champion=evaluation["champion"],
        is_refresh=evaluation["is_refresh"],
        rivals=tuple(evaluation["rivals"]),
        models={label: Interval(*one["metrics"][metric]) for label, one in figures_of.items()},
        coverage={label: one["coverage"] for label, one in figures_of.items()},
        differences={label: Difference(**one) for label, one in evaluation["differences"].items()},
        rivals_minus_random={label: Difference(**one) for label, one in evaluation["rivals_minus_random"].items()},
        own_runs=tuple(evaluation["own_runs"]),
        guards=tuple(GuardResult(**one) for one in evaluation["guards"]),
        behaviour=tuple(CheckResult(**one) for one in evaluation["behaviour"]),
        off_policy=OffPolicyResult.model_validate(evaluation["off_policy"]),
        slices=tuple(SliceResult(**one) for one in evaluation["slices"]),
        own_slices=tuple(SliceResult(**one) for one in evaluation["own_slices"]),
    )
    among = {spec.label: spec for spec in entrants(run.recipe, nominee, leader)}
    decision = gate.decide(evidence, run.recipe.gate)
    if decision.publish is not None and decision.is_replaced:
        found = check_behaviour(run, plan, among[decision.publish])
        write_json(run.folder / EVALUATION, evaluation | {"behaviour_of_rival": [one.model_dump(mode="json") for one in found]})
        evidence = evidence.model_copy(update={"behaviour_of_rival": found})
        decision = gate.decide(evidence, run.recipe.gate)
    spec = among[decision.publish or nominee.spec.label]
    tests = {window["name"] for window in evaluation["test_windows"]}
    verdict = Verdict(
        evidence=evidence,
        decision=decision,
        spec=spec,
        scored=tuple(one for one in scored if one.label == spec.label and one.window in tests),
    )
    _write_decision(run, decision)
    return verdict


def confirm(run: Run, verdict: Verdict, *, refit_overlap: float | None, published_overlap: float | None, broken: str) -> Verdict:
    """Decide again, with what is known of the set: how far its lists agree with the published and the evaluated ones.

    ``broken`` says in words what breaks its contract.
    """
    policy = run.recipe.gate
    evidence = verdict.evidence.model_copy(update={"overlap": published_overlap})
    confirmed = gate.after_refit(gate.decide(evidence, policy), policy, refit_overlap=refit_overlap, broken=broken)
    _write_decision(run, confirmed)
    return verdict.model_copy(update={"evidence": evidence, "decision": confirmed})


def _write_decision(run: Run, decision: Decision) -> None:
    """Write ``gate.json``: the decision, and the policy by which it was made."""
    write_json(run.folder / DECISION, decision.model_dump(mode="json") | {"policy": run.recipe.dump()["gate"]})


def _all_figures(run: Run, by_label: dict[str, list[Scored]], shown: pd.DataFrame | None) -> dict[str, Any]:  # Any: JSON
    found = figures(by_label, shown=shown, level=run.recipe.gate.confidence)
    return {label: one.model_dump(mode="json") for label, one in found.items()}


def _window_use(run: Run, window: Window, scored: Sequence[Scored]) -> dict[str, Any]:  # Any: JSON
    """Record the use of a test window, with the earlier runs and backtests that have used an overlapping one."""
    used_by = []
    for run_id in list_runs(run.home.runs):
        paths = [path for name in (EVALUATION, BACKTEST) if (path := run.home.runs / run_id / name).exists()]
        if run_id != run.run_id and paths:
            spans = [(one["start"], one["end"]) for path in paths for one in read_json(path)["test_windows"]]
            mine = (window.cut.at, window.end)
            if any((start < mine[1] and mine[0] < end) or (start, end) == mine for start, end in spans):
                used_by.append(run_id)
    num_users = sum(len(pd.read_parquet(one.users, columns=[])) for one in scored if one.window == window.name)
    return {
        "name": window.name,
        "start": window.cut.at,
        "end": window.end,
        "num_users": num_users,
        "used_by": [*used_by, run.run_id],
    }
