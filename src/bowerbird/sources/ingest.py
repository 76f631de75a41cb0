"""Brings a source into the home's tables: nothing is lost, nothing comes in twice, and the sums add up.

Every row that is read is accepted, a duplicate, or in quarantine with its reasons. Validation comes before de-duplication.
The quarantine is written first, then the tables, each in at most one commit and in none where nothing is new: a run that is
killed in between is completed by the next one.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

import duckdb

from bowerbird import columns as c
from bowerbird.errors import DataError, RecipeError, SourceError
from bowerbird.recipe import Recipe
from bowerbird.recipe_source import TableSource
from bowerbird.sources.intake import IngestReport, TableIntake, TooManyRejectsError
from bowerbird.sources.readers import RawFile, needed_columns, open_source
from bowerbird.sources.staging import Staged, check_map, check_patterns, rules_of, stage
from bowerbird.sources.steps import APPENDED, Ingest, compare, count_of, read_sql, table_of
from bowerbird.sources.writing import all_columns, write_quarantine, write_table
from bowerbird.store.home import Home
from bowerbird.store.tables import Table
from bowerbird.warehouse.connection import connect

SCRATCH = "ingest."


def ingest(
    home: Home,
    recipe: Recipe,
    source: Path | None,
    run_id: str,
    *,
    now: datetime,
    con: duckdb.DuckDBPyConnection | None = None,
) -> IngestReport:
    """Read a recipe's tables from ``source`` into a home whose tables exist; the caller holds the lock.

    Parameters
    ----------
    source
        A folder, one file, or a zip archive.
    now
        The ingest clock, with a time zone; events more than a day after it are rejected.
    con
        A connection of ours to use; one is opened where absent.

    Raises
    ------
    SourceError, RecipeError
        Where the source cannot be read as the recipe says.
    TooManyRejectsError
        Where more rows were rejected than the recipe allows. They are in quarantine; nothing else is written.
    DataError
        Where no row at all is accepted, although the recipe allows any share of rejects.
    """
    specs = _specs(recipe)
    if source is None:
        raise SourceError("no source is named", next_step="name a folder, a file or a zip archive with --source")
    for name, spec in specs.items():
        check_map(spec, name)
    _clear_scratch(home)
    with tempfile.TemporaryDirectory(dir=home.path, prefix=SCRATCH) as folder:
        opened = con or connect(temp=Path(folder) / "spill")
        run = Ingest(home, recipe, opened, Path(folder), IngestReport(run_id))
        try:
            _run(run, specs, source, now)
        finally:
            if con is None:
                opened.close()
    return run.report


def _specs(recipe: Recipe) -> dict[str, TableSource]:
    tables: dict[str, TableSource | None] = {
        "events": recipe.source.events,
        "feedback": recipe.source.feedback,
        "items": recipe.source.items,
        "users": recipe.source.users,
    }
    found = {name: spec for name, spec in tables.items() if spec is not None}
    if not found:
        raise RecipeError(f"the recipe {recipe.name} names no source", next_step="add [source.events]")
    return found


def _clear_scratch(home: Home) -> None:
    """Remove what a killed ingest has left behind."""
    for folder in home.path.glob(f"{SCRATCH}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _run(run: Ingest, specs: dict[str, TableSource], source: Path, now: datetime) -> None:
    rules = {name: rules_of(name, spec, run.recipe, now) for name, spec in specs.items()}
    for name, spec in specs.items():
        check_patterns(run.con, rules[name])
        with run.step("read"):
            raws = open_source(run.con, spec, source, table=name, scratch=run.scratch / "raw")
        with run.step("validate"):
            run.staged[name] = stage(run.con, name, spec, raws, rules[name], run.scratch / "staged" / name)
            _count(run, name, raws)
    _refuse_nothing(run)
    for name in specs:
        with run.step("duplicates"):
            _tell_duplicates(run, name)
        intake = run.report.tables[name]
        intake.check_sum(name)
        run.tell(intake.sentence(name))
    with run.step("quarantine"):
        write_quarantine(run)
    _stop_if_too_many(run)
    with run.step("write"):
        for name in specs:
            write_table(run, name)
    run.report.versions = {name: table_of(run.home, name).version() for name in (*specs, "quarantine")}


def _count(run: Ingest, name: str, raws: list[RawFile]) -> None:
    """Count the rows of a staged table by the first rule that they break, and by each."""
    staged = run.staged[name]
    staged.show(run.con)
    names = [rule.name for rule in staged.rules]
    intake = TableIntake(quarantined=dict.fromkeys(names, 0), broken=dict.fromkeys(names, 0))
    for mask, num_rows in run.con.execute(read_sql("tally")).fetchall():
        intake.read += num_rows
        broken = [reason for place, reason in enumerate(names) if mask >> place & 1]
        if broken:
            intake.quarantined[broken[0]] += num_rows
        for reason in set(broken):
            intake.broken[reason] += num_rows
    intake.files = {raw.name: raw.num_rows for raw in raws}
    intake.max_rejected_share = run.recipe.contracts.max_rejected_share
    run.report.tables[name] = intake
    for raw in raws:
        for note in (*raw.notes, *([] if raw.num_rows else [f"{raw.name} has no rows"])):
            if note not in run.report.messages:
                run.tell(note)
    intake.new_columns = _new_columns(run, staged, raws)
    mapped, before = sorted(staged.spec.columns), _before(table_of(run.home, name), "mapped_columns")
    if name in APPENDED and before and before != mapped:
        run.tell(
            f"{name}: the recipe maps {', '.join(mapped)}, before it mapped {', '.join(before)}; an event is told by all of its"
            " mapped columns, so rows that were read before may come in again"
        )
    if intake.new_columns:
        run.tell(f"{name}: new columns that the recipe does not map: {', '.join(intake.new_columns)}")


def _new_columns(run: Ingest, staged: Staged, raws: list[RawFile]) -> list[str]:
    """Find columns that the first file, and the ingest before, did not have."""
    mapped = {name for spec in _specs(run.recipe).values() for spellings in needed_columns(spec) for name in spellings}
    known = _before(table_of(run.home, staged.table), "source_columns") or list(raws[0].columns)
    return [name for name in all_columns(raws) if name not in known and name not in mapped]


def _before(table: Table, key: str) -> list[str]:
    """Return a list that the newest ingest of the table left with its commit."""
    for commit in table.commits():
        if key in commit:
            return [str(name) for name in json.loads(commit[key])]
    return []


def _refuse_nothing(run: Ingest) -> None:
    """Raise SourceError where the main table has no rows and never had any; else say that nothing came."""
    for name in APPENDED:
        intake = run.report.tables.get(name)
        if intake is not None and intake.read == 0:
            files = ", ".join(intake.files)
            if not table_of(run.home, name).files():
                raise SourceError(f"{name}: there are no rows in {files}", next_step="check what writes these files")
            run.tell(f"{name}: no rows came in")


def _tell_duplicates(run: Ingest, name: str) -> None:
    """Count the rows that are repeated within the source, or that the table holds already."""
    intake, con = run.report.tables[name], run.con
    run.staged[name].show(con)
    sound = intake.read - intake.num_quarantined
    if name not in APPENDED:
        key = c.ITEM_ID if name == "items" else c.USER_ID
        intake.accepted = count_of(con, f"select count(distinct {key}) from staged where broken = 0")  # noqa: S608 - our own name
        intake.duplicates = sound - intake.accepted
        return
    compare(run, name)
    if name == "events":
        for event, num_new, num_late in con.execute(read_sql("new_by_event")).fetchall():
            intake.by_event[str(event)] = num_new
            intake.late += num_late
        intake.accepted = sum(intake.by_event.values())
    else:
        intake.accepted = count_of(con, "select count(*) from candidates anti join known using (file, source_row) where is_first")
    intake.duplicates = count_of(con, "select count(*) from repeated where not is_first") + count_of(
        con, "select count(*) from known"
    )
    if intake.late:
        run.tell(f"{name}: {intake.late:,} late events, older than the newest one that was there; they are accepted")


def _stop_if_too_many(run: Ingest) -> None:
    for name, intake in run.report.tables.items():
        if intake.num_quarantined == 0:
            continue
        worst = sorted(((reason, num) for reason, num in intake.quarantined.items() if num), key=lambda pair: (-pair[1], pair[0]))
        reasons = ", ".join(f"{reason} {num:,}" for reason, num in worst[:3])
        if intake.rejected_share > intake.max_rejected_share:
            raise TooManyRejectsError(
                f"{name}: {intake.num_quarantined:,} of {intake.read:,} rows were rejected ({intake.rejected_share:.1%}), more"
                f" than the {intake.max_rejected_share:.1%} allowed: {reasons}",
                next_step="look at the quarantine table, then mend the source, the column map or contracts.max_rejected_share",
                report=run.report,
            )
        if intake.num_quarantined == intake.read and name in APPENDED:
            raise DataError(
                f"{name}: all {intake.read:,} rows were rejected: {reasons}",
                next_step="look at the quarantine table, then mend the source or the column map",
            )
