"""Clicks on logged impressions through a whole run: what the nominee's lists would have earned, and where nothing can be said."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bowerbird.evaluation.decision import OffPolicyResult
from bowerbird.models import load_model
from bowerbird.pipeline import prove
from bowerbird.pipeline.impressions import read_feedback
from bowerbird.pipeline.prepare import Cut, Plan, Window
from bowerbird.pipeline.run import Run
from bowerbird.pipeline.whole import run_all
from bowerbird.recipe import Recipe
from bowerbird.store.home import Home
from bowerbird.store.runs import DECISION, EVALUATION, MANIFEST, read_json
from bowerbird.warehouse.connection import connect
from tests.conftest import NUM_ITEMS, START, shop_recipe

K = 5
SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "item_id": pa.string(),
        "position": pa.int64(),
        "click": pa.int64(),
        "propensity": pa.float64(),
        "timestamp": pa.timestamp("us", "UTC"),
    }
)
COLUMNS = {"user_id": "user", "item_id": "item", "timestamp": "at", "position": "place", "click": "click", "propensity": "p"}


def write_feedback(folder: Path, *, propensity: float = 1 / NUM_ITEMS) -> pd.DataFrame:
    """Show every user ten items by chance, at any of five places; odd items are clicked by nobody."""
    rng = np.random.default_rng(8)
    users = np.repeat([f"u{user}" for user in range(120)], 20)
    items = rng.integers(0, NUM_ITEMS, len(users))
    moments = [START + timedelta(days=float(day)) for day in rng.uniform(28, 40, len(users))]
    frame = pd.DataFrame(
        {
            "user": users,
            "item": [f"i{item}" for item in items],
            "at": [moment.isoformat() for moment in moments],
            "place": rng.integers(1, K + 1, len(users)),
            "click": (rng.random(len(users)) < 0.4 * (items % 2 == 0)).astype(int),
            "p": propensity,
        }
    )
    frame.to_csv(folder / "feedback.csv", index=False)
    return frame.assign(at=pd.to_datetime(frame["at"], format="ISO8601"))


def recipe(**changes: Any) -> Recipe:  # Any: sections
    content = shop_recipe(models=[{"name": "cooccurrence"}], gate={"k": K}).dump() | changes
    content["source"]["feedback"] = {"path": "feedback.csv", "columns": COLUMNS}
    return shop_recipe(**content)


def ran(home: Home, recipe: Recipe, source: Path) -> tuple[Run, OffPolicyResult, dict[str, Any]]:  # Any: JSON
    """Run it all; return the run, what its clicks say, and the gate's rule on that."""
    run_id = run_all(home, recipe, source)["run_id"]
    run = Run(run_id=run_id, home_path=home.path, source=source, versions=read_json(home.runs / run_id / MANIFEST)["versions"])
    (rule,) = [rule for rule in read_json(run.folder / DECISION)["rules"] if rule["name"] == "off-policy"]
    return run, OffPolicyResult.model_validate(read_json(run.folder / EVALUATION)["off_policy"]), rule


def shown_by_the_nominee(run: Run, feedback: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Find the impressions of the test windows, and whether the nominee's lists had the item at that place; one by one."""
    plan = Plan.model_validate(read_json(run.folder / "plan.json"))
    spec = prove.Spec.model_validate(read_json(run.folder / MANIFEST)["model"])
    clicks, is_shown = [], []
    for window in plan.test:
        model = load_model(prove.fit(run, spec, window.cut).folder)
        lists = prove.recommend(run, model, sorted(set(feedback["user"])), k=K, at=window.cut.at, allowed=None)
        held = set(zip(lists["user_id"], lists["rank"], lists["item_id"], strict=True))
        moments = feedback["at"].dt.as_unit("us").astype("int64")
        for row in feedback[(moments >= window.cut.at) & (moments < window.end)].itertuples():
            clicks.append(row.click)
            is_shown.append((row.user, row.place, row.item) in held)
    return np.asarray(clicks, np.float64), np.asarray(is_shown, np.float64)


@pytest.mark.parametrize("split", [{}, {"kind": "session_next_item", "session_gap": "48h"}], ids=["by time", "by sessions"])
def test_clicks_on_what_was_shown_by_chance_judge_the_nominees_lists(home: Home, source: Path, split: dict[str, str]) -> None:
    feedback = write_feedback(source)
    run, result, rule = ran(home, recipe(split={"horizon": "5d"} | split), source)

    clicks, is_shown = shown_by_the_nominee(run, feedback)
    assert result.applicable and result.num_impressions == len(clicks) > 400
    assert (result.unit, result.num_units) == ("user", 120)
    estimates = {one.estimator: one.value for one in result.estimates}
    assert estimates["ips"] == pytest.approx((clicks * is_shown).mean() * NUM_ITEMS)
    assert estimates["snips"] == pytest.approx(clicks[is_shown == 1].mean())
    assert result.logged_value == pytest.approx(clicks.mean())
    assert result.effective_sample_size == pytest.approx(is_shown.sum())
    assert not result.decides and any("effective sample size" in one for one in result.warnings)
    assert rule["passed"] is None and "this decides nothing" in rule["found"]


@pytest.mark.slow
def test_exploration_of_the_nominees_own_is_part_of_its_policy(home: Home, source: Path) -> None:
    """With half of all places drawn from ten candidates, a list of five supports fifteen of thirty items."""
    write_feedback(source)
    rules = {"exploration": {"share": 0.5, "candidates": 10}}
    gate = {"k": K, "off_policy": {"mode": "guard", "min_effective_sample_size": 10}}
    _, result, rule = ran(home, recipe(rules=rules, gate=gate), source)
    assert result.max_weight == pytest.approx(0.5 * NUM_ITEMS)
    assert result.mean_weight == pytest.approx(1, abs=0.25)
    assert result.is_sound and rule["passed"] is (result.main.difference_high >= 0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user_id": []}, "no impressions were logged in the test windows"),
        ({"user_id": [None, None]}, "the 2 impressions of the test windows have no user_id, so no list can be put beside them"),
        ({"position": [6, 7]}, "the impressions of the test windows are all below the 5 places of a list"),
        ({"propensity": [1.0, 1.0]}, "nothing was left to chance in what was logged: every propensity is 1"),
        ({"user_id": ["ann", "ann"]}, "the impressions of the test windows are one user's"),
        ({}, None),
    ],
)
def test_impressions_that_say_nothing_are_told_apart(tmp_path: Path, changes: dict[str, list[Any]], reason: str | None) -> None:
    columns: dict[str, list[Any]] = {"user_id": ["ann", "bob"], "position": [1, 5], "propensity": [1.0, 0.5]}
    num = len((columns | changes)["user_id"])
    moments = [START + timedelta(hours=place) for place in range(num)]
    told = {name: values[:num] for name, values in (columns | changes).items()}
    shown = pa.table(told | {"item_id": ["i1"] * num, "click": [1] * num, "timestamp": moments}, schema=SCHEMA)
    start = int(START.timestamp() * 1e6)
    with connect() as con:
        con.register("feedback", shown)
        window = Window(name="test-1", cut=Cut(at=start), end=start + 10**11)
        found = read_feedback(con, [window], tmp_path, k=K)
    assert (found if isinstance(found, str) else None) == reason


@pytest.mark.slow
def test_without_logged_exploration_it_is_not_applicable_and_no_pass(home: Home, source: Path) -> None:
    write_feedback(source, propensity=1.0)
    _, result, rule = ran(home, recipe(gate={"k": K, "off_policy": {"mode": "guard"}}), source)
    assert not result.applicable and not result.decides
    assert rule["passed"] is None and rule["found"] == f"not applicable: {result.reason}"


@pytest.mark.slow
def test_a_guard_holds_a_nominee_whose_items_nobody_clicks(home: Home, source: Path) -> None:
    """What the nominee lists is never clicked, all else is: chance has earned more."""
    feedback = write_feedback(source)
    run, _, _ = ran(home, recipe(), source)
    plan = Plan.model_validate(read_json(run.folder / "plan.json"))
    spec = prove.Spec.model_validate(read_json(run.folder / MANIFEST)["model"])
    listed = set()
    for window in plan.test:
        model = load_model(prove.fit(run, spec, window.cut).folder)
        lists = prove.recommend(run, model, sorted(set(feedback["user"])), k=K, at=window.cut.at, allowed=None)
        listed |= set(zip(lists["user_id"], lists["item_id"], strict=True))
    pairs = zip(feedback["user"], feedback["item"], strict=True)
    clicks = [int(pair not in listed) for pair in pairs]
    feedback.assign(click=clicks, at=feedback["at"].map(lambda at: at.isoformat())).to_csv(source / "feedback.csv", index=False)
    gate = {"k": K, "off_policy": {"mode": "guard", "min_effective_sample_size": 10}}
    _, result, rule = ran(Home.open(home.path.parent / "another"), recipe(gate=gate), source)
    assert result.decides and result.main.difference_high < 0
    assert rule["passed"] is False and "would have earned" in rule["found"]
