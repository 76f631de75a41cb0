"""Runs the leak checks of ``evaluation/leaks.py`` on a run: tables once a window, the model with each evaluation.

What was found goes into ``evaluation.json`` under ``leaks``. A leak ends the run before its figures are used: then it stands
there alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bowerbird.columns import ITEM_ID, USER_ID
from bowerbird.evaluation import leaks
from bowerbird.evaluation.decision import LeakResult
from bowerbird.evaluation.protocol import LEAVE_LAST_OUT_LEAKS
from bowerbird.evaluation.sessions import OWNER
from bowerbird.pipeline.prepare import Plan, Window, reading, window_folder, write_parquet
from bowerbird.pipeline.run import Run
from bowerbird.store.runs import EVALUATION, read_json, write_json
from bowerbird.warehouse import leak_facts

if TYPE_CHECKING:
    from bowerbird.models.base import Model

LEAKS = "leaks.json"
ARRIVALS = "arrivals.parquet"
PROTOCOL = "protocol"
TIES = "order of ties"
MANY_TIES = 0.1
"""Above this share of events, the order of those of one moment is told of."""


def check_tables(run: Run, plan: Plan, features: Sequence[Path]) -> None:
    """Check features, items and users before anything is trained. Raises LeakError."""
    with reading(run) as con:
        newest = {path.stem: leak_facts.newest_in(con, path) for path in features}
    found = leaks.features_from_future(newest, plan.test[0].cut.at)
    write_json(run.folder / LEAKS, found.model_dump())
    _require_none(run, [found])
    for window in (*plan.test, plan.selection):
        _require_none(run, _of_tables(run, window))


def check(run: Run, window: Window, model: Model, lists: pd.DataFrame, targets: pd.DataFrame) -> tuple[LeakResult, ...]:
    """Check tables, model and lists of an evaluation. Raises LeakError."""
    own = targets if window.cut.leave_out is not None else None
    arrivals = _arrivals(run, window)
    recommended = lists[ITEM_ID].unique()
    found = (
        leaks.training_events(model.data, window.cut.at, own=own),
        _shared(model, targets, window),
        leaks.items_from_future(arrivals, known=model.data.item_ids, recommended=recommended, cut_off=window.cut.at),
        *_of_tables(run, window),
    )
    _require_none(run, found)
    return found


def _require_none(run: Run, found: Sequence[LeakResult]) -> None:
    """Raise LeakError for a leak, once it is written down."""
    if any(one.passed is False for one in found):
        write_json(run.folder / EVALUATION, {"leaks": [one.model_dump() for one in found], "test_windows": []})
    leaks.require_none(found)


def _arrivals(run: Run, window: Window) -> pd.DataFrame:
    """Tell when items without an event before a window came, found once a run for all models."""
    path = window_folder(run, window) / ARRIVALS
    if not path.exists():
        with reading(run, "events", "items") as con:
            write_parquet(leak_facts.arrivals(con, window.cut.at), path)
    return pd.read_parquet(path)


def _shared(model: Model, targets: pd.DataFrame, window: Window) -> LeakResult:
    if window.cut.leave_out is not None:
        return leaks.shared_events(model.data, targets)
    if window.session_gap is not None:
        return leaks.shared_events(model.data, targets.assign(**{USER_ID: targets[OWNER]}))
    found = f"targets begin at {leaks.write_moment(window.cut.at)}, where training events end"
    return LeakResult(name=leaks.SHARED, found=found, passed=True)


def _of_tables(run: Run, window: Window) -> list[LeakResult]:
    """Check items and users as of a window, once."""
    path, at = window_folder(run, window) / LEAKS, window.cut.at
    if not path.exists():
        with reading(run) as con:
            numbers = {table: leak_facts.numbers_of(con, table) for table in leak_facts.IDS}
            counted = any(len(frame.columns) > 1 for frame in numbers.values())  # else a pass over the log is saved
            counts = leak_facts.counts_across(con, run.recipe, at) if counted else pd.DataFrame({"described": [], "id": []})
            dates = {table: list(leak_facts.dates_of(con, table, at)) for table in leak_facts.IDS}
        results = [leaks.counts_from_future(numbers, counts), leaks.rows_from_future(dates, at)]
        write_json(path, [one.model_dump() for one in results])
    return [LeakResult.model_validate(one) for one in read_json(path)]


def summary(run: Run, plan: Plan, results: Sequence[LeakResult]) -> list[dict[str, Any]]:  # Any: JSON
    """Put the results of all evaluations together, a row for each check, what the protocol itself leaks first."""
    leaves_out = plan.kind == "leave_last_out"
    own = LEAVE_LAST_OUT_LEAKS if leaves_out else "nothing: what is scored on a window is fitted on the events before it"
    rows = [LeakResult(name=PROTOCOL, found=own, passed=None if leaves_out else True)]
    if plan.share_of_ties > MANY_TIES:
        order = "at random" if plan.file_order else "as in the source, which may tell what came; split.ties = 'shuffled' tries"
        found = f"{plan.share_of_ties:.0%} of the events have user and time in common with the one before; ordered {order}"
        rows.append(LeakResult(name=TIES, found=found, passed=True if plan.file_order else None))
    if (run.folder / LEAKS).exists():
        rows.append(LeakResult.model_validate(read_json(run.folder / LEAKS)))
    for name in dict.fromkeys(one.name for one in results):
        same = [one for one in results if one.name == name]
        worst = next((one for one in same if not one.passed), same[0])
        rows.append(worst.model_copy(update={"found": f"{worst.found} (one of {len(same)} checks)"}))
    return [row.model_dump() for row in rows]
