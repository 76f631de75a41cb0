"""Slices in a whole run: who they are, that they end a change which loses them, and that the future does not tell them apart."""

from __future__ import annotations

import csv
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bowerbird.errors import RecipeError
from bowerbird.pipeline import prove
from bowerbird.pipeline.approval import approve
from bowerbird.pipeline.prepare import Plan, load_cut
from bowerbird.pipeline.run import Run
from bowerbird.pipeline.whole import run_all
from bowerbird.store.home import Home
from bowerbird.store.runs import read_json
from tests.conftest import NUM_ITEMS, START, shop_recipe, write_items, write_log

SLICES = {"gate": {"slices": {"min_users": 30}}}


def write_newcomers(path: Path, *, days: range, count: int = 36) -> None:
    """Write users who come in these days for the first time, most of them for one item that everybody knows."""
    rng = np.random.default_rng(5)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "kind", "time", "price"])
        for user in range(count):
            moment = START + timedelta(days=int(rng.choice(days)), seconds=int(rng.integers(86_000)))
            item = 7 if rng.random() < 0.7 else int(rng.integers(NUM_ITEMS))
            writer.writerow([f"n{user}", f"i{item}", "purchase", moment.isoformat(), 9.5])


@pytest.fixture
def with_newcomers(tmp_path: Path) -> Path:
    """A folder whose log has 36 users more in the last days, and item i7 as everybody's first before."""
    folder = tmp_path / "source"
    folder.mkdir()
    write_log(folder / "events.csv", days=range(36))
    write_newcomers(folder / "events2.csv", days=range(33, 36))
    with (folder / "events3.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("user", "item", "kind", "time", "price")]
            + [(f"u{user}", "i7", "purchase", (START + timedelta(days=20, seconds=user)).isoformat(), 9.5) for user in range(120)]
        )
    write_items(folder / "items.csv")
    return folder


def evaluation_of(home: Home, outcome: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    return read_json(home.runs / outcome["run_id"] / "evaluation.json")


@pytest.mark.slow
def test_a_model_good_on_average_but_bad_for_new_users_is_rejected_with_that_slice_named(
    home: Home, with_newcomers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_all(home, shop_recipe(candidate="popularity", **SLICES), with_newcomers)
    if first["outcome"] != "published":
        approve(home, first["run_id"], accept=True, by="Ada", reason="to have a poor champion", force=True)
    lists = prove.recommend

    def what_nobody_wants_for_strangers(run: Any, model: Any, users: list[str], **asked: Any) -> pd.DataFrame:
        found = lists(run, model, users, **asked)
        is_stranger = ~found["user_id"].isin(model.data.user_ids)
        if model.name == "cooccurrence" and asked.get("history") is None and is_stranger.any():
            listed = found["item_id"][is_stranger].unique()
            others = [item for item in model.data.item_ids if item not in listed]
            found.loc[is_stranger, "item_id"] = [others[rank - 1] for rank in found["rank"][is_stranger]]
        return found

    monkeypatch.setattr(prove, "recommend", what_nobody_wants_for_strangers)
    outcome = run_all(home, shop_recipe(candidate="cooccurrence", **SLICES), with_newcomers)

    evaluation = evaluation_of(home, outcome)
    assert evaluation["differences"]["popularity"]["low"] > 0, "it is better on average"
    assert outcome["outcome"] == "rejected"
    assert "is rejected: on 36 users of the slice user: new, its NDCG@10 of 0.0" in outcome["sentence"]
    worst = evaluation["slices"][0]
    assert (worst["column"], worst["value"], worst["other"], worst["blocks"]) == ("user", "new", "popularity", True)
    returning = next(one for one in evaluation["slices"] if one["value"] == "returning")
    assert returning["mean"] > 0 and not returning["blocks"]


def test_slices_of_a_first_run_stand_beside_the_best_rival_and_block_nothing(home: Home, source: Path) -> None:
    lines = ["user,country", *(f"u{user},{'DE' if user % 3 else 'FR'}" for user in range(120))]
    (source / "users.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    items = ["item,title,kind", *(f"i{item},Title {item},{'toy' if item % 2 else 'book'}" for item in range(NUM_ITEMS))]
    (source / "items.csv").write_text("\n".join(items) + "\n", encoding="utf-8")
    policy = {"slices": {"users": ["country"], "items": ["kind"], "min_users": 30}}
    recipe = shop_recipe(candidate="cooccurrence", gate=policy, source=source_with_users())

    outcome = run_all(home, recipe, source)
    evaluation = evaluation_of(home, outcome)

    manifest = read_json(home.runs / outcome["run_id"] / "manifest.json")
    run = Run(run_id=outcome["run_id"], home_path=home.path, source=source, versions=manifest["versions"])
    (window, *_) = Plan.model_validate(read_json(run.folder / "plan.json")).test
    kept, read = prove.events_before(run, window.cut), load_cut(run, window.cut)[0]
    assert kept.to_frame().equals(read.to_frame()), "what random keeps of the log is what the log says"
    assert len({one["other"] for one in evaluation["slices"]} & {"personal_frequency", "popularity_7d"}) == 1
    assert not any(one["blocks"] for one in evaluation["slices"])
    found = {(one["column"], one["value"]): one for one in evaluation["slices"]}
    assert {column for column, _ in found} == {"user", "user activity", "item popularity", "item age", "country", "kind"}
    everybody = evaluation["models"]["cooccurrence"]["metrics"]["ndcg"][0]
    assert found["user", "returning"]["num_users"] == evaluation["num_users"], "all users are returning ones"
    assert found["user", "returning"]["nominee"] == pytest.approx(everybody)
    assert found["country", "DE"]["num_users"] + found["country", "FR"]["num_users"] == evaluation["num_users"]
    assert {value for column, value in found if column == "kind"} == {"toy", "book"}
    hits = num_targets = 0
    for window in evaluation["test_windows"]:
        folder = home.runs / outcome["run_id"] / "evaluation" / window["name"]
        targets = pd.read_parquet(folder / "targets.parquet")
        lists = pd.read_parquet(folder / "cooccurrence.lists.parquet")
        hits += len(targets.merge(lists, on=["user_id", "item_id"]))
        num_targets += len(targets)
    share, low, high = evaluation["targets_found"]["cooccurrence"]
    assert share == pytest.approx(hits / num_targets) and low < share < high, "every target counts alike"


@pytest.mark.slow
def test_events_at_or_after_the_cut_off_do_not_change_who_is_in_which_slice(home: Home, tmp_path: Path, source: Path) -> None:
    recipe = shop_recipe(candidate="cooccurrence", split={"horizon": "5d", "test": 1}, **SLICES)
    first = run_all(home, recipe, source)
    (window,) = read_json(home.runs / first["run_id"] / "plan.json")["test"]
    with (source / "events.csv").open(encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    planted = []  # nine earlier copies of each event of the test window, inside it
    for user, item, kind, time, price in rows:
        moments = [pd.Timestamp(time) - timedelta(seconds=place) for place in range(1, 10)]
        planted += [(user, item, kind, at.isoformat(), price) for at in moments if at.timestamp() * 1e6 >= window["cut"]["at"]]
    with (source / "events2.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *planted])

    again = run_all(Home.open(tmp_path / "other"), recipe, source)

    assert len(planted) > 500
    sizes = [
        {(one["column"], one["value"]): one["num_users"] for one in evaluation_of(opened, outcome)["slices"]}
        for opened, outcome in ((home, first), (Home.open(tmp_path / "other"), again))
    ]
    assert sizes[0] == sizes[1]


def source_with_users() -> dict[str, Any]:  # Any: a section
    """The small shop's sources, with users and one more column of the items."""
    source = shop_recipe().source.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    source["items"]["columns"]["kind"] = "kind"
    source["users"] = {"path": "users.csv", "columns": {"user_id": "user", "country": "country"}}
    return source


def test_a_column_that_the_tables_lack_is_refused_when_the_recipe_is_read() -> None:
    with pytest.raises(
        RecipeError, match=r"gate.slices.items reads the column that source.items.columns lacks.*'titel'.*'title'"
    ):
        shop_recipe(gate={"slices": {"items": ["titel"]}})
    with pytest.raises(RecipeError, match=r"there is no \[source.users\] to have it"):
        shop_recipe(gate={"slices": {"users": ["country"]}})
