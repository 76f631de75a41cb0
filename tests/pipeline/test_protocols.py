"""Protocols through the whole run: sessions, ties, candidate sets; and what is planted later changes no list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bowerbird.pipeline import prepare, prove
from bowerbird.pipeline.prepare import Cut, Window
from bowerbird.pipeline.prove import Spec
from bowerbird.pipeline.run import Run, open_run, pin_versions
from bowerbird.pipeline.session import ingest_source
from bowerbird.pipeline.slices import measure_slices
from bowerbird.pipeline.whole import run_all
from bowerbird.recipe import Recipe
from bowerbird.store.home import Home
from bowerbird.store.runs import read_json
from tests.conftest import shop_recipe, write_items, write_log

DAY = 86_400_000_000
FIRST = 1_767_225_600_000_000
"""The start of the small log, 2026-01-01."""


def opened(home: Home, recipe: Recipe, source: Path) -> Run:
    run = open_run(home, recipe, source)
    ingest_source(run)
    return pin_versions(run)


def evaluated(home: Home, recipe: Recipe, source: Path) -> dict[str, Any]:  # Any: JSON
    outcome = run_all(home, recipe, source)
    return dict(read_json(home.runs / outcome["run_id"] / "evaluation.json"))


@pytest.mark.slow
def test_sessions_are_asked_about_alone_and_counted_by_user(home: Home, source: Path) -> None:
    """One purchase a day at most: a gap of two days makes sessions of several."""
    split = {"kind": "session_next_item", "horizon": "5d", "session_gap": "48h"}
    found = evaluated(home, shop_recipe(split=split, models=[{"name": "cooccurrence"}]), source)

    assert found["protocol"] == "session_next_item"
    values = {label: one["metrics"]["ndcg"][0] for label, one in found["models"].items()}
    assert values["cooccurrence"] > values["popularity_7d"] > 0, "the next item follows from the last"
    assert 50 < found["num_users"] <= 120
    assert {row["name"]: row["passed"] for row in found["leaks"]}["events on both sides"] is True
    (activity,) = {column for column in (one["column"] for one in found["slices"]) if "activity" in column}
    assert sum(one["num_users"] for one in found["slices"] if one["column"] == activity) == found["num_users"]
    assert 0 < found["targets_found"]["cooccurrence"][0] <= 1


@pytest.mark.slow
def test_shuffled_ties_decide_and_the_order_of_the_file_stands_beside(home: Home, source: Path) -> None:
    """With dates only, the order within a day is the file's; here it gives each user's next item away."""
    log = pd.read_csv(source / "events.csv")
    log = pd.concat([log.assign(time=log["time"].str[:10]), log.assign(time=log["time"].str[:10], item="i0")])
    log.sort_values(["user", "time", "item"], kind="stable").to_csv(source / "events.csv", index=False)
    split = {"kind": "leave_last_out", "ties": "shuffled", "horizon": "5d"}
    found = evaluated(home, shop_recipe(split=split, models=[{"name": "cooccurrence"}]), source)

    ties = {row["name"]: row for row in found["leaks"]}["order of ties"]
    assert ties["passed"] is True and "ordered at random" in ties["found"]
    assert set(found["file_order"]) == set(found["models"])
    decided, beside = (found[part]["popularity_7d"]["metrics"]["ndcg"][0] for part in ("models", "file_order"))
    assert decided > beside + 0.1, "i0 is first of its day in the file, and last every other time in truth"


@pytest.fixture
def asked(home: Home, source: Path) -> Any:  # Any: a function that asks a model
    """Score a model on one window; return lists, targets, and slices beside random."""

    def ask(recipe: Recipe, *, kept: Window, name: str = "cooccurrence", at: Home = home) -> tuple[pd.DataFrame, ...]:
        run = opened(at, recipe, source)
        scored, other = (
            prove.score(run, prove.fit(run, Spec(label=label, name=one), kept.cut), kept)
            for label, one in (("asked", name), ("other", "random"))
        )
        found = measure_slices(run, [kept], [scored], [other])
        return pd.read_parquet(scored.lists), prepare.load_targets(run, kept), pd.DataFrame([one.model_dump() for one in found])

    return ask


WINDOW = Window(name="test", cut=Cut(at=FIRST + 30 * DAY), end=FIRST + 35 * DAY)


def test_all_candidates_are_what_was_there_whatever_the_rules_say(asked: Any, source: Path) -> None:
    items = ["item,title,from", *(f"i{item},T,{'2026-03-01' if item == 99 else '2025-01-01'}" for item in (*range(30), 99))]
    (source / "items.csv").write_text("\n".join(items) + "\n")
    mapped = shop_recipe().dump()["source"]
    mapped["items"]["columns"]["available_from"] = "from"
    blocked = {"blocked_items": [f"i{item}" for item in range(10)]}

    def listed(candidates: str) -> set[str]:
        recipe = shop_recipe(source=mapped, rules=blocked, split={"candidates": candidates})
        return set(asked(recipe, kept=WINDOW, name="random")[0]["item_id"])

    assert listed("available") == {f"i{item}" for item in range(10, 30)}
    assert listed("all") == {f"i{item}" for item in range(30)}, "not what came later"


def test_unseen_candidates_and_targets_are_new_to_the_user(asked: Any, source: Path) -> None:
    lists, targets, _ = asked(shop_recipe(split={"candidates": "unseen"}), kept=WINDOW)
    log = pd.read_csv(source / "events.csv")
    before = log[pd.to_datetime(log["time"]) < pd.Timestamp("2026-01-31", tz="UTC")]
    had = set(zip(before["user"], before["item"], strict=True))
    for frame in (lists, targets):
        assert len(frame) > 50 and not had & set(zip(frame["user_id"], frame["item_id"], strict=True))
    assert not targets["is_repeat"].any()


@pytest.mark.parametrize(
    "window",
    [
        WINDOW,
        WINDOW.model_copy(update={"session_gap": 2 * DAY}),
        pytest.param(
            WINDOW.model_copy(update={"cut": WINDOW.cut.model_copy(update={"shuffles_ties": True})}), marks=pytest.mark.slow
        ),
    ],
    ids=["global_time", "session_next_item", "shuffled ties"],
)
def test_what_is_planted_after_a_window_changes_no_list_no_target_and_no_slice(
    asked: Any, source: Path, tmp_path: Path, window: Window
) -> None:
    write_log(source / "events.csv", days=range(35))
    before = asked(shop_recipe(), kept=window, at=Home.open(tmp_path / "before"))
    write_log(source / "events2.csv", days=range(35, 50), seed=3)
    write_log(source / "events3.csv", days=range(35, 50), num_users=200, seed=9)
    write_items(source / "items.csv")
    after = asked(shop_recipe(), kept=window, at=Home.open(tmp_path / "after"))
    for own, planted in zip(before, after, strict=True):
        assert len(own) > 5
        pd.testing.assert_frame_equal(own, planted)
