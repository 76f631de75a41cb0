"""From a run's lists and tables to the slices of its evaluation; no event at or after a window's cut-off is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import CREATED_AT, ITEM_ID, USER_ID
from bowerbird.data.interactions import Interactions, to_microseconds
from bowerbird.evaluation import slices
from bowerbird.evaluation.decision import GuardResult, SliceResult
from bowerbird.evaluation.matching import Matches, match
from bowerbird.evaluation.metrics import METRICS
from bowerbird.evaluation.sessions import owners
from bowerbird.evaluation.slices import Codes, Grouping
from bowerbird.evaluation.statistics import Values
from bowerbird.pipeline.prepare import Window, load_items, load_targets, load_users
from bowerbird.pipeline.prove import Scored, events_before
from bowerbird.pipeline.run import Run

USER, ACTIVITY = "user", "user activity"
ITEM_POPULARITY, ITEM_AGE = "item popularity", "item age"


Part = tuple[str, str, Codes, Values]
"""Column, value, a user's number a row, and what the two models found for him: float [R, 2]."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """What one window has: users (a number is the same in all windows) and items of its targets, what came before, what was hit.

    Shapes: U users with targets, N items that are targets. ``classes_N`` and ``ages_N`` are those of ``evaluation.slices``.
    """

    users: Codes
    user_ids: pd.Index[Any]  # Any: ids are texts or numbers
    num_events_U: Codes
    values_U2: Values
    item_ids: pd.Index[Any]  # Any: see user_ids
    classes_N: Codes
    ages_N: Values
    matches: tuple[Matches, Matches]


def compare_slices(
    run: Run,
    windows: Sequence[Window],
    nominee: Sequence[Scored],
    other: Sequence[Scored] | None,
    *,
    guards: Sequence[GuardResult],
    decides: bool,
) -> dict[str, Any]:  # Any: JSON
    """Return the slices, the worst first, and the guarded metrics, corrected for having asked about all of them at once."""
    found = measure_slices(run, windows, nominee, other) if other else []
    policy = run.recipe.gate
    judged, of_guards = slices.adjust(
        found, further=[one.p_value for one in guards], significance=policy.significance, decides=decides
    )
    adjusted = [one.model_copy(update={"adjusted_p": p_value}) for one, p_value in zip(guards, of_guards, strict=True)]
    return {"guards": [one.model_dump() for one in adjusted], "slices": [one.model_dump() for one in judged]}


def measure_slices(run: Run, windows: Sequence[Window], nominee: Sequence[Scored], other: Sequence[Scored]) -> list[SliceResult]:
    """Compare the nominee with another model on every slice, not yet adjusted for their number.

    ``nominee`` and ``other`` are their lists on each of ``windows``.
    """
    policy, seed = run.recipe.gate, run.recipe.seed
    metric, lists = policy.metric, list(zip(nominee, other, strict=True))
    figures = [[pd.read_parquet(one.users, columns=[metric])[metric] for one in both] for both in lists]
    everybody = pd.Index(np.unique(np.concatenate([np.asarray(ours.index) for ours, _ in figures])))
    table = load_items(run)
    known = None if table is None else table.set_index(ITEM_ID)
    seen = [_look(run, *one, everybody, known) for one in zip(windows, lists, figures, strict=True)]
    return [
        slices.compare(
            column,
            value,
            slices.pool(users, values_R2),
            other=other[0].label,
            max_loss=policy.slices.max_loss,
            min_users=policy.slices.min_users,
            level=policy.confidence,
            seed=seed,
        )
        for column, value, users, values_R2 in chain(_of_users(run, seen), _of_items(run, seen, known))
        if len(users)
    ]


def _look(
    run: Run,
    window: Window,
    scored: tuple[Scored, Scored],
    figures: Sequence[pd.Series[Any]],  # Any: pandas leaves the type of a series open
    everybody: pd.Index[Any],  # Any: ids are texts or numbers
    known: pd.DataFrame | None,
) -> _Seen:
    targets, k = load_targets(run, window), run.recipe.gate.k
    ours, theirs = (match(pd.read_parquet(one.hits), targets, k=k) for one in scored)
    user_ids = owners(targets, ours.user_ids)
    users = everybody.get_indexer(user_ids).astype(np.int64)
    data = events_before(run, window.cut)
    return _Seen(
        users=users,
        user_ids=user_ids,
        num_events_U=_num_events(data, user_ids),
        values_U2=np.column_stack([one.reindex(user_ids) for one in figures]),
        item_ids=ours.item_ids,
        classes_N=_classes(data, ours.item_ids),
        ages_N=_ages(data, ours.item_ids, known, window.cut.at),
        matches=(replace(ours, user_ids=pd.Index(users)), replace(theirs, user_ids=pd.Index(users))),
    )


def _of_users(run: Run, seen: Sequence[_Seen]) -> Iterator[Part]:
    users, values_R2 = np.concatenate([one.users for one in seen]), np.concatenate([one.values_U2 for one in seen])
    for grouping in _user_groupings(run, seen):
        for place, value in enumerate(grouping.values):
            rows = grouping.members(place)
            yield grouping.column, value, users[rows], values_R2[rows]


def _user_groupings(run: Run, seen: Sequence[_Seen]) -> Iterator[Grouping]:
    num_events = np.concatenate([one.num_events_U for one in seen])
    is_new = num_events == 0
    yield Grouping(USER, [slices.NEW, slices.RETURNING], np.arange(len(is_new)), (~is_new).astype(np.int64))
    known = np.flatnonzero(~is_new)
    bins = slices.binned(ACTIVITY, num_events[known].astype(np.float64), missing=slices.NO_EVENT, unit=" events")
    yield Grouping(ACTIVITY, bins.values, known[bins.rows], bins.codes)
    columns = run.recipe.gate.slices.users
    table = load_users(run) if columns else None
    if table is not None:
        of_user = table.set_index(USER_ID).reindex(np.concatenate([np.asarray(one.user_ids) for one in seen]))
        yield from (slices.group(column, of_user[column]) for column in columns)


def _of_items(run: Run, seen: Sequence[_Seen], known: pd.DataFrame | None) -> Iterator[Part]:
    starts = np.cumsum([0, *(len(one.item_ids) for one in seen)])
    for grouping in _item_groupings(run, seen, known):
        for place, value in enumerate(grouping.values):
            is_wanted = np.zeros(starts[-1], bool)
            is_wanted[grouping.members(place)] = True
            parts = np.split(is_wanted, starts[1:-1])
            found = [_restricted(one, is_wanted_N, run) for one, is_wanted_N in zip(seen, parts, strict=True)]
            yield grouping.column, value, np.concatenate([users for users, _ in found]), np.concatenate([v for _, v in found])


def _restricted(seen: _Seen, is_wanted_N: NDArray[np.bool_], run: Run) -> tuple[Codes, Values]:
    measured = METRICS[run.recipe.gate.metric]
    both = [slices.restricted(one, is_wanted_N) for one in seen.matches]
    return np.asarray(both[0].user_ids), np.column_stack([measured(one) for one in both])


def _item_groupings(run: Run, seen: Sequence[_Seen], known: pd.DataFrame | None) -> Iterator[Grouping]:
    items = np.concatenate([np.asarray(one.item_ids) for one in seen])
    classes = np.concatenate([one.classes_N for one in seen])
    yield Grouping(ITEM_POPULARITY, [*slices.POPULARITY, slices.NO_EVENT], np.arange(len(items)), classes)
    ages = np.concatenate([one.ages_N for one in seen])
    yield slices.binned(ITEM_AGE, ages, missing=slices.NO_EVENT, unit=" days")
    if known is not None:
        of_item = known.reindex(items)
        yield from (slices.group(column, of_item[column]) for column in run.recipe.gate.slices.items)


def _classes(data: Interactions, item_ids: pd.Index[Any]) -> Codes:  # Any: ids are texts or numbers
    places = data.item_index.get_indexer(item_ids)
    classes = slices.popularity_classes(np.bincount(data.items, minlength=data.num_items).astype(np.float64))
    return np.where(places < 0, len(slices.POPULARITY), classes[places])


def _ages(data: Interactions, item_ids: pd.Index[Any], known: pd.DataFrame | None, cut_off: int) -> Values:  # Any: see _classes
    """Days since an item was made, where its table says so, else since its first event; as of the cut-off."""
    places = data.item_index.get_indexer(item_ids)
    born = np.where(places < 0, np.nan, slices.first_events(data)[places].astype(np.float64))
    if known is not None and CREATED_AT in known:
        made = known[CREATED_AT].reindex(item_ids)
        has_date = made.notna().to_numpy()
        dates = np.full(len(made), np.inf)
        dates[has_date] = to_microseconds(made[has_date])
        born = np.where(dates < cut_off, dates, born)
    return slices.ages_in_days(born, cut_off)


def _num_events(data: Interactions, user_ids: pd.Index[Any]) -> Codes:  # Any: see _classes
    """Count each user's events before the cut-off."""
    places = data.user_index.get_indexer(user_ids)
    counts = np.bincount(data.users, minlength=data.num_users)
    return np.where(places < 0, 0, counts[places])
