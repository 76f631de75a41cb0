"""Run the behavioural checks on a model that may be published: its lists in the newest test window, of a sample of users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bowerbird.columns import USER_ID
from bowerbird.data.interactions import Ids, Interactions
from bowerbird.evaluation.behaviour.check import run_checks
from bowerbird.evaluation.behaviour.context import Context
from bowerbird.evaluation.behaviour.known import checks_for
from bowerbird.evaluation.decision import CheckResult
from bowerbird.models import load_model
from bowerbird.models.base import Model
from bowerbird.pipeline import prove
from bowerbird.pipeline.prepare import Plan, Window, candidates, load_items, load_targets
from bowerbird.pipeline.run import Run


def check_behaviour(run: Run, plan: Plan, spec: prove.Spec) -> tuple[CheckResult, ...]:
    """Judge a model, fitted before the newest test window."""
    policy = run.recipe.gate.behaviour
    window = max(plan.test, key=lambda one: one.cut.at)
    model = load_model(prove.fit(run, spec, window.cut).folder)
    context = make_context(run, model, window, num_users=policy.num_users)
    return run_checks(context, checks_for(policy), bounds=policy.bounds, severity=policy.severity)


def make_context(run: Run, model: Model, window: Window, *, num_users: int) -> Context:
    """Collect what the checks look at; at most ``num_users`` of the users with targets, drawn by the recipe's seed."""
    recipe, at = run.recipe, window.cut.at
    allowed = candidates(run, at)
    targets = _sampled(load_targets(run, window), num_users, recipe.seed)

    def recommend(users: Sequence[Any], *, history: Interactions | None = None) -> pd.DataFrame:  # Any: see Ids
        return prove.recommend(run, model, list(users), k=recipe.gate.k, at=at, allowed=allowed, history=history)

    histories = prove.events_before(run, window.cut)
    excluded = recipe.target.exclude_events if recipe.target else ()
    return Context(
        model=model,
        recommend=recommend,
        lists=recommend(sorted(targets[USER_ID].unique())),
        targets=targets,
        items=load_items(run),
        histories=histories,
        allowed=_known(model.data.item_ids, allowed),
        withheld=histories.has_event(excluded),
        k=recipe.gate.k,
        seed=recipe.seed,
        reorders=recipe.rules.reorders,
        has_quotas=bool(recipe.rules.quotas),
    )


def _sampled(targets: pd.DataFrame, num_users: int, seed: int) -> pd.DataFrame:
    users = np.sort(targets[USER_ID].unique())
    if len(users) <= num_users:
        return targets
    drawn = np.random.default_rng(seed).choice(users, num_users, replace=False)
    return targets[targets[USER_ID].isin(drawn)].reset_index(drop=True)


def _known(item_ids: Ids, allowed: list[str] | None) -> Ids:
    """Return the items of a model that may be recommended."""
    return item_ids if allowed is None else item_ids[np.isin(item_ids.astype(str), np.asarray(allowed, str))]
