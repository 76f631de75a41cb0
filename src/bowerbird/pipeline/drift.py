"""How the input differs from what the last published run was made from: shown in the report, decides nothing.

Events that came in by later runs stand beside those of the last ``DAYS_BEFORE`` days (or as many as the new ones span) that the
published run had. Columns are compared by the population stability index, PSI = sum over bins of (q - p) ln(q / p), with p the
share before and q the share since, half a row added to each bin. Bins are tenths of the values before for numbers, the commonest
values for words, and "missing". Where nothing has changed, PSI is about (1/n + 1/m) times a chi-squared variable with bins - 1
degrees of freedom (Yurdakul, Statistical properties of the population stability index, 2018): its 95 % quantile is the noise.

Cost: one pass over the log's users and items, and at most ``MOST_ROWS`` rows a side for the columns, chosen by a hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2

from bowerbird import columns as c
from bowerbird.pipeline.prepare import reading
from bowerbird.pipeline.run import Run
from bowerbird.report.content_decision import ColumnDrift, Drift, DriftFigure, MixShare
from bowerbird.report.page import share
from bowerbird.store.runs import MANIFEST, read_json
from bowerbird.store.tables import relation

if TYPE_CHECKING:
    import duckdb

DAYS_BEFORE = 28
MOST_ROWS = 200_000
PSI_LIMIT = 0.2
NUM_BINS = 10
MOST_VALUES = 50
"""A column of words with more different values is compared by what is missing alone."""
NOT_COMPARED = {c.EVENT_ID, c.USER_ID, c.ITEM_ID, c.TIMESTAMP, c.SESSION_ID, c.SOURCE_FILE, c.SOURCE_ROW, c.RUN_ID, c.EVENT}
DAY = 86_400
Counts = NDArray[np.float64]


def measure(run: Run, earlier: str) -> Drift | None:
    """Compare the run's input with that of an earlier run; None where that run's manifest is gone."""
    manifest = run.home.runs / earlier / MANIFEST
    if not manifest.exists():
        return None
    versions = read_json(manifest)["versions"]
    with reading(run) as con:
        num_since, days_since, days_before = _split(con, earlier)
        columns = [] if num_since == 0 else _columns(con, "events", "before", "since", c.EVENT_ID)
        for name, table, key in (("items", run.home.items, c.ITEM_ID), ("users", run.home.users, c.USER_ID)):
            if versions[name] != run.versions[name]:
                relation(con, table, f"{name}_before", version=versions[name])
                columns += _columns(con, name, f"{name}_before", name, key)
        (num_before,) = _row(con, "select count(*) from before")
        return Drift(
            run_id=earlier,
            num_before=num_before,
            num_since=num_since,
            days_before=days_before,
            days_since=days_since,
            figures=_figures(con, num_before, days_before, days_since) if num_since else (),
            mix=_mix(con) if num_since else (),
            columns=tuple(columns),
            psi_limit=PSI_LIMIT,
        )


def _split(con: duckdb.DuckDBPyConnection, earlier: str) -> tuple[int, float, float]:
    """Make the views of the log; return the rows since, the days that they add, and the days of ``before``.

    ``since`` is what later runs brought in, ``known`` the rest; of that, ``before`` is the newest part, ``recent`` as many
    days as were added, against which newcomers are fairly counted, and ``older`` what came before these.
    """
    con.execute(
        "create temp table borders as select max(timestamp) as newest, $run as run from events where run_id <= $run",
        {"run": earlier},
    )
    con.execute("create temp view since as select events.* from events, borders where run_id > run")
    con.execute("create temp view known as select events.* from events, borders where run_id <= run")
    num_since, span = _row(
        con, "select count(*), coalesce(max(epoch(timestamp)) - (select epoch(newest) from borders), 0) from since"
    )
    days = max(span / DAY, 0.0)
    con.execute(
        "create temp table period as "
        "select newest - to_seconds($span) as start, newest - to_seconds($latest) as latest from borders",
        {"span": max(days, DAYS_BEFORE) * DAY, "latest": max(days, 1.0) * DAY},
    )
    con.execute("create temp view before as select known.* from known, period where timestamp > start")
    con.execute("create temp view recent as select known.* from known, period where timestamp > latest")
    con.execute("create temp view older as select known.* from known, period where timestamp <= latest")
    (covered,) = _row(con, "select coalesce(epoch(max(timestamp)) - epoch(min(timestamp)), 0) from before")
    return num_since, days, covered / DAY


def _figures(con: duckdb.DuckDBPyConnection, num_before: int, days_before: float, days_since: float) -> tuple[DriftFigure, ...]:
    """Compare volume, and how much of it is by users and on items that were not there before."""
    found = []
    if days_since >= 1 and days_before >= 1:
        (fresh,) = _row(con, "select count(*) from since, borders where timestamp > newest")
        ratio = (fresh / days_since) / (num_before / days_before)
        found.append(
            DriftFigure(
                name="Events a day",
                before=f"{num_before / days_before:,.0f}",
                since=f"{fresh / days_since:,.0f}",
                note="less than half as many, or more than twice",
                is_over=not 0.5 <= ratio <= 2,
            )
        )
    for name, key in (("Users never seen before", c.USER_ID), ("Items never seen before", c.ITEM_ID)):
        now, then = _newcomers(con, key, "since", "known"), _newcomers(con, key, "recent", "older")
        found.append(_newcomers_in_words(name, then, now))
    return tuple(found)


def _newcomers(con: duckdb.DuckDBPyConnection, key: str, part: str, earlier: str) -> tuple[int, int]:
    """Count who appears in one part of the log, and those of them who do not in an earlier one."""
    everybody, known = _row(
        con,
        f"with here as (select distinct {key} from {part}) "  # noqa: S608 - our own names
        f"select count(*), count(*) filter (where {key} in (select {key} from {earlier} semi join here using ({key}))) from here",
    )
    return everybody, everybody - known


def _newcomers_in_words(name: str, then: tuple[int, int], now: tuple[int, int]) -> DriftFigure:
    """Notice a share that halves or doubles by more than two standard errors."""
    before, since = (new / everybody if everybody else 0.0 for everybody, new in (then, now))
    pooled = (then[1] + now[1]) / max(then[0] + now[0], 1)
    error = (pooled * (1 - pooled) * (1 / max(then[0], 1) + 1 / max(now[0], 1))) ** 0.5
    return DriftFigure(
        name=name,
        before=f"{share(before)} of {then[0]:,}",
        since=f"{share(since)} of {now[0]:,}",
        note="less than half or more than twice the share in as many days before, by more than two standard errors",
        is_over=abs(since - before) > 2 * error and not before / 2 <= since <= 2 * before,
    )


def _mix(con: duckdb.DuckDBPyConnection) -> tuple[MixShare, ...]:
    rows = con.execute(
        """
        with one as (select event, count(*) as n from before group by event),
        two as (select event, count(*) as n from since group by event)
        select event, coalesce(one.n, 0) / (select greatest(sum(n), 1) from one), coalesce(two.n, 0) / (select sum(n) from two)
        from one full join two using (event) order by coalesce(one.n, 0) desc, event
        """
    ).fetchall()
    return tuple(MixShare(event=event, before=before, since=since) for event, before, since in rows)


def _columns(con: duckdb.DuckDBPyConnection, table: str, before: str, since: str, key: str) -> list[ColumnDrift]:
    """Compare the columns that two views share, on a bounded number of rows; those that hold nothing are left out."""
    one, two = _sample(con, before, key), _sample(con, since, key)
    names = [name for name in two.columns if name in one.columns and (one[name].notna().any() or two[name].notna().any())]
    found = []
    for name in names:
        counts = binned(one[name], two[name])
        psi, noise = stability(*counts)
        found.append(
            ColumnDrift(
                table=table,
                column=name,
                missing_before=float(one[name].isna().mean()),
                missing_since=float(two[name].isna().mean()),
                psi=psi,
                noise=noise,
                is_over=psi > max(PSI_LIMIT, noise),
            )
        )
    return found


def _sample(con: duckdb.DuckDBPyConnection, view: str, key: str) -> pd.DataFrame:
    (rows,) = _row(con, f"select count(*) from {view}")  # noqa: S608 - our own name
    every = -(-rows // MOST_ROWS) or 1
    kinds = con.execute(f"describe {view}").fetchall()
    plain = [name for name, kind, *_ in kinds if name not in NOT_COMPARED and "[]" not in kind and "STRUCT" not in kind]
    listed = ", ".join('"' + name.replace('"', '""') + '"' for name in plain) or "1 as one"
    return con.execute(f"select {listed} from {view} where hash({key}) % {every} = 0").df()  # noqa: S608 - quoted, ours


def binned(before: pd.Series[Any], since: pd.Series[Any]) -> tuple[Counts, Counts]:  # Any: any column
    """Count both columns in the bins of the first: tenths of numbers and times, the commonest words, and what is missing."""
    if pd.api.types.is_datetime64_any_dtype(before):
        before, since = (column.astype("int64").where(column.notna()) for column in (before, since))
    if pd.api.types.is_numeric_dtype(before) and pd.api.types.is_numeric_dtype(since):
        known = before.dropna().astype(float)
        edges = np.unique(known.quantile(np.arange(1, NUM_BINS) / NUM_BINS).dropna())
        labels = [pd.Series(np.searchsorted(edges, column.astype(float), side="left")) for column in (before, since)]
    else:
        common = before.astype(str)[before.notna()].value_counts()
        kept = list(common.index[: NUM_BINS - 1]) if len(common) <= MOST_VALUES else []
        places = {word: place for place, word in enumerate(kept)}
        labels = [column.astype(str).map(places).fillna(len(kept)) for column in (before, since)]
    size = NUM_BINS + 2
    one, two = (
        np.bincount(np.where(column.isna(), size - 1, label).astype(np.int64), minlength=size).astype(np.float64)
        for column, label in zip((before, since), labels, strict=True)
    )
    there = (one + two) > 0
    return one[there], two[there]


def stability(before: Counts, since: Counts) -> tuple[float, float]:
    """Return the population stability index of two counts [B], and what one of twenty comparisons exceeds by chance."""
    if len(before) < 2:
        return 0.0, 0.0
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (before, since))
    noise = chi2.ppf(0.95, len(before) - 1) * (1 / max(before.sum(), 1) + 1 / max(since.sum(), 1))
    return float(((q - p) * np.log(q / p)).sum()), float(noise)


def _row(con: duckdb.DuckDBPyConnection, text: str) -> tuple[Any, ...]:  # Any: cells
    row = con.execute(text).fetchone()
    assert row is not None
    return tuple(row)
