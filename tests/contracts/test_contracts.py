from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from bowerbird.errors import CheckError
from bowerbird.recipe import read_recipe
from bowerbird.sources.ingest import ingest
from bowerbird.sources.intake import TableIntake
from bowerbird.store.home import Home
from bowerbird.store.tables import relation
from bowerbird.warehouse.connection import connect
from data_contracts.results import ContractResult, ContractRow
from tests.sources.small import NOW, events_recipe

COLUMNS = {"user_id": "user", "item_id": "item", "timestamp": "at", "price": "price"}
CONTRACTS = {
    "max_rejected_share": 0.5,
    "rules": [
        {"name": "zero_price", "column": "price", "above": 0},
        {"name": "not_a_product", "column": "item_id", "matches": "[a-z]{1,3}"},
    ],
}
ITEMS = {"path": "items.csv", "columns": {"item_id": "item", "title": "title"}}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home.open(tmp_path / "home")
    made.create_tables(retention_days=30)
    return made


def broken(result: ContractResult) -> list[str]:
    return [row.expectation for row in result.broken]


def test_result_says_what_is_broken() -> None:
    result = ContractResult("events", (ContractRow("a is there", "a", True), ContractRow("b is there", "b", False, "", 3)))
    assert not result.success
    assert result.sentence() == "events: 1 of 2 expectations are broken: b is there (3 rows)"
    assert json.loads(json.dumps(result.dump()))["rows"][1]["unexpected"] == 3
    assert ContractResult("users", (ContractRow("a", "a", True),)).sentence() == "users: all 1 expectations are met"


@pytest.mark.slow
def test_what_an_ingest_accepts_meets_its_contract(home: Home, tmp_path: Path) -> None:
    from data_contracts.events import validate_events
    from data_contracts.items import validate_items
    from data_contracts.users import validate_users

    (tmp_path / "events.csv").write_text(
        "user,item,at,price\nu1,a,2024-01-01,1\nu1,b,2024-01-02,\n,a,2024-01-01,1\nu2,POST,2024-01-01,1\nu2,a,2024-01-01,2\n"
    )
    (tmp_path / "items.csv").write_text("item,title\na,A\nb,B\n")
    recipe = events_recipe(columns=COLUMNS, contracts=CONTRACTS, items=ITEMS)
    report = ingest(home, recipe, tmp_path, "r1", now=NOW)
    with connect() as con:
        for name in ("events", "items", "users"):
            relation(con, getattr(home, name), name)
        events = validate_events(con, recipe, report.tables["events"], now=NOW)
        items = validate_items(con, recipe, report.tables["items"])
        users = validate_users(con)
    assert (broken(events), broken(items), broken(users)) == ([], [], [])
    told = [row for row in events.rows if row.expectation.startswith("missing_user: rejected")]
    assert told[0].observed == "1 counted, 1 broken"
    assert any(row.expectation.startswith("not_a_product: item_id matches") for row in events.rows)


@pytest.mark.slow
def test_rows_that_should_not_be_there_break_the_contract_of_the_log() -> None:
    from data_contracts.events import validate_events

    recipe = events_recipe(columns=COLUMNS, contracts=CONTRACTS)
    good = {
        "event_id": "0" * 32,
        "user_id": "u1",
        "item_id": "a",
        "event": "view",
        "timestamp": datetime(2024, 1, 1, tzinfo=UTC),
        "price": 1.0,
        "source_file": "f",
        "source_row": 1,
        "run_id": "r",
    }
    bad = [
        good,
        {**good, "user_id": None},
        {**good, "event": "odd"},
        {**good, "item_id": "POST"},
        {**good, "price": 0.0},
        {**good, "timestamp": datetime(2030, 1, 1, tzinfo=UTC)},
    ]
    with connect() as con:
        con.register("events", pd.DataFrame(bad))
        result = validate_events(con, recipe, now=NOW)
        assert validate_events(con, recipe, now=NOW, run_id="another").success
    assert {name.split(":")[0] for name in broken(result)} == {
        "missing_user",
        "unknown_event",
        "not_a_product",
        "zero_price",
        "timestamp_in_future",
        "event_id is unique",
    }


@pytest.mark.slow
def test_counts_that_do_not_add_up_or_are_too_many_break_the_contract() -> None:
    from data_contracts.rows import validate_intake

    intake = TableIntake(read=10, accepted=4, duplicates=1, quarantined={"missing_user": 4}, broken={"missing_user": 3})
    intake.max_rejected_share = 0.3
    with connect() as con:
        rows = validate_intake(con, "events", intake)
    assert [row.expectation for row in rows if not row.success] == [
        "accepted + quarantined + duplicates = read",
        "at most 30.0% of the rows are rejected (found 40.0%)",
        "a row is counted under one of the rules that it breaks",
    ]


@pytest.mark.slow
def test_sample_is_a_share_of_the_rows_and_the_same_in_each_run() -> None:
    from bowerbird.warehouse.rules import RowRule
    from data_contracts.rows import validate_sample

    rule = RowRule("missing", "user_id", "not_null")
    with connect() as con:
        con.execute("create view rows as select range::varchar as event_id, null::varchar as user_id from range(10000)")
        found = [validate_sample(con, "rows", key="event_id", rules=[rule], sample_rows=1000)[0].unexpected for _ in range(2)]
    assert found[0] == found[1]
    assert 850 < found[0] < 1150


@pytest.mark.slow
def test_features_without_keys_or_below_zero_break_their_contract(tmp_path: Path) -> None:
    from data_contracts.features import validate_features

    columns = {name: [1.0, 2.0] for name in ("num_events_1d", "num_events_7d", "num_events_28d", "num_events")}
    columns |= {name: [1.0, 2.0] for name in ("weight_1d", "weight_7d", "weight_28d", "weight")}
    pd.DataFrame({"item_id": ["a", "b"], **columns}).to_parquet(tmp_path / "item_popularity.parquet")
    pairs = {"item_id": ["a", "a", None], "next_item_id": ["b", "b", "c"], "num_pairs": [1, 1, 1], "weight": [0.5, -1.0, 1.0]}
    pd.DataFrame(pairs).to_parquet(tmp_path / "cooccurrence.parquet")
    with connect() as con:
        sound, odd = validate_features(con, [tmp_path / "item_popularity.parquet", tmp_path / "cooccurrence.parquet"])
        assert broken(sound) == []
        assert broken(odd) == [
            "missing: item_id is not null",
            "negative: weight is at least 0.0",
            "item_id and next_item_id are unique together",
        ]
        with pytest.raises(CheckError, match="'other' has no contract"):
            validate_features(con, [tmp_path / "other.parquet"])


@pytest.mark.slow
def test_recommendations_are_held_against_every_check() -> None:
    from bowerbird.warehouse.recommendation_checks import check_recommendations
    from data_contracts.recommendations import validate_recommendations

    rows = [("u1", "a", 1.0, 1, "popularity"), ("u1", "b", 2.0, 2, "popularity")]
    with connect() as con:
        lists = pd.DataFrame(rows, columns=["user_id", "item_id", "score", "rank", "source"])
        con.register("lists", lists.assign(propensity=pd.Series([None] * len(lists), dtype="float64")))
        con.register("events", pd.DataFrame({"user_id": ["u1"], "item_id": ["c"], "event": ["view"]}))
        checks = check_recommendations(con, k=2)
        result = validate_recommendations(con, checks)
        assert broken(result) == ["no check fails", "scores fall within user and source where no rule reorders"]
        assert "every check was made" in broken(validate_recommendations(con, checks[1:]))


@pytest.mark.slow
def test_real_features_meet_their_contracts(home: Home, tmp_path: Path) -> None:
    from bowerbird.warehouse.features import build_features
    from data_contracts.features import validate_features

    (tmp_path / "events.csv").write_text(
        "user,item,at,price\nu1,a,2024-01-01,1\nu1,b,2024-01-02,\nu1,a,2024-01-03,2\nu2,b,2024-01-01,2\n"
    )
    recipe = events_recipe(columns=COLUMNS).dump()
    recipe["target"] = {"events": ["view"]}
    read = read_recipe(recipe, where="r")
    ingest(home, read, tmp_path, "r1", now=NOW)
    with connect() as con:
        relation(con, home.events, "events")
        tables = build_features(con, read, cut_off=NOW, folder=tmp_path / "features")
        results = validate_features(con, [table.path for table in tables])
    assert [broken(result) for result in results] == [[]] * len(tables)


@pytest.mark.slow
def test_knowledge_meets_its_contract_and_what_nobody_declared_breaks_it() -> None:
    from bowerbird.text.knowledge import Report
    from data_contracts.knowledge import validate_knowledge

    knowledge = {"model": "tiny", "num_keywords": 2, "attributes": {"room": ["kitchen"]}}
    recipe = read_recipe(events_recipe(columns=COLUMNS, items=ITEMS).dump() | {"knowledge": knowledge}, where="test")
    columns = ("item_id", "keywords", "attributes", "profile", "status")
    good = [
        ("a", ["iron", "pan"], ["room: kitchen"], "A pan.", "accepted"),
        ("b", None, None, None, "no_text"),
        ("c", None, None, None, "rejected: no_json"),
        ("d", None, None, None, "failed: refused_by_endpoint_400"),
    ]
    bad = [
        ("a", ["iron", "pan", "third"], None, None, "accepted"),
        ("a", ["x" * 61], ["room: HACKED"], "y" * 401, "accepted"),
        ("c", None, None, None, "accepted"),
        ("d", None, None, None, "perhaps"),
    ]
    counts = {"items": 4, "without_text": 1, "accepted": 1, "rejected": {"no_json": 1}, "failed": {"x": 1}, "dropped": {}}
    report = Report(**counts, cached=0, requests=3, tokens=9, digest="")
    results = []
    for rows in (good, bad):
        frame = pd.DataFrame(rows, columns=list(columns))  # noqa: F841 - DuckDB reads it by its name
        with connect() as con:
            con.execute(
                "create table knowledge as select item_id::varchar as item_id, keywords::varchar[] as keywords,"
                " attributes::varchar[] as attributes, profile::varchar as profile, status::varchar as status from frame"
            )
            results.append(validate_knowledge(con, recipe, report))
    assert broken(results[0]) == []
    found = " ".join(broken(results[1]))
    assert all(
        sign in found for sign in ("unknown_status", "too_many", "too_long", "undeclared", "unique", "says something", "counts")
    )
