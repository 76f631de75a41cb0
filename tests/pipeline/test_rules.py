"""All rules at once through a whole run, and what becomes of a set that breaks one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bowerbird.errors import DataError
from bowerbird.models import load_model
from bowerbird.pipeline import prove, whole
from bowerbird.pipeline.prepare import candidates
from bowerbird.pipeline.release import Prepared, prepare_lists
from bowerbird.pipeline.run import Run
from bowerbird.pipeline.show import user_list
from bowerbird.pipeline.whole import run_all
from bowerbird.recipe import Recipe
from bowerbird.store.home import Home
from bowerbird.store.published import history
from bowerbird.store.runs import read_json
from tests.conftest import NUM_ITEMS, shop_recipe

RULES: dict[str, Any] = {  # Any: sections
    "blocked_items": ["i7"],
    "where": ["price < 25"],
    "blocked_categories": ["adult"],
    "max_age": "200d",
    "pins": [{"item": "i1", "place": 2, "when": "country = 'FR'"}, {"item": "i29", "place": 1}, {"item": "new", "place": 1}],
    "quotas": [{"column": "seller", "most": 2}],
    "diversity": {"strength": 0.2},
    "calibration": {"strength": 0.1},
    "freshness": {"boost": 0.1},
    "exploration": {"share": 0.2, "candidates": 5},
}


def seller(item: int) -> str:
    return f"s{item % 4}"


@pytest.fixture
def recipe(source: Path) -> Recipe:
    """A recipe with all rules, and the catalogue and the users that they read."""
    lines = [
        f"i{item},Title {item},{'adult' if item == 5 else f'c{item % 3}'},{seller(item)},{item},"
        f"{'2025-01-01' if item == 9 else '2025-12-20'}"
        for item in range(NUM_ITEMS)
    ]
    lines.append("new,New,c0,s9,1,2026-01-01")
    (source / "items.csv").write_text("\n".join(["item,title,kind,seller,price,created", *lines]) + "\n")
    users = [f"u{user},{'FR' if user % 2 else 'DE'}" for user in range(120)]
    (source / "users.csv").write_text("\n".join(["user,country", *users]) + "\n")
    content = shop_recipe(models=[{"name": "cooccurrence"}]).dump()
    content["source"]["items"]["columns"] |= {
        "categories": "kind",
        "seller": "seller",
        "price": "price",
        "created_at": "created",
    }
    content["source"]["users"] = {"path": "users.csv", "columns": {"user_id": "user", "country": "country"}}
    return shop_recipe(**content | {"rules": RULES, "gate": {"k": 5}})


def test_all_rules_hold_in_what_is_published_and_shown(home: Home, source: Path, recipe: Recipe) -> None:
    outcome = run_all(home, recipe, source)

    assert outcome["outcome"] == "published", outcome["sentence"]
    lists = pd.concat([pd.read_parquet(path) for path in home.recommendations.files()], ignore_index=True)
    number = lists["item_id"].replace("new", "i0").str[1:].astype(int)
    assert (lists.groupby("user_id")["rank"].apply(list).map(lambda ranks: ranks == [1, 2, 3, 4, 5])).all()
    assert not number.isin([7, 5, 9]).any() and (number < 25).all(), "blocked, adult, old, dear"
    assert set(lists.loc[lists["rank"] == 1, "item_id"]) == {"new"}, "i29 is too dear to be pinned"
    is_french = lists["user_id"].str[1:].astype(int) % 2 == 1
    assert set(lists.loc[is_french & (lists["rank"] == 2), "item_id"]) == {"i1"}
    assert set(lists.loc[lists["item_id"] == "new", "reason"]) == {"pinned"}
    sellers = number[lists["item_id"] != "new"].map(seller)
    assert lists.assign(seller=sellers).groupby(["user_id", "seller"]).size().max() <= 2
    assert set(lists.loc[lists["source"] == "pinned", "propensity"]) == {1.0}
    drawn = lists["propensity"] < 0.5
    assert 0.1 < drawn[lists["source"] != "pinned"].mean() < 0.3
    stranger = [item["item_id"] for item in user_list(home, "nobody", k=5)["items"]]
    assert stranger[0] == "new" and not set(stranger) & {"i7", "i5", "i9"}
    _shorter_lists_begin_longer_ones(home, outcome["run_id"])


def _shorter_lists_begin_longer_ones(home: Home, run_id: str) -> None:
    """The shorter of the lists that are evaluated and published begins the longer: same model, same moment."""
    run = Run(
        run_id=run_id, home_path=home.path, source=None, versions=read_json(home.runs / run_id / "manifest.json")["versions"]
    )
    model, at = load_model(run.folder / "model"), read_json(run.folder / "plan.json")["now"]
    allowed = candidates(run, at)
    long, short = (prove.recommend(run, model, ["u1", "u2"], k=k, at=at, allowed=allowed) for k in (5, 3))
    pd.testing.assert_frame_equal(long[long["rank"] <= 3].reset_index(drop=True), short)


def _put(row: int | slice, **values: Any) -> Callable[[pd.DataFrame], None]:  # Any: cells
    def tamper(lists: pd.DataFrame) -> None:
        for name, value in values.items():
            lists.loc[row, name] = value

    return tamper


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_put(2, item_id="i7"), "items may be recommended"),
        (_put(0, item_id="i24", source="cooccurrence"), "pins stand in their places"),
        (_put(3, propensity=None), "propensities stand where chance decides"),
        (_put(slice(2, 4), item_id=["i0", "i4", "i8"]), "quotas are kept"),
    ],
)
def test_a_set_that_breaks_a_rule_is_not_published(
    home: Home, source: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, tamper: Callable[[pd.DataFrame], None], said: str
) -> None:
    def prepare_and_break(*arguments: Any) -> Prepared:  # Any: handed through
        prepared = prepare_lists(*arguments)
        lists = pd.read_parquet(prepared.lists)
        tamper(lists)
        lists.to_parquet(prepared.lists, index=False)
        return prepared

    monkeypatch.setattr(whole.release, "prepare_lists", prepare_and_break)
    outcome = run_all(home, recipe, source)
    assert outcome["outcome"] == "rejected" and said in outcome["sentence"]
    assert history(home) == []


def test_rules_that_leave_nothing_end_the_run(home: Home, source: Path, recipe: Recipe) -> None:
    content = recipe.dump()
    content["rules"] = {"categories": ["no such"]}
    with pytest.raises(DataError, match="the rules leave no item to recommend"):
        run_all(home, shop_recipe(**content), source)
    assert history(home) == []


def test_without_rules_the_lists_are_the_models_own(home: Home, source: Path) -> None:
    outcome = run_all(home, shop_recipe(models=[{"name": "cooccurrence"}]), source)
    model = load_model(home.runs / outcome["run_id"] / "model")
    lists = pd.concat([pd.read_parquet(path) for path in home.recommendations.files()], ignore_index=True)
    now = read_json(home.runs / outcome["run_id"] / "plan.json")["now"]
    own = model.recommend(sorted(lists["user_id"].unique()), k=5, exclude_seen=False, at=now)
    pd.testing.assert_frame_equal(lists[own.columns.tolist()].reset_index(drop=True), own, check_dtype=False, check_exact=True)
    assert lists["propensity"].isna().all()
