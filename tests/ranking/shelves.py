"""Six items, the most popular first, and what the rules make of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bowerbird.data.interactions import Interactions
from bowerbird.models import build_model
from bowerbird.ranking.lists import ListMaker
from bowerbird.ranking.rules import allowed_items, read_shelf
from bowerbird.recipe_rules import Rules
from bowerbird.warehouse.connection import connect
from bowerbird.warehouse.recommendation_checks import Check, check_recommendations

NOW = pd.Timestamp("2026-03-01", tz="UTC")
AT = int(NOW.value // 1000)
NEVER = pd.Series([pd.NaT] * 6, dtype="datetime64[us, UTC]")
ITEMS = pd.DataFrame(
    {
        "item_id": list("abcdef"),
        "categories": [["x"], ["x"], ["y"], ["x"], ["y"], ["z"]],
        "price": [10.0, 20.0, 30.0, 40.0, 50.0, None],
        "seller": ["ada", "ada", "bob", "bob", "cem", None],
        "available_from": NEVER,
        "available_until": NEVER,
        "created_at": pd.Series([NOW - pd.Timedelta(days=days) for days in (90, 60, 30, 0, 7, 400)]).astype(
            "datetime64[us, UTC]"
        ),
    }
)
USERS = pd.DataFrame({"user_id": ["ann", "bob"], "country": ["FR", "DE"]})


def log(past: Sequence[tuple[str, str]] = ()) -> pd.DataFrame:
    """A log in which a is more popular than b, and so on; ``past`` is what is known of those whom lists are for."""
    crowd = [(f"u{place}", item, "view") for place in range(6) for item in "abcdef"[: 6 - place]]
    frame = pd.DataFrame([*crowd, *((user, item, "buy") for user, item in past)], columns=["user_id", "item_id", "event"])
    return frame.assign(timestamp=[(NOW - pd.Timedelta(days=1)).timestamp()] * len(frame))


def made(
    rules: dict[str, Any],  # Any: sections
    *,
    users: Sequence[str] = ("ann",),
    k: int = 3,
    past: Sequence[tuple[str, str]] = (),
    items: pd.DataFrame = ITEMS,
    seed: int = 1,
    model: str = "popularity",
    as_policy: bool = False,
) -> tuple[pd.DataFrame, list[Check]]:
    """Make lists by rules, and hold them against the contract; what was bought is not listed again."""
    read, events = Rules.model_validate({"pool": 2} | rules), log(past)
    fitted = build_model(model).fit(Interactions.from_frame(events))
    with connect() as con:
        for name, frame in {"events": events, "items": items, "users": USERS}.items():
            con.register(name, frame)
        allowed = allowed_items(con, read, AT)
        shelf = read_shelf(con, read, fitted.data.item_ids, allowed=allowed, at=AT)

        def ask(some: list[str], size: int) -> pd.DataFrame:
            return fitted.recommend(some, k=size, exclude_seen=["buy"], candidates=allowed, at=AT)

        maker = ListMaker(
            fitted,
            read,
            shelf,
            ask=ask,
            exclude_seen=["buy"],
            history=None,
            num_places=k,
            seed=seed,
            at=AT,
            as_policy=as_policy,
        )
        lists = maker.make(list(users), k)
        con.register("lists", lists)
        return lists, check_recommendations(con, k=k, allowed=allowed, exclude_events=["buy"], rules=read)


def listed(rules: dict[str, Any], **asked: Any) -> str:  # Any: sections, arguments of ``made``
    """The first user's list, as one word; it keeps its contract."""
    lists, checks = made(rules, **asked)
    assert [check for check in checks if check["failures"]] == []
    first = lists[lists["user_id"] == lists["user_id"].iloc[0]]
    return "".join(first["item_id"])
