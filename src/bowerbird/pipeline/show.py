"""What a person asks of the published set: a user's list with titles, scores and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bowerbird.columns import BECAUSE, EXPLANATION, ITEM_ID, RANK, REASON, SCORE, SOURCE
from bowerbird.errors import UserError
from bowerbird.models import load_model
from bowerbird.models.base import Model
from bowerbird.pipeline.prepare import candidates
from bowerbird.pipeline.prove import recommend
from bowerbird.pipeline.run import MODEL, Run
from bowerbird.ranking.evidence import attributed, in_words
from bowerbird.store.home import Home
from bowerbird.store.published import Publish, current, read_lists, read_similar_items
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
    present = _shown(home)
    folder = home.runs / present.run_id
    lists = read_lists(home, user_id)
    is_known = len(lists) > 0
    model = load_model(folder / MODEL) if (folder / MODEL).exists() else None
    if not is_known and model is not None:
        lists = _made_now(home, present.run_id, model, user_id, k)
    lists = lists[lists[RANK] <= k]
    if REASON not in lists or lists[REASON].isna().any():  # made on the spot, or by a version that published none
        lists = attributed(model, lists, {})
        lists = in_words(lists, item_titles(home, lists[BECAUSE].dropna().tolist()))
    titles = item_titles(home, lists[ITEM_ID].tolist())
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
                "why": row[REASON],
            }
            | ({"explanation": row[EXPLANATION]} if isinstance(row.get(EXPLANATION), str) else {})
            for row in lists.to_dict("records")
        ],
    }


def similar_list(home: Home, item_id: str, *, k: int) -> dict[str, Any]:  # Any: JSON
    """Return the items that the published run found most like one; none where it compared none, or not this one.

    Raises
    ------
    UserError
        Where nothing has been published.
    """
    present = _shown(home)
    found = read_similar_items(home, item_id).head(k)
    titles = item_titles(home, [item_id, *found[f"similar_{ITEM_ID}"]])
    rows = zip(found[RANK], found[f"similar_{ITEM_ID}"], found[SCORE], strict=True)
    items = [
        {"rank": int(rank), "item_id": other, "title": titles.get(other) or other, "score": float(score)}
        for rank, other, score in rows
    ]
    return {"item_id": item_id, "title": titles.get(item_id) or item_id, "version": present.version, "items": items}


def _shown(home: Home) -> Publish:
    present = current(home)
    if present is None:
        raise UserError("nothing has been published yet", next_step="run 'bowerbird run' first")
    return present


def _made_now(home: Home, run_id: str, model: Model, user_id: str, k: int) -> pd.DataFrame:
    """Make a list for somebody who has none, from what the published run read and by its rules: what it blocks stays away."""
    folder = home.runs / run_id
    run = Run(run_id=run_id, home_path=home.path, source=None, versions=read_json(folder / MANIFEST)["versions"])
    now = int(read_json(folder / "plan.json")["now"])
    return recommend(run, model, [user_id], k=k, at=now, allowed=candidates(run, now))


def item_titles(home: Home, item_ids: Sequence[str]) -> dict[str, str]:
    """Return the titles of items that have one."""
    with connect() as con:
        relation(con, home.items, "items")
        wanted = pd.DataFrame({ITEM_ID: pd.Series(list(item_ids), dtype=object)})
        con.register("wanted", wanted)
        rows = con.execute("select item_id, title from items semi join wanted using (item_id)").fetchall()
    return {item: title for item, title in rows if title}
