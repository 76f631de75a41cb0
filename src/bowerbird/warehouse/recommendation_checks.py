"""The contract of a recommendation set, as one pass of SQL over the lists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypedDict

import duckdb
import pyarrow as pa

from bowerbird.columns import CATEGORIES, ITEM_ID
from bowerbird.recipe_rules import PINNED, Rules

STATEMENT: Final = Path(__file__).parent / "sql" / "recommendation_checks.sql"


class Check(TypedDict):
    """A demand on a set, how many users or rows break it, and one of those users."""

    name: str
    failures: int
    example: str | None


def check_recommendations(
    con: duckdb.DuckDBPyConnection,
    *,
    k: int,
    allowed: Sequence[str] | None = None,
    exclude_events: Sequence[str] = (),
    cancel_events: Sequence[str] = (),
    rules: Rules | None = None,
) -> list[Check]:
    """Hold a set against its contract: every check, with the number of failures.

    Ranks run from 1 without gaps; the items of a list differ; a list is ``k`` long, or as long as the items of the log that
    are allowed and not excluded for the user and that quotas let in; items are allowed and not excluded; scores are finite and
    fall within user and source, unless the rules reorder; quotas are kept by what is not pinned; a pin that applies stands at
    its place, or further up in a list that ends before; propensities are in (0, 1] where chance decides, else missing.

    Parameters
    ----------
    con
        A connection with the views ``lists`` (user_id, item_id, score, rank, source, propensity) and ``events``, and with
        ``items`` and ``users`` where quotas and pins read them.
    allowed
        Items that may be recommended; all where None.
    exclude_events
        A user's items with these events must not be in the user's list.
    cancel_events
        Events that are no interactions, so that an item with no others is in no model.
    rules
        The recipe's rules; those that are kept by way of ``allowed`` aside.
    """
    rules = rules or Rules()
    items = pa.table({ITEM_ID: pa.array(list(allowed or ()), pa.string())})
    con.register("allowed", items)
    _describe_rules(con, rules)
    bound = {
        "k": k,
        "is_restricted": allowed is not None,
        "exclude_events": list(exclude_events) or [""],
        "cancel_events": list(cancel_events) or [""],
        "is_reordered": rules.reorders,
        "is_explored": rules.exploration is not None,
        "pinned": PINNED,
    }
    rows = con.execute(STATEMENT.read_text(encoding="utf-8"), bound).fetchall()
    con.unregister("allowed")
    return [Check(name=name, failures=failures, example=example) for name, failures, example in rows]


def _describe_rules(con: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Make the tables ``quotas`` (quota, item_id, value, most) and ``pins`` (ordinal, item_id, place, user_id; null for all)."""
    con.execute("create or replace temp table quotas (quota integer, item_id varchar, value varchar, most integer)")
    con.execute("create or replace temp table pins (ordinal integer, item_id varchar, place integer, user_id varchar)")
    for number, quota in enumerate(rules.quotas):
        value = f"unnest(list_distinct({CATEGORIES}))" if quota.column == CATEGORIES else f'"{quota.column}"::varchar'
        statement = f"insert into quotas select $number, item_id, {value} as value, $most from items"  # noqa: S608 - a known column
        con.execute(statement, {"number": number, "most": quota.most})
    for number, pin in enumerate(rules.pins):
        bound = {"number": number, "item": pin.item, "place": pin.place}
        if pin.when is None:
            con.execute("insert into pins values ($number, $item, $place, null)", bound)
            continue
        text, values = pin.when.sql("pin")
        statement = f"insert into pins select $number, $item, $place, user_id from users where {text}"  # noqa: S608 - bound values
        con.execute(statement, bound | values)


def broken_in_words(checks: Sequence[Check]) -> str:
    """Name each check that has failures, and a user; empty where the set is sound."""
    return "; ".join(
        f"{check['name']}: {check['failures']:,} failure{'s' * (check['failures'] > 1)}, such as user {check['example']!r}"
        for check in checks
        if check["failures"]
    )
