"""What a report shows of a run's data: the rows of each table, the days, the columns, and how the lists use the catalogue."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bowerbird.pipeline.prepare import reading
from bowerbird.pipeline.release import Prepared
from bowerbird.pipeline.run import KNOWLEDGE_REPORT, Run, semantic_ids_report
from bowerbird.pipeline.semantic_ids import in_words
from bowerbird.pipeline.session import ingest_report
from bowerbird.report import content as report
from bowerbird.report.reach import measure_reach
from bowerbird.sources.intake import IngestReport
from bowerbird.store.runs import read_json
from bowerbird.text.knowledge import Report

REASONS = {
    "malformed_row": "the row could not be read",
    "missing_user": "no user id",
    "missing_item": "no item id",
    "id_too_long": "an id of more than 512 characters",
    "missing_timestamp": "no time",
    "unreadable_timestamp": "a time in no known format",
    "timestamp_out_of_range": "a time before 1970",
    "timestamp_in_future": "a time after the ingest",
    "unknown_event": "an event type that the recipe does not list",
    "not_finite": "a number that is not finite",
}


def tables_of(run: Run) -> tuple[report.TableIngest, ...]:
    """Count the rows of each table: accepted, duplicates, and in quarantine with their reasons."""
    ingest = ingest_report(run)
    return tuple(_table(name, ingest, _made_of_items(run) if name == "items" else []) for name in ingest.tables)


def _made_of_items(run: Run) -> list[str]:
    """Say what a language model has written of the items, and what their semantic ids are like, where the run has these."""
    ids, knowledge = semantic_ids_report(run), run.folder / KNOWLEDGE_REPORT
    told = [f"A language model was asked: {Report(**read_json(knowledge)).sentence()}."] if knowledge.exists() else []
    return [*told, *([in_words(ids)] if ids is not None else [])]


def _table(name: str, ingest: IngestReport, made: list[str]) -> report.TableIngest:
    intake = ingest.tables[name]
    reasons = tuple(
        report.Reason(name=reason, rows=count, explanation=REASONS.get(reason, "a rule of the recipe"))
        for reason, count in intake.quarantined.items()
        if count
    )
    notes = [f"{count:,} {event}" for event, count in intake.by_event.items()]
    if intake.late:
        notes.append(f"{intake.late:,} events are older than the newest that was there before: used from this run on")
    if intake.new_columns:
        notes.append(f"columns that the recipe does not map: {', '.join(intake.new_columns)}")
    notes += made
    return report.TableIngest(
        table=name, read=intake.read, accepted=intake.accepted, duplicates=intake.duplicates, reasons=reasons, notes=tuple(notes)
    )


def days_of(run: Run) -> tuple[report.Day, ...]:
    """Count the events of the newest 400 days that have any."""
    with reading(run) as con:
        rows = con.execute(
            "select strftime(timestamp, '%Y-%m-%d') as day, count(*) from events group by day order by day desc limit 400"
        ).fetchall()
    return tuple(report.Day(day=day, num_events=count) for day, count in reversed(rows))


def profiles_of(run: Run) -> tuple[report.TableProfile, ...]:
    """Summarise the columns of each table that has rows."""
    found = []
    with reading(run) as con:
        for name in ("events", "items", "users"):
            rows = con.execute(f"select * from (summarize {name})").df()  # noqa: S608 - our own names
            counted = con.execute(f"select count(*) from {name}").fetchone()  # noqa: S608 - our own names
            if counted is None or not counted[0]:
                continue
            columns = [
                report.ColumnProfile(
                    name=row["column_name"],
                    kind=row["column_type"].lower(),
                    missing_share=float(row["null_percentage"]) / 100,
                    num_distinct=int(row["approx_unique"]),
                    lowest=_short(row["min"]),
                    highest=_short(row["max"]),
                )
                for row in rows.to_dict("records")
            ]
            found.append(report.TableProfile(table=name, num_rows=counted[0], columns=tuple(columns)))
    return tuple(found)


def _short(value: object) -> str | None:
    text = None if value is None or value is pd.NA or value != value else str(value)
    return text if text is None or len(text) <= 40 else text[:39] + "…"


def reach_of(run: Run, prepared: Prepared) -> report.Reach:
    """Count how often each item was chosen and how often it is recommended."""
    with reading(run) as con:
        con.from_parquet(str(prepared.lists)).create_view("lists", replace=True)
        con.register("wanted", pd.DataFrame({"event": list(run.recipe.target.events if run.recipe.target else ())}))
        rows = con.execute(
            """
            with chosen as (select item_id, count(*) as n from events semi join wanted using (event) group by item_id),
            listed as (select item_id, count(*) as n from lists group by item_id),
            known as (select item_id from events union select item_id from items)
            select coalesce(chosen.n, 0) as chosen, coalesce(listed.n, 0) as listed
            from known left join chosen using (item_id) left join listed using (item_id) order by item_id
            """
        ).df()
    return measure_reach(rows["chosen"].to_numpy(np.int64), rows["listed"].to_numpy(np.int64))
