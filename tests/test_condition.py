"""A condition reads what its grammar allows, and its values stay data when DuckDB runs it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb
import pytest

from bowerbird.condition import Condition, Term
from bowerbird.warehouse.connection import connect

NASTY = ["it's", "''", '"', "x'; drop table rows; --", "a;b", "line\nbreak", "$when_0", "%_", "\\", "é中文", "and", "", "null"]


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as opened:
        yield opened


def holds(con: duckdb.DuckDBPyConnection, text: str, value: object, kind: str = "varchar") -> bool:
    """Whether a condition on the column ``x`` holds for one value; never null."""
    predicate, values = Condition.parse(text).sql("when")
    found = con.execute(f"select {predicate} from (select $value::{kind} as x)", {**values, "value": value}).fetchone()
    assert found is not None and isinstance(found[0], bool)
    return found[0]


def quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("rating >= 3.5", [Term("rating", ">=", 3.5)]),
        ("rating>=3.5", [Term("rating", ">=", 3.5)]),
        ("  n = -2  ", [Term("n", "=", -2.0)]),
        ("n!=0", [Term("n", "!=", 0.0)]),
        ("code starts   with 'C'", [Term("code", "starts with", "C")]),
        ("code STARTS WITH'C'", [Term("code", "starts with", "C")]),
        ("user_id is not null", [Term("user_id", "is not null")]),
        ("user_id IS  NULL and n < 1", [Term("user_id", "is null"), Term("n", "<", 1.0)]),
        (
            "a = 'x' AND b = 'it''s and c = 1' and c <= 2",
            [Term("a", "=", "x"), Term("b", "=", "it's and c = 1"), Term("c", "<=", 2)],
        ),
        ("a = ''", [Term("a", "=", "")]),
        ("a = ''''", [Term("a", "=", "'")]),
        ("a = 'one\ntwo'", [Term("a", "=", "one\ntwo")]),
        ("and = 1 and is is null", [Term("and", "=", 1.0), Term("is", "is null")]),
    ],
)
def test_condition_reads(text: str, terms: list[Term]) -> None:
    condition = Condition.parse(text)
    assert list(condition.terms) == terms and condition.columns == [term.column for term in terms]
    assert Condition.parse(condition.text) == condition


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "rating",
        "rating >=",
        "rating >= high",
        "rating => 3",
        "rating == 3",
        "rating <> 3",
        "3 < rating",
        "rating >= 3.5 and",
        "and rating >= 3.5",
        "rating >= 3.5 or rating < 1",
        "rating >= 3.5, n = 1",
        "rating >= 3.5 n = 1",
        "rating >= 3.",
        "rating >= .5",
        "rating >= 1e5",
        "rating >= 3and n = 1",
        "rating >= ٣",
        "rating >= nan",
        "rating is nulland n = 1",
        "rating is nan",
        "not rating = 1",
        "(rating = 1)",
        "a = 'open",
        "a = 'x''",
        'a = "x"',
        "a.b = 1",
        "a b = 1",
        "größe = 1",
        '"a" = 1',
        "a = 1; drop table rows",
        "a = 1 -- and",
        "lower(a) = 'x'",
        "a in ('x')",
    ],
)
def test_what_the_grammar_does_not_have_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot read the condition .* write terms like"):
        Condition.parse(text)


def test_place_of_the_mistake_is_named() -> None:
    with pytest.raises(ValueError, match="at 'or b = 2'"):
        Condition.parse("a = 1 or b = 2")


def test_starts_with_needs_a_text() -> None:
    with pytest.raises(ValueError, match="'starts with' needs a text in quotes, got 3"):
        Condition.parse("code starts with 3")


def test_number_beyond_doubles_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        Condition.parse("n > " + "9" * 400)


@pytest.mark.parametrize("value", NASTY)
def test_value_stays_data(con: duckdb.DuckDBPyConnection, value: str) -> None:
    con.execute("create table rows (name varchar)")
    con.executemany("insert into rows values (?)", [[one] for one in NASTY])
    predicate, values = Condition.parse(f"name = {quoted(value)}").sql("when")
    assert con.execute(f"select name from rows where {predicate}", values).fetchall() == [(value,)]
    assert con.execute("select count(*) from rows").fetchone() == (len(NASTY),)
    assert predicate == 'coalesce("name"::varchar = $when_0, false)'


@pytest.mark.parametrize("value", [value for value in NASTY if value])
def test_start_of_a_text_stays_data(con: duckdb.DuckDBPyConnection, value: str) -> None:
    text = f"x starts with {quoted(value)}"
    assert holds(con, text, value + "more") and not holds(con, text, "more" + value[1:])


def test_parameters_of_two_conditions_do_not_meet(con: duckdb.DuckDBPyConnection) -> None:
    first, these = Condition.parse("x = 'a' and x != 'b'").sql("one")
    second, those = Condition.parse("x = 'b'").sql("two")
    found = con.execute(f"select {first}, {second} from (select 'a' as x)", these | those).fetchall()
    assert (found, sorted(these | those)) == ([(True, False)], ["one_0", "one_1", "two_0"])


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("x >= 3.5", "3.5", True),
        ("x >= 3.5", " 4 ", True),
        ("x >= 3.5", "10", True),
        ("x > 3.5", "3.5", False),
        ("x < -1", "-1.5", True),
        ("x = 3", "3.0", True),
        ("x != 3", "4", True),
        ("x >= 3.5", "four", False),
        ("x != 3", "four", False),
        ("x >= 3.5", "nan", False),
        ("x != 3", "NaN", False),
        ("x = '3'", "3.0", False),
        ("x != 'a'", "b", True),
        ("x < 'b'", "a", True),
        ("x is null", "", False),
        ("x is not null", "", True),
    ],
)
def test_condition_holds_where_it_says(con: duckdb.DuckDBPyConnection, text: str, value: str, expected: bool) -> None:
    assert holds(con, text, value) is expected


@pytest.mark.parametrize("text", ["x = 1", "x != 1", "x < 1", "x = 'a'", "x != 'a'", "x starts with 'a'", "x is not null"])
def test_nothing_holds_for_a_missing_value_but_is_null(con: duckdb.DuckDBPyConnection, text: str) -> None:
    assert not holds(con, text, None) and not holds(con, text, None, "double")
    assert holds(con, "x is null", None)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("timestamptz", datetime(2024, 1, 1, tzinfo=UTC)), ("date", "2024-01-01"), ("varchar[]", ["a"]), ("double", float("nan"))],
)
def test_column_of_any_type_can_be_asked(con: duckdb.DuckDBPyConnection, kind: str, value: object) -> None:
    assert not holds(con, "x > 1", value, kind)
    assert not holds(con, "x = 'a'", value, kind)
    assert holds(con, "x is not null", value, kind)


def test_all_terms_must_hold(con: duckdb.DuckDBPyConnection) -> None:
    text = "x >= 2 and x <= 4 and x != 3"
    assert [holds(con, text, str(number)) for number in range(1, 6)] == [False, True, False, True, False]
