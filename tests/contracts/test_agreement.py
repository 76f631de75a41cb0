"""Predicates and expectations must agree: what one finds broken, the other finds unexpected."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from bowerbird.warehouse.connection import connect
from bowerbird.warehouse.rules import RowRule

pytestmark = pytest.mark.slow

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
RULES = [
    RowRule("malformed_row", "is_malformed", "not_malformed"),
    RowRule("missing", "text", "not_null"),
    RowRule("too_long", "text", "max_length", 4),
    RowRule("not_given", "moment", "given"),
    RowRule("unreadable", "moment", "readable"),
    RowRule("too_early", "moment", "at_least", NOON),
    RowRule("too_late", "moment", "at_most", NOON + timedelta(hours=2)),
    RowRule("unknown", "text", "one_of", ("a", "it's", "中")),
    RowRule("not_finite", "amount", "finite"),
    RowRule("low", "amount", "at_least", -1.0),
    RowRule("not_above", "amount", "above", 0.0),
    RowRule("high", "amount", "at_most", 2.0),
    RowRule("not_below", "amount", "below", 2.0),
    RowRule("bad_rating", "rating", "at_least", 0.5),
    RowRule("bad_rating", "rating", "at_most", 5.0),
    RowRule("odd_code", "text", "matches", "[a-z]{1,2}|it's"),
    RowRule("not_whole", "amount", "whole"),
]
TEXTS = [None, "", "a", "ab", "abc", "it's", "中", "x" * 5, "12345678", '"', "a\nb", "{b}"]
NUMBERS = [None, float("nan"), float("inf"), float("-inf"), -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 2.5, 1e300]
RATINGS = [None, "", "0.5", "0.4", "5", "5.1", "nan", "inf", "many", " 3 "]


def random_rows(seed: int, num_rows: int) -> list[dict[str, object]]:
    chance = random.Random(seed)
    moments = [None, NOON - timedelta(seconds=1), NOON, NOON + timedelta(hours=2), NOON + timedelta(hours=3)]
    rows: list[dict[str, object]] = []
    for _ in range(num_rows):
        moment, amount = chance.choice(moments), chance.choice(NUMBERS)
        rows.append(
            {
                "is_malformed": chance.random() < 0.1,
                "text": chance.choice(TEXTS),
                "moment": moment,
                "moment_given": moment is not None or chance.random() < 0.5,
                "amount": amount,
                "amount_given": amount is not None or chance.random() < 0.5,
                "rating": chance.choice(RATINGS),
            }
        )
    return rows


@pytest.mark.parametrize("seed", [1, 2])
def test_predicates_and_expectations_agree_on_random_rows(seed: int) -> None:
    from data_contracts.engine import database, validate
    from data_contracts.expectations import PATTERNS, demands_of, helper_columns, patterns_of

    rows = random_rows(seed, 400)
    with connect() as con:
        con.execute(
            "create table rows as select unnest($rows::struct(is_malformed boolean, text varchar, moment timestamptz,"
            " moment_given boolean, amount double, amount_given boolean, rating varchar)[], recursive := true)",
            {"rows": rows},
        )
        broken = []
        for rule in RULES:
            predicate, bound = rule.sql("rule")
            broken.append(con.execute(f"select count(*) from rows where {predicate}", bound).fetchall()[0][0])
        query = f"select *{helper_columns(RULES, list(rows[0]))} from rows"
        with database(con, {"sampled": (query, {}), PATTERNS: patterns_of(RULES)}) as path:
            found = validate(path, "sampled", demands_of(RULES))
    demands = [len(demands_of([rule])) for rule in RULES]
    assert sum(demands) == len(found)
    unexpected, place = [], 0
    for width in demands:  # a bound on a number is two demands: that it is one, and the bound
        parts = found[place : place + width]
        assert all(part.success == (part.unexpected == 0) for part in parts), parts
        unexpected.append(sum(part.unexpected for part in parts))
        place += width
    assert [(rule.name, num) for rule, num in zip(RULES, unexpected, strict=True)] == [
        (rule.name, num) for rule, num in zip(RULES, broken, strict=True)
    ]
    assert all(num > 0 for num in broken), "each rule must be broken by some row, or the comparison shows nothing"


def test_expectation_that_raises_is_broken_and_says_why() -> None:
    from data_contracts.engine import database, validate
    from data_contracts.expectations import demands_of

    with connect() as con, database(con, {"sampled": ("select 1 as other", {})}) as path:
        (row,) = validate(path, "sampled", demands_of([RowRule("missing", "absent", "not_null")]))
    assert not row.success and "absent" in row.observed
