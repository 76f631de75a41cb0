"""From row rules to expectations: what a predicate finds broken, an expectation finds unexpected.

Importing this module takes seconds, for Great Expectations comes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from bowerbird.warehouse.rules import GIVEN, RowRule
from data_contracts.engine import Demand
from data_contracts.great import Column, gxe

NUMBER: Final = "_number"
"""Ends the name of a column that is another one read as a finite number, null where it is none."""
BOUNDS: Final = ("at_least", "at_most", "above", "below")
PATTERNS: Final = "patterns"
"""Table beside the rows: the regular expressions of rules by name, so that none stands in SQL text."""


def demands_of(rules: Sequence[RowRule]) -> list[Demand]:
    """Return what rules demand, in their order; a bound on a number asks that it is one, and then for the bound."""
    return [demand for place, rule in enumerate(rules) for demand in _demands(place, rule)]


def _demands(place: int, rule: RowRule) -> list[Demand]:
    name, column, value = rule.name, rule.column, rule.value
    if rule.kind == "not_malformed":
        return [Demand(f"{name}: no row is malformed", column, gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[False]))]
    if rule.kind == "given":
        given = gxe.ExpectColumnValuesToBeInSet(column=column + GIVEN, value_set=[True])
        return [Demand(f"{name}: {column} is given", column, given)]
    if rule.kind == "not_null":
        return [Demand(f"{name}: {column} is not null", column, gxe.ExpectColumnValuesToNotBeNull(column=column))]
    if rule.kind == "max_length":
        assert isinstance(value, int)
        short = gxe.ExpectColumnValueLengthsToBeBetween(column=column, max_value=value)
        return [Demand(f"{name}: {column} has at most {value} letters", column, short)]
    if rule.kind in ("readable", "finite"):
        read = column if rule.kind == "readable" else column + NUMBER
        readable = gxe.ExpectColumnValuesToNotBeNull(column=read, row_condition=Column(column + GIVEN) == True)  # noqa: E712
        return [Demand(f"{name}: {column}, where given, is {rule.kind}", column, readable)]
    if rule.kind == "whole":
        query = f"select * from {{batch}} where {column} is not null and ({column}{NUMBER} is null or {_broken(column)})"  # noqa: S608
        whole = gxe.UnexpectedRowsExpectation(description=name, unexpected_rows_query=query)
        return [Demand(f"{name}: {column} is a whole number", column, whole)]
    if rule.kind == "one_of":
        assert isinstance(value, tuple)
        known = gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(value))
        return [Demand(f"{name}: {column} is one of {', '.join(value)}", column, known)]
    if rule.kind == "matches":
        query = (
            f"select * from {{batch}} where {column} is not null and not regexp_full_match({column}::varchar,"  # noqa: S608
            f" (select pattern from {PATTERNS} where place = {place}))"
        )
        matching = gxe.UnexpectedRowsExpectation(description=name, unexpected_rows_query=query)
        return [Demand(f"{name}: {column} matches {value}", column, matching)]
    assert rule.kind in BOUNDS
    return _bounds(rule)


def _broken(column: str) -> str:
    return f"trunc({column}{NUMBER}) <> {column}{NUMBER} or abs({column}{NUMBER}) >= 9e15"


def _bounds(rule: RowRule) -> list[Demand]:
    """Demand a bound; of a time as it is, of anything else as a number, which it must be."""
    name, column, value = rule.name, rule.column, rule.value
    assert isinstance(value, int | float | datetime)
    is_time = isinstance(value, datetime)
    read = column if is_time else column + NUMBER
    is_lower = rule.kind in ("at_least", "above")
    bound = gxe.ExpectColumnValuesToBeBetween(
        column=read,
        min_value=value if is_lower else None,
        max_value=None if is_lower else value,
        strict_min=rule.kind == "above",
        strict_max=rule.kind == "below",
    )
    words = {"at_least": "at least", "at_most": "at most", "above": "above", "below": "below"}[rule.kind]
    demands = [Demand(f"{name}: {column} is {words} {value}", column, bound)]
    if not is_time:
        number = gxe.ExpectColumnValuesToNotBeNull(column=read, row_condition=Column(column).is_not_null())
        demands.insert(0, Demand(f"{name}: {column} is a finite number", column, number))
    return demands


def helper_columns(rules: Sequence[RowRule], columns: Sequence[str]) -> str:
    """Return SQL for the columns that demands read besides those that a table has: numbers, and what was given."""
    numbers = {
        rule.column for rule in rules if rule.kind in (*BOUNDS, "finite", "whole") and not isinstance(rule.value, datetime)
    }
    given = {rule.column for rule in rules if rule.kind in ("given", "readable", "finite")}
    parts = [
        f'case when isfinite(try_cast("{name}" as double)) then try_cast("{name}" as double) end as "{name}{NUMBER}"'
        for name in sorted(numbers)
    ]
    parts += [f'"{name}" is not null as "{name}{GIVEN}"' for name in sorted(given) if name + GIVEN not in columns]
    if any(rule.kind == "not_malformed" for rule in rules) and "is_malformed" not in columns:
        parts.append("false as is_malformed")
    return "".join(f", {part}" for part in parts)


def patterns_of(rules: Sequence[RowRule]) -> tuple[str, dict[str, object]]:
    """Return the query for the table of patterns, and its parameters."""
    found = [(place, rule.value) for place, rule in enumerate(rules) if rule.kind == "matches"]
    query = "select unnest($places::integer[]) as place, unnest($patterns::varchar[]) as pattern"
    return query, {"places": [place for place, _ in found], "patterns": [pattern for _, pattern in found]}
