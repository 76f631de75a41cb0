from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bowerbird.recipe import read_recipe
from bowerbird.warehouse.connection import connect
from bowerbird.warehouse.rules import RowRule, RuleSet, event_rules

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def breaks(rule: RowRule, value: object, *, kind: str, given: bool = True) -> bool:
    """Whether a row with this one value breaks the rule."""
    predicate, bound = rule.sql("rule")
    query = f"select {predicate} from (select $value::{kind} as x, $given as x_given)"
    with connect() as con:
        return bool(con.execute(query, {**bound, "value": value, "given": given}).fetchall()[0][0])


@pytest.mark.parametrize(
    ("rule", "kind", "good", "bad"),
    [
        (RowRule("r", "x", "not_malformed"), "boolean", [False], [True]),
        (RowRule("r", "x", "not_null"), "varchar", ["a", ""], [None]),
        (RowRule("r", "x", "max_length", 3), "varchar", ["", "abc", "中文é", None], ["abcd"]),
        (RowRule("r", "x", "at_least", 2.0), "double", [2.0, 3.0, None], [1.9, float("nan"), float("inf")]),
        (RowRule("r", "x", "at_least", 2.0), "varchar", ["2", " 3.5", None], ["1.9", "many", "nan"]),
        (RowRule("r", "x", "at_most", 2.0), "double", [2.0, None], [2.1, float("-inf")]),
        (RowRule("r", "x", "above", 0.0), "double", [0.1, None], [0.0, -1.0]),
        (RowRule("r", "x", "below", 1.0), "double", [0.9, None], [1.0]),
        (RowRule("r", "x", "at_most", NOON), "timestamptz", [NOON, None], [NOON + timedelta(microseconds=1)]),
        (RowRule("r", "x", "one_of", ("a", "b'c")), "varchar", ["a", "b'c", None], ["A", ""]),
        (RowRule("r", "x", "matches", "[0-9]{5}[A-Z]?"), "varchar", ["12345", "12345A", None], ["1234", "12345AB", ""]),
        (RowRule("r", "x", "whole"), "double", [1.0, -3.0, None], [1.5, float("inf"), float("nan"), 1e300]),
    ],
    ids=lambda value: value.kind if isinstance(value, RowRule) else "",
)
def test_rule_tells_good_from_bad(rule: RowRule, kind: str, good: list[Any], bad: list[Any]) -> None:
    assert [breaks(rule, value, kind=kind) for value in good] == [False] * len(good)
    assert [breaks(rule, value, kind=kind) for value in bad] == [True] * len(bad)


def test_readable_and_finite_ask_only_where_something_was_given() -> None:
    readable, finite, given = (RowRule("r", "x", kind) for kind in ("readable", "finite", "given"))  # type: ignore[arg-type]
    assert breaks(readable, None, kind="timestamptz", given=True)
    assert not breaks(readable, None, kind="timestamptz", given=False)
    assert not breaks(readable, NOON, kind="timestamptz")
    assert breaks(finite, float("inf"), kind="double")
    assert not breaks(finite, None, kind="double", given=False)
    assert breaks(given, None, kind="double", given=False)


def test_mask_has_a_bit_for_each_broken_rule_in_declared_order() -> None:
    rules = RuleSet.compile(
        [RowRule("no_x", "x", "not_null"), RowRule("short", "y", "max_length", 1), RowRule("no_y", "y", "not_null")]
    )
    query = (
        f"select {rules.mask} from (select null::varchar as x, 'ab' as y union all select 'a', 'b' union all select null, null)"
    )
    with connect() as con:
        assert [row[0] for row in con.execute(query, rules.values).fetchall()] == [0b011, 0b000, 0b101]
    assert rules.names == ["no_x", "short", "no_y"]


def test_values_are_bound_and_never_stand_in_the_text() -> None:
    rules = RuleSet.compile([RowRule("r", "x", "matches", "it's; --"), RowRule("r", "x", "one_of", ("drop table",))])
    assert "it's" not in rules.mask and "drop" not in rules.mask
    assert rules.values == {"rule_0": "it's; --", "rule_1": ["drop table"]}


def test_rules_of_the_log_stand_in_declared_order_before_the_recipes() -> None:
    recipe = read_recipe(
        {
            "name": "r",
            "source": {
                "events": {
                    "path": "e.csv",
                    "columns": {"user_id": "u", "item_id": "i", "timestamp": "t", "price": "p"},
                    "event": "buy",
                    "weights": {"buy": 1.0},
                }
            },
            "contracts": {"rules": [{"name": "zero_price", "column": "price", "above": 0, "not_null": True}]},
        },
        where="r",
    )
    assert recipe.source.events is not None
    names = [rule.name for rule in event_rules(recipe, recipe.source.events, now=NOON)]
    assert list(dict.fromkeys(names)) == [
        "malformed_row",
        "missing_user",
        "missing_item",
        "id_too_long",
        "missing_timestamp",
        "unreadable_timestamp",
        "timestamp_out_of_range",
        "timestamp_in_future",
        "unknown_event",
        "not_finite",
        "zero_price",
    ]
