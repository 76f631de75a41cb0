"""The gate's own records put five policies in the order of the simulated shop's hidden truth.

Lists of all five, made at the start of the test week, are mixed place by place and shown; the shop's users click. Then each
policy is put up, by the steps of a run, and what ``evaluation.json`` and the gate's off-policy rule say of it is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bowerbird.columns import CLICK, ITEM_ID, POSITION, PROPENSITY, RANK, TIMESTAMP, USER_ID
from bowerbird.evaluation.decision import OffPolicyResult, RuleResult
from bowerbird.models import load_model
from bowerbird.pipeline import judge, prove
from bowerbird.pipeline.prepare import Plan, candidates, make_plan
from bowerbird.pipeline.run import Run, pin_versions
from bowerbird.pipeline.session import ingest_source, session
from bowerbird.recipe import Recipe, load_recipe, read_recipe
from bowerbird.sources.shop import Shop, ShopConfig
from bowerbird.store.home import Home
from bowerbird.store.runs import EVALUATION, read_json
from tests.docs.pages import ROOT

K, NUM_VISITS = 5, 10
POLICIES = ("random", "popularity", "cooccurrence", "item_knn", "personal_frequency")
COLUMNS = (USER_ID, ITEM_ID, TIMESTAMP, POSITION, CLICK, PROPENSITY)


def recipe(**source: Any) -> Recipe:  # Any: sections
    content = load_recipe(ROOT / "deployments" / "recipes" / "sample.toml", candidate="cooccurrence").dump()
    content["source"] |= source
    content["gate"] = {"k": K, "behaviour": {"num_users": 20}, "off_policy": {"mode": "guard"}}
    return read_recipe(content | {"recommend": {"k": K}}, where="sample")


def spec_of(name: str) -> prove.Spec:
    return prove.Spec(label=name, name=name)


def lists_of(run: Run, plan: Plan, name: str, users: list[str]) -> pd.DataFrame:
    (window,) = plan.test
    model, at = load_model(prove.fit(run, spec_of(name), window.cut).folder), window.cut.at
    return prove.recommend(run, model, users, k=K, at=at, allowed=candidates(run, at))


def visits_of(shop: Shop, lists: dict[str, pd.DataFrame], moment: pd.Timestamp) -> pd.DataFrame:
    """Give each place of each list to a policy by lot; an item's propensity is the share of policies that have it there."""
    everything = pd.concat(lists, names=["policy"]).reset_index("policy")
    at = [USER_ID, RANK]
    everything[PROPENSITY] = everything.groupby([*at, ITEM_ID])["policy"].transform("size") / len(lists)
    visits = []
    for visit in range(NUM_VISITS):
        shown = everything.sample(frac=1, random_state=visit).drop_duplicates(at).sort_values(at, ignore_index=True)
        clicks = shop.respond(shown, visit).drop(columns=[PROPENSITY, TIMESTAMP])
        places = shown.rename(columns={RANK: POSITION})[[USER_ID, POSITION, PROPENSITY]]
        when = (moment + pd.Timedelta(hours=visit + 1)).isoformat()
        visits.append(clicks.merge(places, on=[USER_ID, POSITION]).assign(**{TIMESTAMP: when}))
    return pd.concat(visits, ignore_index=True)[list(COLUMNS)]


def judged(run: Run, plan: Plan) -> dict[str, tuple[OffPolicyResult, RuleResult]]:
    """Put up each policy; return what the run has written down of it."""
    specs = {one.label: one for one in (*prove.rivals(run.recipe), *map(spec_of, POLICIES))}
    (window,) = plan.test
    scored = {label: prove.score(run, prove.fit(run, spec, window.cut), window) for label, spec in specs.items()}
    found = {}
    for name in POLICIES:
        nominee = prove.Nominee(spec=specs[name])
        own = [scored[one.label] for one in prove.entrants(run.recipe, nominee, None)]
        judge.evaluate(run, plan, own, nominee, None)
        rules = judge.decide(run, plan, nominee, None, own).decision.rules
        result = OffPolicyResult.model_validate(read_json(run.folder / EVALUATION)["off_policy"])
        found[name] = (result, next(rule for rule in rules if rule.name == "off-policy"))
    return found


def truth(shop: Shop, shown: pd.DataFrame) -> float:
    """Return how often an impression of these lists is clicked, by the shop's hidden tastes."""
    looks = shown[RANK].to_numpy(np.float64) ** -0.7
    return float((looks * shop.attraction(shown[[USER_ID, ITEM_ID]])).mean())


@pytest.mark.slow
def test_the_gates_records_put_five_policies_in_the_order_of_the_truth(tmp_path: Path) -> None:
    source, shop = tmp_path / "shop", Shop(ShopConfig(users=1000, items=400, days=40, seed=3))
    shop.write(source, dirty=False)
    with session(Home.open(tmp_path / "before"), recipe(), source, wait_seconds=0) as run:
        ingest_source(run)
        run = pin_versions(run)
        plan = make_plan(run)
        users = sorted(set(map(str, shop.user_ids)))
        lists = {name: lists_of(run, plan, name, users) for name in POLICIES}
    moment = pd.Timestamp(plan.test[0].cut.at, unit="us", tz="UTC")
    visits_of(shop, lists, moment).to_csv(source / "feedback.csv", index=False)
    feedback = {"path": "feedback.csv", "columns": {name: name for name in COLUMNS}}
    with session(Home.open(tmp_path / "after"), recipe(feedback=feedback), source, wait_seconds=0) as run:
        ingest_source(run)
        run = pin_versions(run)
        found = judged(run, make_plan(run))

    true = {name: truth(shop, shown) for name, shown in lists.items()}
    order = sorted(true, key=true.__getitem__)
    assert all(result.is_sound for result, _ in found.values())
    assert sorted(found, key=lambda name: found[name][0].main.value) == order
    held = [result.main.low <= true[name] <= result.main.high for name, (result, _) in found.items()]
    assert sum(held) >= 4, "intervals of 95 %"
    mixed = sum(true.values()) / len(true)
    assert {name for name, (_, rule) in found.items() if rule.passed} == {name for name in true if true[name] > mixed}
    assert {name for name, (_, rule) in found.items() if rule.passed is False} >= set(order[:2]), "what surely earns less is held"
