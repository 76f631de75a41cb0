"""The contract of a recommendation set, as one pass of SQL over the lists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypedDict

import duckdb
import pyarrow as pa

from bowerbird.columns import ITEM_ID
from bowerbird.errors import CheckError

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
) -> list[Check]:
    """Hold a set against its contract: every check, with the number of failures.

    Ranks run from 1 without gaps; the items of a list differ; a list is ``k`` long, or as long as the items of the log that
    are allowed and not excluded for the user; items are allowed and not excluded; scores are finite and fall within user and
    source.

    Parameters
    ----------
    con
        A connection with the views ``lists`` (user_id, item_id, score, rank, source) and ``events``.
    allowed
        Items that may be recommended; all where None.
    exclude_events
        A user's items with these events must not be in the user's list.
    cancel_events
        Events that are no interactions, so that an item with no others is in no model.
    """
    items = pa.table({ITEM_ID: pa.array(list(allowed or ()), pa.string())})
    con.register("allowed", items)
    bound = {
        "k": k,
        "is_restricted": allowed is not None,
        "exclude_events": list(exclude_events) or [""],
        "cancel_events": list(cancel_events) or [""],
    }
    rows = con.execute(STATEMENT.read_text(encoding="utf-8"), bound).fetchall()
    con.unregister("allowed")
    return [Check(name=name, failures=failures, example=example) for name, failures, example in rows]


def require_sound(checks: Sequence[Check]) -> None:
    """Raise CheckError, which names each broken check and a user, where one has failures."""
    broken = [
        f"{check['name']}: {check['failures']} failures, such as user {check['example']!r}"
        for check in checks
        if check["failures"]
    ]
    if broken:
        raise CheckError("; ".join(broken), next_step="nothing was published; look at the lists in the run's folder")
