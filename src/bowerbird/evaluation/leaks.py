"""Whether what is scored could have known the answers: one check for each kind of leak, and in words what it found.

Each check is a pure function that gives a ``LeakResult``; ``require_none`` raises the first leak as an error. What no check can
see stands in docs/reference/protocols.md. Shapes: E events, T targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import ITEM_ID, TIMESTAMP, USER_ID
from bowerbird.data.interactions import Ids, Interactions, to_microseconds
from bowerbird.errors import LeakError
from bowerbird.evaluation.decision import LeakResult
from bowerbird.evaluation.foreknowledge import COUNTS as COUNTS_OF
from bowerbird.evaluation.foreknowledge import what_is_foreknown
from bowerbird.warehouse.leak_facts import RowDates

TRAINING: Final = "training events"
SHARED: Final = "events on both sides"
ITEMS: Final = "items from the future"
COUNTS: Final = "counts from the future"
ROWS: Final = "rows from the future"
FEATURES: Final = "features from the future"
NEXT_STEPS: Final = {
    TRAINING: "fit on the events before the cut-off only",
    SHARED: "take the targets out of the fit",
    ITEMS: "let the model leave out what was created after its newest event, as models.features.known_rows does",
    COUNTS: "leave the column out of the recipe, or count it anew as of the cut-off",
    ROWS: "bring the table as it was before the cut-off; a column that says when an item or user came is mapped as created_at",
    FEATURES: "build the features as of the cut-off",
}
MIN_ROWS: Final = 20
"""A column is compared with counts where so many of its rows have events."""


def require_none(results: Iterable[LeakResult]) -> None:
    """Raise LeakError for the first leak among the results."""
    for one in results:
        if one.passed is False:
            raise LeakError(f"{one.name}: {one.found}", next_step=NEXT_STEPS[one.name])


def as_rules(results: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:  # Any: JSON, as LeakResult dumps it
    """Spell results as rules of a decision: what was asked, what was found, and what would have to change."""
    asked = "nothing at or after the cut-off is known to what is scored"
    return [
        {"rule": "leak", "asked": asked, "if_failed": "stop", **one}
        | {"to_pass": NEXT_STEPS.get(one["name"], "") if one["passed"] is False else ""}
        for one in results
    ]


def training_events(fit: Interactions, cut_off: int, *, own: pd.DataFrame | None = None) -> LeakResult:
    """Look for events of the fit at or after the cut-off (microseconds).

    ``own`` holds targets (``user_id, timestamp``) of users who have a cut-off of their own: nothing of theirs may come after it.
    """
    cut_offs_U = np.full(fit.num_users, cut_off)
    if own is not None:
        users = fit.user_index.get_indexer(pd.Index(own[USER_ID]))
        cut_offs_U[users[users >= 0]] = to_microseconds(own[TIMESTAMP])[users >= 0] + 1
    late = np.flatnonzero(fit.timestamps >= cut_offs_U[fit.users])
    whose = write_moment(cut_off) if own is None else "of their user"
    if not len(late):
        found = f"none of {len(fit)} is at or after the cut-off {whose}; the newest: {write_moment(fit.last_timestamp)}"
        return LeakResult(name=TRAINING, found=found, passed=True)
    first = int(late[np.argmin(fit.timestamps[late])])
    found = f"{len(late)} of {len(fit)} are at or after the cut-off {whose}; the first: {_event(fit, first)}"
    return LeakResult(name=TRAINING, found=found, passed=False)


def shared_events(fit: Interactions, targets: pd.DataFrame) -> LeakResult:
    """Look for events (same user, item and time) that are in the fit and among ``targets``: ``user_id, item_id, timestamp``."""
    moments = to_microseconds(targets[TIMESTAMP])
    users = fit.user_index.get_indexer(pd.Index(targets[USER_ID]))
    items = fit.item_index.get_indexer(pd.Index(targets[ITEM_ID]))
    near = np.flatnonzero(np.isin(fit.timestamps, moments))
    ours = pd.MultiIndex.from_arrays([column[near].astype(np.int64) for column in (fit.users, fit.items, fit.timestamps)])
    theirs = pd.MultiIndex.from_arrays([users.astype(np.int64), items.astype(np.int64), moments])
    shared = near[np.asarray(ours.isin(theirs), bool)]
    if not len(shared):
        return LeakResult(name=SHARED, found=f"none of {len(targets)} targets is a training event", passed=True)
    found = f"{len(shared)} events are in the fit and among the targets; the first: " + _event(fit, int(shared[0]))
    return LeakResult(name=SHARED, found=found, passed=False)


def items_from_future(arrivals: pd.DataFrame, *, known: Ids, recommended: Ids, cut_off: int) -> LeakResult:
    """Look for items that came after the cut-off and that the model knows or, where they were announced, recommends.

    Parameters
    ----------
    arrivals : DataFrame
        ``item_id, came_at, told_by`` of the items without an event before the cut-off, as ``item_arrivals.sql`` gives them.
    known, recommended : ids
        The model's items, and those in its lists.
    """
    moment = pd.Timestamp(cut_off, unit="us", tz="UTC")
    arrivals = arrivals[arrivals[ITEM_ID].isin(known)]
    is_later = (arrivals["came_at"] > moment) | ((arrivals["came_at"] == moment) & (arrivals["told_by"] == "first event"))
    is_used = (arrivals["told_by"] != "available_from") | arrivals[ITEM_ID].isin(recommended)
    leaked = arrivals[is_later & is_used]
    if len(leaked):
        first = leaked.sort_values("came_at", kind="stable").iloc[0]
        does = "recommends" if first[ITEM_ID] in set(recommended) else "knows"
        found = (
            f"the model {does} {len(leaked)} items that came after the cut-off {write_moment(cut_off)}; the first: item "
            f"{first[ITEM_ID]!r}, {first['told_by']} {first['came_at']}"
        )
        return LeakResult(name=ITEMS, found=found, passed=False)
    num_undated = int(arrivals["told_by"].isna().sum())
    if num_undated:
        found = f"{num_undated} items that the model knows have neither a date nor an earlier event: nothing tells when they came"
        return LeakResult(name=ITEMS, found=found, passed=None)
    return LeakResult(name=ITEMS, found=f"none of the {len(known)} items that the model knows came later", passed=True)


def counts_from_future(numbers: Mapping[str, pd.DataFrame], counts: pd.DataFrame) -> LeakResult:
    """Look for columns of items and users that follow events from the cut-off on more closely than what was known could.

    ``foreknowledge`` says so of anything that rises or falls with counts, mean ratings or newest times of all or of later events:
    logarithms, ranks, averages, with noise too. Few rows are enough for what is a count itself, see ``_counts_later``.

    Parameters
    ----------
    numbers : mapping of table to DataFrame
        ``items`` and ``users``: an id, then the columns of numbers.
    counts : DataFrame
        As ``counts_across.sql`` gives them.
    """
    checked, leaking = 0, []
    for table, frame in numbers.items():
        if len(frame.columns) == 1:
            continue
        id_column, *columns = frame.columns
        ours = counts[counts["described"] == table]
        joined = frame.merge(ours, left_on=id_column, right_on="id", suffixes=("_given", ""))
        checked += len(columns)
        for column in columns:
            values = joined[f"{column}_given" if column in ours else column].to_numpy(np.float64, na_value=np.nan)
            of = next(
                (f"the number of {words}" for name, words in COUNTS_OF.items() if _counts_later(values, joined, name)), None
            )
            of = of or what_is_foreknown(values, joined[ours.columns])
            leaking += [f"{table}.{column} follows {of} after the cut-off, too"] if of else []
    if leaking:
        return LeakResult(name=COUNTS, found="; ".join(leaking), passed=False)
    found = f"none of {checked} columns of numbers follows what came after the cut-off"
    return LeakResult(name=COUNTS, found=found if checked else "items and users have no column of numbers", passed=True)


def _counts_later(column: NDArray[np.float64], joined: pd.DataFrame, of: str) -> bool:
    """Tell whether a column is a count that goes on after the cut-off, or linear in one.

    Counts before the cut-off and counts from it on together explain 99 % of its variance, and the latter, with a sign above 0, at
    least half of what the former leave. Of whole numbers that lie between the count before and the whole count, above the former
    for a quarter of the rows, 75 % is enough: that is a count up to a moment in between. A price or a grade follows no count so
    closely, and one taken earlier does not know what came later.
    """
    is_there = np.isfinite(column)
    values = column[is_there]
    before, after = (joined[name].to_numpy(np.float64)[is_there] for name in (f"{of}_before", f"{of}_after"))
    if len(values) < MIN_ROWS or np.ptp(values) == 0 or np.ptp(after) == 0:
        return False
    constant = np.ones(len(values))
    total, _ = _residual(values, constant)
    without, _ = _residual(values, constant, before)
    explained, slope = _residual(values, constant, before, after)
    if without <= 1e-9 * total:
        return False
    is_linear = slope > 0 and explained <= 0.01 * total and explained <= 0.5 * without
    lies_between = (before <= values) & (values <= before + after) & (values == np.round(values))
    goes_on = (values > before)[after > 0]
    return is_linear or bool(explained <= 0.25 * total and lies_between.mean() >= 0.99 and goes_on.mean() >= 0.25)


def _residual(values: NDArray[np.float64], *columns: NDArray[np.float64]) -> tuple[float, float]:
    """Fit values by least squares; the sum of squares that is left, and the weight of the last column."""
    matrix = np.stack(columns, axis=1)
    weights = np.linalg.lstsq(matrix, values, rcond=None)[0]
    return float(np.square(values - matrix @ weights).sum()), float(weights[-1])


def rows_from_future(dates: Mapping[str, Sequence[RowDates]], cut_off: int) -> LeakResult:
    """Look for rows of items and users that carry a time between the cut-off and the newest event though they were there before.

    A column with times after the newest event tells of plans, not of when a row was written, and is left aside.
    """
    judged = [(table, one) for table, columns in dates.items() for one in columns if not one.num_ahead]
    for table, one in judged:
        if one.first is not None:
            found = (
                f"{one.num_young} rows of {table} are as of their {one.column} younger than the cut-off {write_moment(cut_off)}; "
                f"the first: {table[:-1]} {one.first[0]!r}, {one.first[1]}"
            )
            return LeakResult(name=ROWS, found=found, passed=False)
    if not judged:
        found = "no column tells when a row of items or users was written: they are read as they are now"
        return LeakResult(name=ROWS, found=found, passed=None)
    names = ", ".join(f"{table}.{one.column}" for table, one in judged)
    return LeakResult(name=ROWS, found=f"no row is younger than the cut-off, as {names} tell", passed=True)


def features_from_future(newest: Mapping[str, Mapping[str, datetime]], cut_off: int) -> LeakResult:
    """Look for times at or after the cut-off in feature tables; ``newest`` gives the latest time by table and column."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=cut_off)
    for table, columns in newest.items():
        for column, latest in columns.items():
            if latest >= moment:
                found = f"{table}.{column} reaches to {latest}, at or after the cut-off {write_moment(cut_off)}"
                return LeakResult(name=FEATURES, found=found, passed=False)
    found = f"no time in {len(newest)} tables is at or after the cut-off {write_moment(cut_off)}"
    return LeakResult(name=FEATURES, found=found, passed=True)


def _event(data: Interactions, place: int) -> str:
    user, item = data.user_ids[data.users[place]], data.item_ids[data.items[place]]
    return f"user {user!r}, item {item!r}, {write_moment(int(data.timestamps[place]))}"


def write_moment(microseconds: int) -> str:
    """Spell a time for a person."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).isoformat(sep=" ")
