"""Row rules: what a row must be to be accepted, in the order in which a row is counted under them.

A rule compiles to a DuckDB predicate that holds where a row breaks it and is never null; values are bound parameters. One
pass over the rows evaluates all rules into one whole number a row, bit ``i`` for rule ``i``: zero is an accepted row, the
lowest bit is the rule that a rejected row is counted under.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from bowerbird import columns as c
from bowerbird.errors import RecipeError, did_you_mean
from bowerbird.recipe import Recipe, Rule
from bowerbird.recipe_source import EventSource

Kind = Literal[
    "not_malformed",
    "given",
    "not_null",
    "max_length",
    "readable",
    "at_least",
    "at_most",
    "above",
    "below",
    "one_of",
    "matches",
    "finite",
    "whole",
]
Value = str | float | int | datetime | tuple[str, ...] | None
MAX_ID_LENGTH: Final = 512
MAX_RULES: Final = 62
LARGEST_WHOLE: Final = 9e15  # a double holds whole numbers exactly up to here
FUTURE_ALLOWED: Final = timedelta(days=1)
EARLIEST: Final = "1970-01-01 00:00:00+00"
GIVEN: Final = "_given"


@dataclass(frozen=True)
class RowRule:
    """One demand on one column; ``name`` is the reason of the rows that break it.

    Null values break ``not_null`` only. ``given``, ``readable`` and ``finite`` read the column ``<column>_given``. Numbers
    in text columns are compared as numbers; what is no finite number breaks the rule.
    """

    name: str
    column: str
    kind: Kind
    value: Value = None

    def sql(self, prefix: str) -> tuple[str, dict[str, object]]:
        """Return the predicate that holds where a row breaks the rule, and its parameters, named from ``prefix`` on."""
        column = f'"{self.column}"'
        if self.kind == "not_malformed":
            return f"({column})", {}
        if self.kind == "given":
            return f'(not "{self.column}{GIVEN}")', {}
        if self.kind == "not_null":
            return f"({column} is null)", {}
        if self.kind == "readable":
            return f'("{self.column}{GIVEN}" and {column} is null)', {}
        if self.kind == "finite":
            return f'("{self.column}{GIVEN}" and not coalesce(isfinite({column}), false))', {}
        if self.kind == "whole":
            is_whole = f"isfinite({column}) and trunc({column}) = {column} and abs({column}) < {LARGEST_WHOLE:.0f}"
            return f"({column} is not null and not ({is_whole}))", {}
        bound = f"${prefix}"
        if self.kind == "one_of":
            assert isinstance(self.value, tuple)
            holds = f"list_contains({bound}, {column}::varchar)"
            return f"({column} is not null and not {holds})", {prefix: list(self.value)}
        if self.kind == "matches":
            return f"({column} is not null and not regexp_full_match({column}::varchar, {bound}))", {prefix: self.value}
        if self.kind == "max_length":
            return f"(coalesce(length({column}), 0) > {bound})", {prefix: self.value}
        sign = {"at_least": ">=", "at_most": "<=", "above": ">", "below": "<"}[self.kind]
        if not isinstance(self.value, datetime):
            read = f"try_cast({column} as double)"
            return f"({column} is not null and not coalesce(isfinite({read}) and {read} {sign} {bound}, false))", {
                prefix: self.value
            }
        return f"({column} is not null and not coalesce({column} {sign} {bound}, false))", {prefix: self.value}


@dataclass(frozen=True)
class RuleSet:
    """Rules in declared order, as SQL."""

    rules: tuple[RowRule, ...]
    values: dict[str, object] = field(default_factory=dict)
    mask: str = "0::bigint"

    @classmethod
    def compile(cls, rules: Sequence[RowRule]) -> RuleSet:
        """Compile rules; the mask is a whole number with a bit for each rule that a row breaks."""
        assert len(rules) <= MAX_RULES, "a mask holds 62 rules"
        values: dict[str, object] = {}
        bits = []
        for place, rule in enumerate(rules):
            predicate, bound = rule.sql(f"rule_{place}")
            values |= bound
            bits.append(f"{predicate}::bigint << {place}")
        return cls(tuple(rules), values, " | ".join(f"({bit})" for bit in bits) or "0::bigint")

    @property
    def names(self) -> list[str]:
        """The reason of each bit; two bits may share one."""
        return [rule.name for rule in self.rules]


def event_rules(recipe: Recipe, spec: EventSource, *, now: datetime) -> list[RowRule]:
    """Return the rules of the event log; ``now`` is the ingest clock, which only ``timestamp_in_future`` reads."""
    known = tuple(sorted({*spec.weights, *spec.cancels}))
    rules = [
        RowRule("malformed_row", "is_malformed", "not_malformed"),
        RowRule("missing_user", c.USER_ID, "not_null"),
        RowRule("missing_item", c.ITEM_ID, "not_null"),
        RowRule("id_too_long", c.USER_ID, "max_length", MAX_ID_LENGTH),
        RowRule("id_too_long", c.ITEM_ID, "max_length", MAX_ID_LENGTH),
        *_time_rules(now),
        RowRule("unknown_event", c.EVENT, "not_null"),
        RowRule("unknown_event", c.EVENT, "one_of", known),
        *[RowRule("not_finite", name, "finite") for name in (c.QUANTITY, c.PRICE) if name in spec.columns],
    ]
    own = [row for rule in recipe.contracts.rules for row in recipe_rules(rule, list(spec.columns))]
    if len(rules) + len(own) > MAX_RULES:
        raise RecipeError(f"contracts.rules asks for {len(own)} checks", next_step=f"at most {MAX_RULES - len(rules)} fit")
    return rules + own


def item_rules(columns: Sequence[str]) -> list[RowRule]:
    """Return the rules of the catalogue, as far as its columns go."""
    times = [name for name in (c.AVAILABLE_FROM, c.AVAILABLE_UNTIL, c.CREATED_AT) if name in columns]
    return [
        RowRule("malformed_row", "is_malformed", "not_malformed"),
        RowRule("missing_item", c.ITEM_ID, "not_null"),
        RowRule("id_too_long", c.ITEM_ID, "max_length", MAX_ID_LENGTH),
        *[RowRule("unreadable_timestamp", name, "readable") for name in times],
        *[RowRule("not_finite", name, "finite") for name in (c.PRICE,) if name in columns],
    ]


def user_rules() -> list[RowRule]:
    """Return the rules of the users' table."""
    return [
        RowRule("malformed_row", "is_malformed", "not_malformed"),
        RowRule("missing_user", c.USER_ID, "not_null"),
        RowRule("id_too_long", c.USER_ID, "max_length", MAX_ID_LENGTH),
    ]


def feedback_rules(*, now: datetime) -> list[RowRule]:
    """Return the rules of logged impressions: a propensity in (0, 1], a click of 0 or 1, a position from 1 on."""
    return [
        RowRule("malformed_row", "is_malformed", "not_malformed"),
        RowRule("missing_item", c.ITEM_ID, "not_null"),
        RowRule("id_too_long", c.ITEM_ID, "max_length", MAX_ID_LENGTH),
        *_time_rules(now),
        RowRule("position_not_from_1", c.POSITION, "not_null"),
        RowRule("position_not_from_1", c.POSITION, "whole"),
        RowRule("position_not_from_1", c.POSITION, "at_least", 1.0),
        RowRule("click_not_0_or_1", c.CLICK, "not_null"),
        RowRule("click_not_0_or_1", c.CLICK, "one_of", ("0.0", "1.0")),
        RowRule("propensity_not_in_0_1", c.PROPENSITY, "not_null"),
        RowRule("propensity_not_in_0_1", c.PROPENSITY, "above", 0.0),
        RowRule("propensity_not_in_0_1", c.PROPENSITY, "at_most", 1.0),
    ]


def _time_rules(now: datetime) -> list[RowRule]:
    return [
        RowRule("missing_timestamp", c.TIMESTAMP, "given"),
        RowRule("unreadable_timestamp", c.TIMESTAMP, "readable"),
        RowRule("timestamp_out_of_range", c.TIMESTAMP, "at_least", datetime.fromisoformat(EARLIEST)),
        RowRule("timestamp_in_future", c.TIMESTAMP, "at_most", now + FUTURE_ALLOWED),
    ]


def recipe_rules(rule: Rule, columns: Sequence[str]) -> list[RowRule]:
    """Return the row rules that one rule of a recipe asks for. Raises RecipeError for a column that the map does not have."""
    if rule.column not in columns:
        raise RecipeError(
            f"contracts.rules: {rule.name!r} asks for the column {rule.column!r}; the events have {', '.join(columns)}"
            f"{did_you_mean(rule.column, list(columns))}",
            next_step="add it to source.events.columns or mend the rule",
        )
    asked: list[tuple[Kind, Value]] = [
        ("matches", rule.matches),
        ("at_least", rule.min),
        ("at_most", rule.max),
        ("above", rule.above),
        ("below", rule.below),
        ("one_of", rule.one_of),
    ]
    rows = [RowRule(rule.name, rule.column, "not_null")] if rule.not_null else []
    return rows + [RowRule(rule.name, rule.column, kind, value) for kind, value in asked if value is not None]
