"""The contract of what a language model has written of items: one row an item, nothing undeclared, nothing without a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bowerbird.columns import ATTRIBUTES, ITEM_ID, KEYWORDS, PROFILE, STATUS
from bowerbird.recipe import Recipe
from bowerbird.text.knowledge import ACCEPTED, LONGEST_KEYWORD, LONGEST_PROFILE, Report
from bowerbird.warehouse.rules import RowRule
from data_contracts.results import ContractResult
from data_contracts.rows import SAMPLE_ROWS, result, unique, validate_sample

if TYPE_CHECKING:
    import duckdb

STATUSES = r"accepted|no_text|(rejected|failed): [a-z0-9_]+"
DERIVED = "knowledge_checked"


def validate_knowledge(
    con: duckdb.DuckDBPyConnection, recipe: Recipe, report: Report, *, sample_rows: int = SAMPLE_ROWS
) -> ContractResult:
    """Hold the view ``knowledge``, and what was counted of it, against the contract."""
    from data_contracts.engine import Demand
    from data_contracts.great import gxe

    assert recipe.knowledge is not None
    declared = [f"{name}: {value}" for name, values in recipe.knowledge.attributes.items() for value in values]
    con.execute(
        f"create or replace temp table {DERIVED} as select {ITEM_ID}, {STATUS},"  # noqa: S608 - our own names
        f" coalesce(len({KEYWORDS}), 0) as num_keywords,"
        f" coalesce(list_max(list_transform({KEYWORDS}, lambda word: length(word))), 0) as longest_keyword,"
        f" coalesce(len(list_filter({ATTRIBUTES}, lambda one: not list_contains($declared::varchar[], one))), 0)"
        " as num_undeclared,"
        f" coalesce(length({PROFILE}), 0) as profile_length,"
        f" ({STATUS} = '{ACCEPTED}') = (coalesce({KEYWORDS}, {ATTRIBUTES}) is not null or {PROFILE} is not null) as is_consistent"
        " from knowledge",
        {"declared": declared},
    )
    counted = con.execute(f"select count(*), count(*) filter ({STATUS} = '{ACCEPTED}') from {DERIVED}").fetchall()[0]  # noqa: S608
    agrees = counted == (report.items, report.accepted) and _adds_up(report)
    con.execute(f"alter table {DERIVED} add column counts_agree boolean default {str(agrees).lower()}")
    rules = [
        RowRule("missing", ITEM_ID, "not_null"),
        RowRule("unknown_status", STATUS, "matches", STATUSES),
        RowRule("too_many", "num_keywords", "at_most", float(recipe.knowledge.num_keywords)),
        RowRule("too_long", "longest_keyword", "at_most", float(LONGEST_KEYWORD)),
        RowRule("undeclared", "num_undeclared", "at_most", 0.0),
        RowRule("too_long", "profile_length", "at_most", float(LONGEST_PROFILE)),
    ]
    further = [
        unique(ITEM_ID),
        *(
            Demand(words, column, gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[True]))
            for words, column in (
                ("what is accepted says something, and nothing else does", "is_consistent"),
                ("the counts of the report are those of the rows", "counts_agree"),
            )
        ),
    ]
    sampled = validate_sample(con, DERIVED, key=ITEM_ID, rules=rules, further=further, sample_rows=sample_rows)
    return result("knowledge", sampled)


def _adds_up(report: Report) -> bool:
    parts = (report.accepted, report.without_text, *report.rejected.values(), *report.failed.values())
    return sum(parts) == report.items
