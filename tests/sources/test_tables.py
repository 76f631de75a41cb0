"""Items, users and feedback: the tables beside the event log."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bowerbird.recipe import Recipe, read_recipe
from bowerbird.sources.ingest import ingest
from bowerbird.sources.intake import IngestReport, TooManyRejectsError
from bowerbird.store.home import Home
from tests.sources.small import NOW, events_recipe, rows_of

ITEMS = {"path": "items.csv", "columns": {"item_id": "item", "title": "title", "price": "price", "created_at": "born"}}


def take(home: Home, source: Path, recipe: Recipe, run_id: str = "r1") -> IngestReport:
    (source / "events.csv").write_text("user,item,at\nu1,a,2024-01-01\n", encoding="utf-8")
    return ingest(home, recipe, source, run_id, now=NOW)


def write(source: Path, text: str, name: str = "items.csv") -> None:
    (source / name).write_text(text, encoding="utf-8")


def test_last_row_of_an_item_wins_and_the_others_are_counted(home: Home, source: Path) -> None:
    write(source, "item,title,price,born\na,old,1,2024-01-01\nb,bee,,\na,new,2,2024-01-02\n,none,1,\n")
    items = take(home, source, events_recipe(items=ITEMS)).tables["items"]
    assert (items.read, items.accepted, items.num_quarantined, items.duplicates) == (4, 2, 1, 1)
    assert rows_of(home, "items", "item_id, title, price, created_at") == [
        ("a", "new", 2.0, datetime(2024, 1, 2, tzinfo=UTC)),
        ("b", "bee", None, None),
    ]


def test_items_are_merged_and_the_same_again_makes_no_commit(home: Home, source: Path) -> None:
    write(source, "item,title,price,born\na,one,1,\nb,two,2,\n")
    assert "items" in take(home, source, events_recipe(items=ITEMS)).committed
    assert take(home, source, events_recipe(items=ITEMS), "r2").committed == []
    write(source, "item,title,price,born\nb,changed,2,\nc,three,3,\n")
    assert take(home, source, events_recipe(items=ITEMS), "r3").committed == ["items"]
    assert rows_of(home, "items", "item_id, title") == [("a", "one"), ("b", "changed"), ("c", "three")]


def test_unreadable_times_and_prices_of_items_are_rejected(home: Home, source: Path) -> None:
    write(source, "item,title,price,born\na,x,free,\nb,x,1,someday\nc,x,1,\n")
    items = take(home, source, events_recipe(items=ITEMS)).tables["items"]
    assert (items.quarantined["not_finite"], items.quarantined["unreadable_timestamp"], items.accepted) == (1, 1, 1)


def test_too_many_bad_items_stop_before_any_event_is_written(home: Home, source: Path) -> None:
    write(source, "item,title,price,born\n,x,1,\n")
    with pytest.raises(TooManyRejectsError, match="items: 1 of 1 rows"):
        take(home, source, events_recipe(items=ITEMS, contracts={"max_rejected_share": 0.5}))
    assert rows_of(home, "events") == []


def test_categories_come_from_separators_lists_and_several_columns(home: Home, source: Path) -> None:
    write(source, "item,genres\na,Drama| Comedy ||\nb,\n")
    items = {"path": "items.csv", "columns": {"item_id": "item", "categories": "genres"}, "category_separator": "|"}
    take(home, source, events_recipe(items=items))
    assert rows_of(home, "items", "item_id, categories") == [("a", ["Drama", "Comedy"]), ("b", [])]
    rows = pa.table({"item": ["c", "d"], "l": pa.array([["x", None, "y"], None])})
    pq.write_table(rows, source / "items.parquet")
    take(home, source, events_recipe(items={"path": "items.parquet", "columns": {"item_id": "item", "categories": "l"}}))
    assert rows_of(home, "items", "item_id, categories")[2:] == [("c", ["x", "y"]), ("d", [])]
    write(source, json.dumps({"item": "e", "l": ["p", "q"]}) + "\n", "items.jsonl")
    take(home, source, events_recipe(items={"path": "items.jsonl", "columns": {"item_id": "item", "categories": "l"}}))
    assert rows_of(home, "items", "item_id, categories")[4:] == [("e", ["p", "q"])]
    write(source, "item,top,sub\nf,Food,\ng,Food,Fruit\n")
    several = {"path": "items.csv", "columns": {"item_id": "item", "categories": ["top", "sub"]}}
    take(home, source, events_recipe(items=several))
    assert rows_of(home, "items", "item_id, categories")[5:] == [("f", ["Food"]), ("g", ["Food", "Fruit"])]


def test_users_are_kept_with_their_columns(home: Home, source: Path) -> None:
    write(source, "user,country\nu1,FR\nu1,DE\n,IT\n", "users.csv")
    recipe = events_recipe().dump()
    recipe["source"]["users"] = {"path": "users.csv", "columns": {"user_id": "user", "country": "country"}}
    users = take(home, source, read_recipe(recipe, where="r")).tables["users"]
    assert (users.read, users.accepted, users.duplicates, users.quarantined["missing_user"]) == (3, 1, 1, 1)
    assert rows_of(home, "users") == [("u1", "DE")]


def test_feedback_must_have_a_propensity_a_click_and_a_position(home: Home, source: Path) -> None:
    write(
        source,
        "item,at,position,click,p\n"
        "a,2024-01-01,1,0,0.5\nb,2024-01-01,3,1,1\n"
        "c,2024-01-01,1,0,0\nc,2024-01-01,1,0,1.1\nc,2024-01-01,1,0,\nc,2024-01-01,1,0,nan\n"
        "d,2024-01-01,1,2,0.5\ne,2024-01-01,0,1,0.5\nf,2024-01-01,x,1,0.5\ng,2024-01-01,1.5,1,0.5\nh,2024-01-01,inf,1,0.5\n",
        "log.csv",
    )
    columns = {"item_id": "item", "timestamp": "at", "position": "position", "click": "click", "propensity": "p"}
    content = {
        "name": "logs",
        "source": {"feedback": {"path": "log.csv", "columns": columns}},
        "contracts": {"max_rejected_share": 1.0},
    }
    feedback = take(home, source, read_recipe(content, where="r")).tables["feedback"]
    found = {reason: num for reason, num in feedback.quarantined.items() if num}
    assert found == {"position_not_from_1": 4, "click_not_0_or_1": 1, "propensity_not_in_0_1": 4}
    assert rows_of(home, "feedback", "item_id, position, click, propensity") == [("a", 1, 0, 0.5), ("b", 3, 1, 1.0)]
