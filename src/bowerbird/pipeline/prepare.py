"""From tables to what a model is fitted on and what it has to find: the plan of windows, and the data of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from bowerbird.columns import ITEM_ID, STATUS, USER_ID
from bowerbird.data.interactions import Interactions, to_microseconds
from bowerbird.errors import DataError
from bowerbird.evaluation import leaks, protocol, sessions
from bowerbird.pipeline.run import KNOWLEDGE, SEMANTIC_IDS, TEXTS, Run, open_database
from bowerbird.recipe import Target
from bowerbird.store.runs import write_json
from bowerbird.store.tables import relation

if TYPE_CHECKING:
    import duckdb


PLAN = "plan.json"
SELECTION_WINDOW = "selection"


class Cut(BaseModel):
    """Which events a model is fitted on: those before ``at`` (microseconds), less what leave-last-out takes away."""

    model_config = ConfigDict(frozen=True)

    at: int
    leave_out: Literal["selection", "test"] | None = None
    shuffles_ties: bool = False
    """A user's events of one moment stand in random order, not in the source's."""


class Window(BaseModel):
    """What has to be found: target events from ``cut.at`` to ``end``, of sessions the last, or what leave-last-out took away."""

    model_config = ConfigDict(frozen=True)

    name: str
    cut: Cut
    end: int
    session_gap: int | None = None
    """Microseconds; given where sessions are asked about, each by itself."""


class Plan(BaseModel):
    """How the log is cut: where the nominee is chosen, where it is tested, and a second look where one is owed."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["global_time", "leave_last_out", "session_next_item"]
    now: int
    """Just after the newest accepted event, microseconds."""
    selection: Window
    test: tuple[Window, ...]
    beside: tuple[Window, ...] = ()
    """Global time windows shown beside leave-last-out; they decide nothing."""
    file_order: tuple[Window, ...] = ()
    """The test windows with ties in the source's order, shown beside shuffled ones; they decide nothing."""
    share_of_ties: float = 0.0
    """Share of the events that have user and time in common with the one before."""

    @property
    def windows(self) -> tuple[Window, ...]:
        """All that nominee, champion and rivals are scored on."""
        return (*self.test, *self.beside, *self.file_order)

    @property
    def refit(self) -> Cut:
        """All events."""
        return Cut(at=self.now, shuffles_ties=self.test[0].cut.shuffles_ties)


@contextmanager
def reading(run: Run, *names: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB on the versions that the run has pinned, as the views events, items, users and feedback, or some of these."""
    home = run.home
    tables = {"events": home.events, "items": home.items, "users": home.users, "feedback": home.feedback}
    with open_database(run) as con:
        for name in names or tables:
            relation(con, tables[name], name, version=run.versions.get(name))
        yield con


def load_cut(run: Run, cut: Cut) -> tuple[Interactions, NDArray[np.bool_]]:
    """Read the interactions that a model may see, and which of them are target events."""
    fit, is_target, _ = _cut(run, cut)
    return fit, is_target


def load_items(run: Run) -> pd.DataFrame | None:
    """Read the catalogue, with what a run has made of it by now: knowledge, vectors, codes. None where there is none."""
    with reading(run, "items") as con:
        items: pd.DataFrame = con.execute("select * from items order by item_id").df()
    for name in (KNOWLEDGE, TEXTS, SEMANTIC_IDS):
        path = run.folder / name
        if path.exists() and len(items):
            made = pd.read_parquet(path).drop(columns=STATUS, errors="ignore")
            items = items.merge(made, on=ITEM_ID, how="left", validate="one_to_one")
    return items if len(items) else None


def load_users(run: Run) -> pd.DataFrame | None:
    """Read what is known of users beside their events; None where nothing is."""
    with reading(run, "users") as con:
        users: pd.DataFrame = con.execute("select * from users order by user_id").df()
    return users if len(users) else None


def load_targets(run: Run, window: Window) -> pd.DataFrame:
    """Read what has to be found: ``user_id, item_id, is_repeat``, one row a pair; found once a run, for all models.

    Where past target items are not recommended again, repeats are left out: no list can hold them.
    """
    path = window_folder(run, window) / "targets.parquet"
    if not path.exists():
        write_parquet(_find_targets(run, window), path)
    return pd.read_parquet(path)


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a file that others find whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{get_ident()}.tmp")
    frame.to_parquet(unfinished, index=False)
    unfinished.rename(path)


def window_folder(run: Run, window: Window) -> Path:
    """Return where a window's targets, lists and figures lie."""
    return run.folder / "evaluation" / window.name


def all_targets(run: Run, window: Window) -> pd.DataFrame:
    """Return the targets of a window, repeats too: ``user_id, item_id, is_repeat``."""
    from bowerbird.warehouse import features

    if window.cut.leave_out is not None:
        fit, _, targets = _cut(run, window.cut)
        leaks.require_none([leaks.shared_events(fit, targets)])
        return targets
    if window.session_gap is not None:
        return _sessions(run, window)[1]
    with reading(run, "events") as con:
        return features.load_targets(con, run.recipe, start=window.cut.at, end=window.end)


def _find_targets(run: Run, window: Window) -> pd.DataFrame:
    targets = all_targets(run, window)
    if run.recipe.split.candidates == "unseen":
        seen = load_history(run, window)
        pairs = pd.MultiIndex.from_arrays([seen.user_ids[seen.users], seen.item_ids[seen.items]])
        targets = targets[~pd.MultiIndex.from_frame(targets[[USER_ID, ITEM_ID]]).isin(pairs)].reset_index(drop=True)
    return targets if run.recipe.repeats_welcome else targets[~targets["is_repeat"].astype(bool)].reset_index(drop=True)


def load_history(run: Run, window: Window) -> Interactions:
    """Read what is known of whom a window asks about: all before it, or of sessions what came before their targets."""
    return load_cut(run, window.cut)[0] if window.session_gap is None else _sessions(run, window)[0]


def _sessions(run: Run, window: Window) -> tuple[Interactions, pd.DataFrame]:
    """Cut the sessions of a window into history and target."""
    from bowerbird.warehouse import features

    assert window.session_gap is not None
    with reading(run, "events") as con:
        loaded = features.load_interactions(con, run.recipe, cut_off=window.end)
    data, is_target = _in_order(run, window.cut, loaded.interactions, loaded.is_target)
    return sessions.next_item(data, is_target, start=window.cut.at, end=window.end, gap=window.session_gap)


def _in_order(run: Run, cut: Cut, data: Interactions, is_target: NDArray[np.bool_]) -> tuple[Interactions, NDArray[np.bool_]]:
    return protocol.shuffle_ties(data, is_target, seed=run.recipe.seed) if cut.shuffles_ties else (data, is_target)


def _cut(run: Run, cut: Cut) -> tuple[Interactions, NDArray[np.bool_], pd.DataFrame]:
    from bowerbird.warehouse import features

    with reading(run, "events") as con:
        loaded = features.load_interactions(con, run.recipe, cut_off=cut.at)
    data, is_target = _in_order(run, cut, loaded.interactions, loaded.is_target)
    if cut.leave_out is None:
        leaks.require_none([leaks.training_events(data, cut.at)])
        return data, is_target, pd.DataFrame()
    return protocol.leave_last_out(data, is_target, which=cut.leave_out)


def make_plan(run: Run) -> Plan:
    """Cut the log into windows and keep the plan in the run's folder. Raises DataError where the log is too short."""
    now, data, is_target = whole_log(run)
    plan = _plan(run.recipe.split.kind, data, is_target, now, run)
    plan = plan.model_copy(update={"share_of_ties": protocol.share_of_ties(data)})
    if run.recipe.split.ties == "shuffled":
        plan = _with_shuffled_ties(plan)
    write_json(run.folder / PLAN, plan.model_dump(mode="json"))
    return plan


def whole_log(run: Run) -> tuple[int, Interactions, NDArray[np.bool_]]:
    """Read all interactions and which are target events, and the moment just after the newest accepted event, microseconds.

    Raises DataError where there is no event.
    """
    from bowerbird.warehouse import features

    with reading(run) as con:
        newest = con.execute("select max(timestamp) from events").fetchone()
        if newest is None or newest[0] is None:
            raise DataError("there are no events", next_step="check the source and the quarantine")
        now = int(to_microseconds(pd.Series([newest[0]]))[0]) + 1
        loaded = features.load_interactions(con, run.recipe, cut_off=now)
    return now, loaded.interactions, loaded.is_target


def _with_shuffled_ties(plan: Plan) -> Plan:
    """Shuffle ties wherever something is decided, and test once more in the source's order."""

    def shuffled(window: Window) -> Window:
        return window.model_copy(update={"cut": window.cut.model_copy(update={"shuffles_ties": True})})

    return plan.model_copy(
        update={
            "selection": shuffled(plan.selection),
            "test": tuple(map(shuffled, plan.test)),
            "file_order": tuple(window.model_copy(update={"name": f"file-order-{window.name}"}) for window in plan.test),
        }
    )


def _plan(
    kind: Literal["global_time", "leave_last_out", "session_next_item"],
    data: Interactions,
    is_target: NDArray[np.bool_],
    now: int,
    run: Run,
) -> Plan:
    split = run.recipe.split
    require_target(is_target, run.recipe.target)
    if kind == "session_next_item":
        gap = split.session_gap // timedelta(microseconds=1)
        plan = _plan("global_time", data, sessions.has_history(data, is_target, gap=gap), now, run)
        asked = [window.model_copy(update={"session_gap": gap}) for window in (plan.selection, *plan.test)]
        return plan.model_copy(update={"kind": kind, "selection": asked[0], "test": tuple(asked[1:])})
    if kind == "global_time":
        cuts = protocol.plan_global_time(data.users[is_target], data.timestamps[is_target], split, now=now)
        test = [
            Window(name=f"test-{place}", cut=Cut(at=window.start), end=window.end) for place, window in enumerate(cuts.test, 1)
        ]
        selection = Window(name=SELECTION_WINDOW, cut=Cut(at=cuts.selection.start), end=cuts.selection.end)
        return Plan(kind=kind, now=now, selection=selection, test=tuple(test))
    windows = {which: Window(name=which, cut=Cut(at=now, leave_out=which), end=now) for which in ("selection", "test")}
    try:
        beside = [w.model_copy(update={"name": f"beside-{w.name}"}) for w in _plan("global_time", data, is_target, now, run).test]
    except DataError:
        beside = []  # the log is too short for a second look, which decides nothing
    return Plan(kind=kind, now=now, selection=windows["selection"], test=(windows["test"],), beside=tuple(beside))


def require_target(is_target: NDArray[np.bool_], target: Target | None) -> None:
    """Raise DataError where no event counts as success."""
    if not is_target.any():
        wanted = list(target.events) if target else []
        raise DataError(f"no event counts as success: target.events is {wanted}", next_step="check the recipe's event types")


def candidates(run: Run, at: int) -> list[str] | None:
    """Return the items that may be recommended at a time; None where the recipe and the catalogue forbid nothing."""
    from bowerbird.ranking.rules import allowed_items

    with reading(run, "events", "items") as con:
        return allowed_items(con, run.recipe.rules, at)


def asked_candidates(run: Run, at: int) -> list[str] | None:
    """Return what evaluated lists choose from at a time; None for everything."""
    return _catalogue_at(run, at) if run.recipe.split.candidates == "all" else candidates(run, at)


def _catalogue_at(run: Run, at: int) -> list[str] | None:
    """Return the items that were there at a time, whatever the rules say of them; None where that is all."""
    from bowerbird.ranking.rules import KNOWN
    from bowerbird.warehouse.leak_facts import arrivals

    with reading(run) as con:
        came = arrivals(con, at)
        later = set(came.loc[came["came_at"] > pd.Timestamp(at, unit="us", tz="UTC"), ITEM_ID])
        return [item for (item,) in con.execute(KNOWN).fetchall() if item not in later] if later else None


def candidates_now(run: Run, plan: Plan) -> list[str] | None:
    """Return the items that may be published, and warn of names in the rules that nothing has.

    Raises DataError where the rules leave no item: an empty set is no set.
    """
    from bowerbird.ranking.rules import warn_of_unknown

    with reading(run) as con:
        warn_of_unknown(con, run.recipe.rules)
    allowed = candidates(run, plan.now)
    if allowed == []:
        raise DataError("the rules leave no item to recommend", next_step="mend [rules], or the dates in the catalogue")
    return allowed


def all_users(run: Run) -> list[str]:
    """Return everybody who is known, from the log or the table of users, in order."""
    with reading(run) as con:
        rows = con.execute(f"select {USER_ID} from events union select {USER_ID} from users order by 1").fetchall()  # noqa: S608
    return [user for (user,) in rows if user is not None]


def build_features(run: Run, plan: Plan) -> list[Path]:
    """Write the features as of the first test cut-off; what the contract of features is checked on."""
    from bowerbird.warehouse import features

    with reading(run) as con:
        tables = features.build_features(con, run.recipe, cut_off=plan.test[0].cut.at, folder=run.folder / "features")
    return [table.path for table in tables]
