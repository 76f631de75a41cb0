"""Judge the nominee's lists by the clicks on logged impressions of the test windows: what was shown by chance, how probably.

In each window the nominee, fitted before it, lists for the users whom the log names, and its rules say how probable each logged
item was at its place. Feedback takes no part in any fit. N impressions of all windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bowerbird.columns import CLICK, ITEM_ID, POSITION, PROPENSITY, USER_ID
from bowerbird.data.interactions import Ids
from bowerbird.evaluation.decision import OffPolicyResult
from bowerbird.evaluation.list_policy import ListPolicy
from bowerbird.evaluation.off_policy import Impressions, evaluate, joined
from bowerbird.evaluation.reward_model import NUM_FOLDS, fit_rewards
from bowerbird.models import load_model
from bowerbird.pipeline import prove
from bowerbird.pipeline.prepare import Plan, Window, candidates, reading
from bowerbird.pipeline.run import Run
from bowerbird.warehouse.inputs import as_moment, statement

Codes = NDArray[np.int64]
BLOCK_USERS = 20_000
"""Users whose lists are held at a time."""


@dataclass(frozen=True, eq=False)
class Feedback:
    """Logged impressions of the windows, one after another; positions count from 0, ``ends`` is where each window ends."""

    users: Codes
    items: Codes
    positions: Codes
    clicks: NDArray[np.float64]
    propensities: NDArray[np.float64]
    user_ids: Ids
    item_ids: Ids
    ends: Codes


def measure_off_policy(run: Run, plan: Plan, nominee: prove.Nominee) -> OffPolicyResult:
    """Estimate what the nominee's lists would have earned in the test windows; not applicable where no exploration was logged."""
    windows = plan.test if plan.kind == "global_time" else plan.beside
    if not windows:
        return OffPolicyResult(applicable=False, reason="leave-last-out has no window by time")
    tables = _tables(run, windows)
    reason = why_not(pa.concat_tables(tables), run.recipe.recommend.k)
    if reason is not None:
        return OffPolicyResult(applicable=False, reason=reason)
    feedback = _feedback(tables, run.recipe.recommend.k)
    log = target_probabilities(run, windows, nominee.spec, feedback)
    return evaluate(log, run.recipe.gate.off_policy, level=run.recipe.gate.confidence)


def _tables(run: Run, windows: Sequence[Window]) -> list[pa.Table]:
    """Read the impressions of each window."""
    text = statement("feedback")
    with reading(run) as con:
        return [con.sql(text, params=_span(window)).to_arrow_table() for window in windows]


def _feedback(tables: Sequence[pa.Table], k: int) -> Feedback:
    """Turn the impressions that can be judged into codes."""
    kept = [_with_a_place(one, k) for one in tables]
    table = pa.concat_tables(kept).combine_chunks()
    users, items = (table[name].combine_chunks().dictionary_encode() for name in (USER_ID, ITEM_ID))
    return Feedback(
        users=users.indices.to_numpy(zero_copy_only=False).astype(np.int64),
        items=items.indices.to_numpy(zero_copy_only=False).astype(np.int64),
        positions=table[POSITION].to_numpy().astype(np.int64) - 1,
        clicks=table[CLICK].to_numpy().astype(np.float64),
        propensities=table[PROPENSITY].to_numpy().astype(np.float64),
        user_ids=np.asarray(users.dictionary.to_pylist(), object),
        item_ids=np.asarray(items.dictionary.to_pylist(), object),
        ends=np.cumsum([len(one) for one in kept]),
    )


def why_not(table: pa.Table, k: int) -> str | None:
    """Say why nothing can be estimated from impressions; None where something can."""
    if not len(table):
        return "no impressions were logged in the test windows"
    if table[USER_ID].null_count == len(table):
        return f"the {len(table):,} impressions of the test windows have no user_id, so no list can be put beside them"
    kept = _with_a_place(table, k)
    if not len(kept):
        return f"the impressions of the test windows are all below the {k} places of a list"
    if pc.min(kept[PROPENSITY]).as_py() == 1:
        return "nothing was left to chance in what was logged: every propensity is 1"
    if pc.count_distinct(kept[USER_ID]).as_py() < 2:
        return "the impressions of the test windows are one user's"
    return None


def _with_a_place(table: pa.Table, k: int) -> pa.Table:
    """Keep the impressions with a user, at places that the published lists have."""
    return table.filter(pc.and_(pc.is_valid(table[USER_ID]), pc.less_equal(table[POSITION], k)))


def target_probabilities(run: Run, windows: Sequence[Window], spec: prove.Spec, feedback: Feedback) -> Impressions:
    """Put a recipe's lists, made in each window for the users of its impressions, beside the impressions."""
    k, items = num_places(run), pd.Index(feedback.item_ids)
    model = fit_rewards(
        feedback.users % NUM_FOLDS,
        feedback.positions,
        feedback.items,
        feedback.clicks,
        num_positions=k,
        num_items=len(items) + 1,  # and one for all that the log does not have
    )
    parts = []
    for place, window in enumerate(windows):
        ask = _asker(run, window, spec)
        for rows in _blocks(feedback, place):
            users = np.unique(feedback.users[rows])
            ids = feedback.user_ids[users]
            part = ListPolicy.of(ask(ids.tolist()), pd.Index(ids), items, k=k).impressions(
                model,
                users=np.searchsorted(users, feedback.users[rows]),
                positions=feedback.positions[rows],
                items=feedback.items[rows],
                rewards=feedback.clicks[rows],
                propensities=feedback.propensities[rows],
                units=feedback.users[rows],
            )
            parts.append(part)
    return joined(parts)


def _blocks(feedback: Feedback, window: int) -> Iterator[Codes]:
    """Yield the rows of a window in blocks of users, so that no more lists are held at a time."""
    first = int(feedback.ends[window - 1]) if window else 0
    users = feedback.users[first : int(feedback.ends[window])]
    for start in range(0, len(feedback.user_ids), BLOCK_USERS):
        rows = np.flatnonzero((users >= start) & (users < start + BLOCK_USERS))
        if len(rows):
            yield first + rows


def num_places(run: Run) -> int:
    """Return how long lists are before they are cut: chance decides about all of these places together."""
    return max(run.recipe.gate.num_places, run.recipe.recommend.k)


def _asker(run: Run, window: Window, spec: prove.Spec) -> Callable[[list[str]], pd.DataFrame]:
    """Return what makes the lists of a recipe that was fitted before a window."""
    at = window.cut.at
    model = load_model(prove.fit(run, spec, window.cut).folder)
    return prove.lister(run, model, k=num_places(run), at=at, allowed=candidates(run, at), as_policy=True)


def _span(window: Window) -> dict[str, Any]:  # Any: moments
    return {"start": as_moment(window.cut.at), "end": as_moment(window.end)}
