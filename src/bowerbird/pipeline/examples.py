"""The users by whose lists a person can judge a set, and what changes in these beside the published set."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from bowerbird.columns import EXPLANATION, ITEM_ID, RANK, REASON, USER_ID
from bowerbird.pipeline.prepare import reading
from bowerbird.pipeline.release import Prepared
from bowerbird.pipeline.run import Run
from bowerbird.pipeline.show import item_titles
from bowerbird.report.content import ExampleUser, ListedItem, PastEvent
from bowerbird.report.content_decision import ListChange, ListChanges
from bowerbird.store.tables import relation

SHARES = (0.02, 0.5, 0.9)
"""How far down the order of users by events, most first, an example stands: much, some and little history."""


def pick_examples(run: Run, prepared: Prepared, version: int | None) -> tuple[tuple[ExampleUser, ...], ListChanges | None]:
    """Return example users, always the same for the same data, and what changes for them beside a published version."""
    with reading(run) as con:
        ranked = con.execute("select user_id, count(*) as n from events group by user_id order by n desc, user_id").df()
        users = ranked.iloc[sorted({round(share * (len(ranked) - 1)) for share in SHARES})]
        con.register("wanted", users[[USER_ID]])
        events = con.execute(
            "select user_id, item_id, event, timestamp from events semi join wanted using (user_id) "
            "qualify row_number() over (partition by user_id order by timestamp desc, source_row desc, event_id) <= 8 "
            "order by user_id, timestamp desc, source_row desc, event_id"
        ).df()
        con.from_parquet(str(prepared.lists)).create_view("lists", replace=True)
        lists = con.execute("select * from lists semi join wanted using (user_id) order by user_id, rank").df()
        before = lists.iloc[:0]
        if version is not None:
            relation(con, run.home.recommendations, "published", version=version)
            before = con.execute("select * from published semi join wanted using (user_id) order by user_id, rank").df()
    titles = item_titles(run.home, [*events[ITEM_ID], *lists[ITEM_ID], *before[ITEM_ID]])
    examples, changes = [], []
    for user, count in zip(users[USER_ID], users["n"], strict=True):
        now, then, past = (frame[frame[USER_ID] == user] for frame in (lists, before, events))
        examples.append(_example(user, count, past, now, then, titles))
        if len(then):
            changes.append(_change(user, now, then, titles))
    if version is None:
        return tuple(examples), None
    return tuple(examples), ListChanges(version=version, overlap=prepared.published_overlap, users=tuple(changes))


def _change(user: str, now: pd.DataFrame, then: pd.DataFrame, titles: dict[str, str]) -> ListChange:
    """Compare one user's two lists."""
    ranks, earlier = (dict(zip(frame[ITEM_ID], frame[RANK], strict=True)) for frame in (now, then))
    stays = [item for item in ranks if item in earlier]
    unmoved = sum(ranks[item] == earlier[item] for item in stays)
    return ListChange(
        user_id=user,
        entered=tuple(titles.get(item, item) for item in ranks if item not in earlier),
        left=tuple(titles.get(item, item) for item in earlier if item not in ranks),
        moved=len(stays) - unmoved,
        unmoved=unmoved,
    )


def _example(
    user: str, count: int, events: pd.DataFrame, lists: pd.DataFrame, before: pd.DataFrame, titles: dict[str, str]
) -> ExampleUser:
    ranks = dict(zip(before[ITEM_ID], before[RANK], strict=True))
    return ExampleUser(
        user_id=user,
        num_events=int(count),
        history=tuple(
            PastEvent(title=titles.get(row[ITEM_ID], row[ITEM_ID]), event=row["event"], when=row["timestamp"])
            for row in events.to_dict("records")
        ),
        items=tuple(
            ListedItem(
                rank=int(row[RANK]),
                title=titles.get(row[ITEM_ID], row[ITEM_ID]),
                why=_why(row),
                before=ranks.get(row[ITEM_ID]),
            )
            for row in lists.to_dict("records")
        ),
    )


def _why(row: dict[Hashable, Any]) -> str:  # Any: cells
    """Return the explanation where the recipe asks for one, else the evidence in words."""
    return str(row[EXPLANATION] if isinstance(row[EXPLANATION], str) else row[REASON])
