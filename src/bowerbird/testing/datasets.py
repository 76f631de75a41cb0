"""Small event logs that a reader can check by eye, and the reader of the one real set that the suite measures on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bowerbird.columns import EVENT, ITEM_ID, TIMESTAMP, USER_ID, WEIGHT

TASTES = {
    "ann": "apple pear plum apple fig",
    "bob": "pear plum apple",
    "cem": "nail bolt saw bolt",
    "dia": "bolt saw nail glue",
    "eva": "apple fig",
    "fay": "saw glue nail",
    "gus": "fig",
}
"""Seven users: three like fruit, three like tools, one has a single event; one item each way is bought twice."""


def small_log() -> pd.DataFrame:
    """Return 22 events of seven users on eight items, an hour apart; every third is a view of weight 0.5, the rest buys."""
    rows = [(user, item) for user, items in TASTES.items() for item in items.split()]
    frame = pd.DataFrame(rows, columns=[USER_ID, ITEM_ID])
    frame[TIMESTAMP] = [1_700_000_000 + 3600 * place for place in range(len(frame))]
    frame[EVENT] = ["view" if place % 3 == 2 else "buy" for place in range(len(frame))]
    frame[WEIGHT] = [0.5 if event == "view" else 1.0 for event in frame[EVENT]]
    return frame


def renamed(frame: pd.DataFrame, column: str, names: Sequence[Any]) -> pd.DataFrame:  # Any: texts or whole numbers
    """Replace the ids of a column, in ascending order, by ``names``."""
    distinct = sorted(frame[column].unique())
    return frame.assign(**{column: frame[column].map(dict(zip(distinct, names, strict=False)))})


def checkerboard(num: int = 20) -> pd.DataFrame:
    """Return the events of a checkerboard: user u likes each item of u's own parity, but for item u, which is withheld.

    So the one right answer for user u is item u. Each user walks through the items in a circle that starts behind the
    withheld one. The idea is from the tests of the library ``implicit``.
    """
    rows = [
        (user, (user + step) % num, 1_700_000_000 + 60 * (user * num + step)) for user in range(num) for step in range(2, num, 2)
    ]
    return pd.DataFrame(rows, columns=[USER_ID, ITEM_ID, TIMESTAMP])


def movielens_events(folder: Path) -> pd.DataFrame:
    """Read MovieLens latest-small: a rating from 3.5 up has weight 1, a lower one is seen without evidence."""
    ratings = pd.read_csv(folder / "ratings.csv")
    return pd.DataFrame(
        {
            USER_ID: ratings["userId"],
            ITEM_ID: ratings["movieId"],
            TIMESTAMP: ratings["timestamp"],
            WEIGHT: (ratings["rating"] >= 3.5).astype(float),
        }
    )


def leave_last_out(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series[Any]]:  # Any: item ids
    """Hold out each user's last event of weight above 0, and drop what comes after it.

    Returns the events before, and the item held out by user. Users without such an event keep all of theirs.
    """
    ordered = frame.sort_values([USER_ID, TIMESTAMP], kind="stable").reset_index(drop=True)
    last = ordered[ordered[WEIGHT] > 0].groupby(USER_ID).tail(1)
    cut = ordered[USER_ID].map(pd.Series(last.index, index=last[USER_ID])).fillna(len(ordered))
    return ordered[ordered.index < cut], last.set_index(USER_ID)[ITEM_ID]
