"""What a person asks of the published set: a user's list with titles, scores and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bowerbird.columns import ITEM_ID, RANK, SCORE, SOURCE, USER_ID
from bowerbird.errors import CapabilityError, UserError
from bowerbird.models import load_model
from bowerbird.models.base import FALLBACK, Model
from bowerbird.pipeline.run import MODEL
from bowerbird.store.home import Home
from bowerbird.store.published import current, read_lists
from bowerbird.store.runs import MANIFEST, read_json
from bowerbird.store.tables import relation
from bowerbird.warehouse.connection import connect


def user_list(home: Home, user_id: str, *, k: int) -> dict[str, Any]:  # Any: JSON
    """Return a user's published list; somebody unknown gets what is popular.

    Raises
    ------
    UserError
        Where nothing has been published.
    """
    present = current(home)
    if present is None:
        raise UserError("nothing has been published yet", next_step="run 'bowerbird run' first")
    folder = home.runs / present.run_id
    lists = read_lists(home, user_id)
    is_known = len(lists) > 0
    model = load_model(folder / MODEL) if (folder / MODEL).exists() else None
    if not is_known and model is not None:
        lists = model.recommend([user_id], k=k)
    lists = lists[lists[RANK] <= k]
    titles = item_titles(home, lists[ITEM_ID].tolist())
    reasons = explain(home, model, lists)
    return {
        "user_id": user_id,
        "is_known": is_known,
        "version": present.version,
        "run_id": present.run_id,
        "k_published": read_json(folder / MANIFEST)["recipe"]["recommend"]["k"],
        "items": [
            {
                "rank": int(row[RANK]),
                "item_id": row[ITEM_ID],
                "title": titles.get(row[ITEM_ID]) or row[ITEM_ID],
                "score": float(row[SCORE]),
                "source": row[SOURCE],
                "why": why,
            }
            for row, why in zip(lists.to_dict("records"), reasons, strict=True)
        ],
    }


def item_titles(home: Home, item_ids: Sequence[str]) -> dict[str, str]:
    """Return the titles of items that have one."""
    with connect() as con:
        relation(con, home.items, "items")
        wanted = pd.DataFrame({ITEM_ID: pd.Series(list(item_ids), dtype=object)})
        con.register("wanted", wanted)
        rows = con.execute("select item_id, title from items semi join wanted using (item_id)").fetchall()
    return {item: title for item, title in rows if title}


def explain(home: Home, model: Model | None, lists: pd.DataFrame) -> list[str]:
    """Say why each item is in a list: the past item that contributes most, or where the item comes from.

    No past item is named where the model has no exact contributions.
    """
    because: dict[tuple[str, str], str] = {}
    if model is not None and len(lists):
        try:
            found = model.explain(lists[[USER_ID, ITEM_ID]])
        except CapabilityError:
            found = pd.DataFrame({USER_ID: [], ITEM_ID: [], "because": []})
        titles = item_titles(home, found["because"].dropna().unique().tolist())
        because = {
            (user, item): "had before" if past == item else f"because of {titles.get(past, past)}"
            for user, item, past in zip(found[USER_ID], found[ITEM_ID], found["because"], strict=True)
            if isinstance(past, str)
        }
    return [because.get((row[USER_ID], row[ITEM_ID])) or _source_words(row[SOURCE]) for row in lists.to_dict("records")]


def _source_words(source: str) -> str:
    """Say where an item comes from that no past item explains."""
    known = {FALLBACK: "popular", "popularity": "popular", "random": "by chance"}
    return known.get(source, f"fits the history, says {source}")
