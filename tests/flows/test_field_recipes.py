"""The recipes by field, each a whole run from the command line on data of its field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.flows.conftest import ROOT, bowerbird

pytestmark = pytest.mark.slow
DATA = ROOT.parent / "shared" / "data"
EXIT_CODES = {"published": 0, "rejected": 3}


def run(recipe: str, home: Path, *, source: str | None = None, ends: str = "published") -> dict[str, Any]:  # Any: JSON
    """Run a recipe from an empty home, check what every outcome holds, and return it."""
    given = []
    if source is not None:
        if not (DATA / source).is_dir():
            pytest.skip(f"the real data set is not there: ../shared/data/{source} is absent")
        given = ["--source", str(DATA / source)]
    command = ("run", "--recipe", recipe, "--home", str(home), "--seed", "1", "--json", *given)
    done = bowerbird(*command, seconds=600)
    assert done.returncode == EXIT_CODES[ends], done.stderr[-3000:]
    outcome: dict[str, Any] = json.loads(done.stdout)  # Any: JSON
    assert (outcome["outcome"], outcome["recipe"]) == (ends, recipe)
    assert bool(outcome["decision"]["publish"]) == (ends == "published") and outcome["decision"]["sentence"]
    assert outcome["nominee"] in outcome["metrics"]
    assert {"random", "popularity_7d", "cooccurrence"} <= {*outcome["rivals"], *outcome["metrics"]}
    assert Path(outcome["report"]).is_file()
    return outcome


def lists_of(outcome: dict[str, Any], home: Path) -> pd.DataFrame:  # Any: JSON
    """Read the lists that a run has made ready, whether they were published or not."""
    return pd.read_parquet(home / "runs" / outcome["run_id"] / "recommendations.parquet")


def test_social_publishes_what_knows_posts_that_nobody_has_touched(tmp_path: Path) -> None:
    outcome = run("social", tmp_path / "home")
    assert "simulated" in outcome["note"]
    best = max(figure["value"] for figure in outcome["rivals"].values())
    assert outcome["metrics"][outcome["nominee"]]["low"] > best


def test_entertainment_publishes_films_that_nobody_gets_who_has_rated_them(tmp_path: Path) -> None:
    outcome = run("entertainment", tmp_path / "home", source="ml-latest-small")
    assert outcome["metrics"][outcome["nominee"]]["low"] > outcome["rivals"]["random"]["high"]
    ratings = pd.read_csv(DATA / "ml-latest-small" / "ratings.csv", dtype={"userId": str, "movieId": str})
    lists = lists_of(outcome, tmp_path / "home")
    assert lists["user_id"].nunique() == ratings["userId"].nunique()
    assert lists.merge(ratings, left_on=["user_id", "item_id"], right_on=["userId", "movieId"]).empty


def test_ecommerce_publishes_what_beats_own_habits(tmp_path: Path) -> None:
    outcome = run("ecommerce", tmp_path / "home", source="online-retail")
    beats_habits(outcome)
    lists = lists_of(outcome, tmp_path / "home")
    assert lists["propensity"].between(0, 1, inclusive="right").all(), "chance has filled some places, and says how likely"


def test_groceries_publish_what_beats_own_habits_and_keep_the_shelves_apart(tmp_path: Path) -> None:
    outcome = run("complete_journey", tmp_path / "home", source="completejourney")
    beats_habits(outcome)
    lists = lists_of(outcome, tmp_path / "home")
    products = pd.read_parquet(DATA / "completejourney" / "products.parquet").set_index("product_id")
    products.index = products.index.astype(str)
    listed = products.loc[lists["item_id"]]
    assert not listed["department"].isin(["FUEL", "COUPON", "MISCELLANEOUS", "CNTRL/STORE SUP"]).any(), "blocked"
    assert lists.groupby(["user_id", listed["product_category"].to_numpy()]).size().max() <= 2


def beats_habits(outcome: dict[str, Any]) -> None:  # Any: JSON
    """Check that the nominee is above the hardest rival where repeats are welcome, and surely above chance."""
    nominee, rivals = outcome["metrics"][outcome["nominee"]], outcome["rivals"]
    assert nominee["value"] > rivals["personal_frequency"]["value"]
    assert nominee["low"] > rivals["random"]["high"]


def test_ads_publishes_nothing_since_so_few_clicks_prove_nothing(tmp_path: Path) -> None:
    outcome = run("ads", tmp_path / "home", source="obd-small", ends="rejected")
    assert "not proven better than random" in outcome["sentence"]
    assert outcome["rows"]["accepted"] == 60_000
    lists = lists_of(outcome, tmp_path / "home")
    assert lists["propensity"].between(0, 1, inclusive="right").all(), "chance has filled some places, and says how likely"
    items = pd.read_parquet(DATA / "obd-small" / "random_all_items.parquet").astype({"item_id": str})
    style = "all|" + items["item_id"]
    styles = lists["item_id"].map(dict(zip(style, items["item_feature_1"], strict=True)))
    assert lists.groupby(["user_id", styles]).size().max() <= 2, "three places are not given to three of one kind"
