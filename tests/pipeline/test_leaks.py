"""Recipes that leak, one for each kind, through the whole run: each ends in a LeakError that names the thing."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from bowerbird.data.interactions import Interactions
from bowerbird.errors import LeakError, UserError
from bowerbird.models import MODELS
from bowerbird.models.popularity import Popularity
from bowerbird.pipeline import leaks, prepare
from bowerbird.pipeline.compare import compare
from bowerbird.pipeline.explain import explanation
from bowerbird.pipeline.run import Run
from bowerbird.pipeline.whole import run_all
from bowerbird.recipe import Recipe
from bowerbird.store.home import Home
from bowerbird.store.published import history
from bowerbird.store.runs import read_json
from bowerbird.warehouse import features
from tests.conftest import NUM_ITEMS, START, shop_recipe

LAST_WEEK = START + timedelta(days=38)


class Cheat(Popularity):
    """Popularity that looks at what it is not given; what it sees is set by each test."""

    name: ClassVar[str] = "cheat"
    peek: ClassVar[Any] = None  # Any: a function of the events and items that fit is given


class Peeking(Cheat):
    """Takes other events than it was given."""

    def fit(self, data: Interactions, *, items: pd.DataFrame | None = None, users: pd.DataFrame | None = None) -> Peeking:
        return super().fit(type(self).peek(data, items), items=items, users=users)  # type: ignore[return-value] # itself


@pytest.fixture
def plugged_in(monkeypatch: pytest.MonkeyPatch) -> Any:  # Any: a function that plugs a peek in
    """Make ``cheat`` a model that recipes can name."""

    def plug(peek: Any) -> None:  # Any: see Cheat
        monkeypatch.setattr(Cheat, "peek", staticmethod(peek))
        module = ModuleType("bowerbird.models.cheat")
        module.Cheat = Peeking  # type: ignore[attr-defined] # made here
        monkeypatch.setitem(sys.modules, "bowerbird.models.cheat", module)
        monkeypatch.setitem(MODELS, "cheat", "Cheat")

    return plug


def whole_log(source: Path) -> Interactions:
    log = pd.read_csv(source / "events.csv").rename(columns={"user": "user_id", "item": "item_id", "time": "timestamp"})
    return Interactions.from_frame(log.assign(timestamp=pd.to_datetime(log["timestamp"]))[["user_id", "item_id", "timestamp"]])


def caught(home: Home, recipe: Recipe, source: Path) -> str:
    """Run a recipe that must end in a leak, and publish nothing; return what the error says."""
    with pytest.raises(LeakError) as error:
        run_all(home, recipe, source)
    assert history(home) == []
    (path,) = home.runs.glob("*/outcome.json")
    outcome = read_json(path)
    assert outcome["outcome"] == "failed"
    said = str(error.value)
    (leak,) = [one for one in read_json(path.with_name("evaluation.json"))["leaks"] if one["passed"] is False]
    assert said.startswith(f"{leak['name']}: {leak['found']}")
    told = explanation(home, path.parent.name)
    (rule,) = [one for one in told["rules"] if one["passed"] is False]
    assert (told["outcome"], rule["found"]) == ("failed", leak["found"]) and rule["to_pass"] in said
    assert leak["name"] in Path(outcome["report"]).read_text(encoding="utf-8")
    with pytest.raises(UserError, match=r"has no evaluation|no run has been evaluated"):
        compare(home, path.parent.name, "latest")
    return said


def cheating(**changes: Any) -> Recipe:  # Any: sections
    return shop_recipe(models=[{"name": "cheat"}], **changes)


def write_catalogue(source: Path, **columns: list[Any]) -> dict[str, Any]:  # Any: cells
    """Write items with further columns; return the recipe's source that maps them."""
    header = ["item", "title", *columns]
    rows = [[f"i{item}", f"Title {item}", *(column[item] for column in columns.values())] for item in range(NUM_ITEMS)]
    with (source / "items.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    mapped = shop_recipe().dump()["source"]
    mapped["items"]["columns"] |= {name: name for name in columns}
    return dict(mapped)


def sold_until(source: Path, end: Any) -> list[int]:  # Any: a datetime
    log = pd.read_csv(source / "events.csv")
    counts = Counter(log["item"][pd.to_datetime(log["time"]) < end])
    return [counts[f"i{item}"] for item in range(NUM_ITEMS)]


def test_training_events_after_the_cut_off(home: Home, source: Path, plugged_in: Any) -> None:
    plugged_in(lambda data, items: whole_log(source))

    said = caught(home, cheating(), source)

    assert said.startswith("training events: ") and "are at or after the cut-off 2026-" in said and "the first: user 'u" in said


def test_an_item_that_only_later_events_name(home: Home, source: Path, plugged_in: Any) -> None:
    with (source / "events.csv").open("a") as file:
        file.write(f"u1,brand-new,purchase,{LAST_WEEK.isoformat()},9.5\n")
    plugged_in(lambda data, items: data.with_items(whole_log(source).item_ids))

    said = caught(home, cheating(), source)

    assert said.startswith("items from the future: ") and "item 'brand-new', first event 2026-02-08" in said


def test_an_item_that_was_created_later(home: Home, source: Path, plugged_in: Any) -> None:
    created = ["2025-12-01"] * NUM_ITEMS
    mapped = write_catalogue(source, created_at=created)
    with (source / "items.csv").open("a") as file:
        file.write(f"i99,Brand new,{LAST_WEEK.date()}\n")
    plugged_in(lambda data, items: data.with_items(items["item_id"].to_numpy(object)))

    said = caught(home, cheating(source=mapped), source)

    assert said.startswith("items from the future: ") and "item 'i99', created_at 2026-02-08" in said


@pytest.mark.parametrize("end", [START + timedelta(days=50), LAST_WEEK])
def test_popularity_of_items_from_the_future(home: Home, source: Path, end: Any) -> None:
    mapped = write_catalogue(source, num_sold=sold_until(source, end))

    said = caught(home, shop_recipe(source=mapped), source)

    assert said.startswith("counts from the future: items.num_sold follows the number of events after the cut-off, too")
    assert not (home.cache / "models").exists(), "caught before anything is trained"


def test_what_users_did_in_the_future(home: Home, source: Path) -> None:
    counts = pd.read_csv(source / "events.csv")["user"].value_counts()
    lines = ["user,orders", *(f"{user},{count}" for user, count in counts.items())]
    (source / "users.csv").write_text("\n".join(lines) + "\n")
    mapped = shop_recipe().dump()["source"] | {"users": {"path": "users.csv", "columns": {"user_id": "user", "orders": "orders"}}}

    assert "users.orders follows the number of" in caught(home, shop_recipe(source=mapped), source)


def test_the_same_event_on_both_sides(home: Home, source: Path, plugged_in: Any) -> None:
    """The log holds each purchase twice, and the model takes back into its fit what was held out."""
    lines = (source / "events.csv").read_text().splitlines()
    (source / "events.csv").write_text("\n".join([lines[0], *(line for line in lines[1:] for _ in range(2))]) + "\n")
    kept = {"duplicates": "keep"}

    def forget_one_copy(data: Interactions, items: object) -> Interactions:
        log = whole_log(source)
        is_last = np.append(log.users[1:] != log.users[:-1], True)
        return log.select(~is_last)

    plugged_in(forget_one_copy)
    said = caught(home, cheating(split={"kind": "leave_last_out"}, contracts=kept), source)
    assert "events are in the fit and among the targets; the first: user 'u0'" in said


def test_features_as_of_a_later_time(home: Home, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = features.build_features
    monkeypatch.setattr(
        features, "build_features", lambda con, recipe, *, cut_off, folder: honest(con, recipe, cut_off=LAST_WEEK, folder=folder)
    )

    said = caught(home, shop_recipe(), source)

    assert said.startswith("features from the future: interactions.timestamp reaches to 2026-02-07")


def test_rows_that_are_younger_than_the_cut_off(home: Home, source: Path) -> None:
    updated = ["2026-01-02"] * NUM_ITEMS
    updated[7] = str(LAST_WEEK.date())
    mapped = write_catalogue(source, updated_at=updated)

    said = caught(home, shop_recipe(source=mapped), source)

    assert said.startswith("rows from the future: 1 rows of items are as of their updated_at younger")
    assert "item 'i7', 2026-02-08" in said


@pytest.mark.slow
def test_a_leak_among_searched_settings_ends_the_run_too(home: Home, source: Path, plugged_in: Any) -> None:
    pytest.importorskip("optuna", reason="the extra tune is not installed")
    plugged_in(lambda data, items: whole_log(source))
    searched = {"name": "cheat", "search": {"trials": 2, "window_days": [7.0, 14.0]}}

    assert caught(home, shop_recipe(models=[searched]), source).startswith("training events: ")


@pytest.mark.slow
def test_honest_columns_pass_and_the_evaluation_says_what_was_checked(home: Home, source: Path) -> None:
    """A count as of the first month, what people joined when, and a price: none of them knows what came."""
    rng = np.random.default_rng(1)
    month = START + timedelta(days=15)
    mapped = write_catalogue(
        source,
        num_sold=sold_until(source, month),
        price=rng.lognormal(2, 1, NUM_ITEMS).tolist(),
        created_at=["2025-12-01"] * NUM_ITEMS,
    )
    lines = ["user,joined_at", *(f"u{user},2025-11-{1 + user % 28:02}" for user in range(120))]
    lines += [f"late{user},{LAST_WEEK.isoformat()}" for user in range(3)]
    (source / "users.csv").write_text("\n".join(lines) + "\n")
    mapped["users"] = {"path": "users.csv", "columns": {"user_id": "user", "joined_at": "joined_at"}}

    outcome = run_all(home, shop_recipe(source=mapped), source)

    rows = read_json(home.runs / outcome["run_id"] / "evaluation.json")["leaks"]
    assert {row["name"]: row["passed"] for row in rows} == {
        "protocol": True,
        "features from the future": True,
        "training events": True,
        "events on both sides": True,
        "items from the future": True,
        "counts from the future": True,
        "rows from the future": True,
    }
    found = {row["name"]: row["found"] for row in rows}
    assert found["counts from the future"].startswith("none of 2 columns of numbers follows")
    assert "users.joined_at tell" in found["rows from the future"]
    assert prepare.Plan.model_validate(read_json(home.runs / outcome["run_id"] / "plan.json")).kind == "global_time"


def test_leave_last_out_says_what_it_leaks(home: Home) -> None:
    window = prepare.Window(name="test", cut=prepare.Cut(at=2, leave_out="test"), end=2)
    plan = prepare.Plan(kind="leave_last_out", now=2, selection=window, test=(window,))

    (first,) = leaks.summary(Run(run_id="none", home_path=home.path, source=None), plan, [])

    assert first["name"] == "protocol" and first["passed"] is None and "leaks global statistics" in first["found"]
