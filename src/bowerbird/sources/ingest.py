"""Brings a source into the home's tables: nothing is lost, nothing comes in twice, and the sums add up.

Every row that is read is accepted, a duplicate, or in quarantine with its reasons. Validation comes before de-duplication.
The quarantine is written first, then the tables, each in at most one commit and in none where nothing is new: a run that is
killed in between is completed by the next one.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake.exceptions import DeltaError

from bowerbird import columns as c
from bowerbird.errors import DataError, HomeError, RecipeError, SourceError
from bowerbird.recipe import Recipe, TableSource
from bowerbird.sources.intake import IngestReport, TableIntake, TooManyRejectsError
from bowerbird.sources.readers import RawFile, needed_columns, open_source
from bowerbird.sources.staging import Staged, check_map, check_patterns, rules_of, stage
from bowerbird.store.home import Home
from bowerbird.store.tables import Table, relation
from bowerbird.warehouse.connection import connect

logger = logging.getLogger(__name__)

SQL = Path(__file__).parent / "sql"
SCRATCH = "ingest."
ROWS_A_BATCH = 100_000
APPENDED = ("events", "feedback")


@dataclass
class Ingest:
    """What the steps of one ingest share."""

    home: Home
    recipe: Recipe
    con: duckdb.DuckDBPyConnection
    scratch: Path
    report: IngestReport
    staged: dict[str, Staged] = field(default_factory=dict)
    compared: str = ""
    """The table whose rows ``repeated``, ``known`` and ``candidates`` are about."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the seconds that a step takes to the report."""
        start = time.perf_counter()
        yield
        self.report.seconds[name] = self.report.seconds.get(name, 0.0) + time.perf_counter() - start

    def tell(self, message: str) -> None:
        """Log a message and keep it for the report."""
        logger.info("%s", message)
        self.report.messages.append(message)


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
        except (duckdb.IOException, duckdb.OutOfMemoryException, OSError) as error:
            raise _explain(error, home) from error
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


def _explain(error: Exception, home: Home) -> Exception:
    """Turn a full disk into an error that says so; others stay as they are."""
    text = str(error)
    if "No space left" in text or "max_temp_directory_size" in text:
        return HomeError(
            f"the disk that holds the home folder {str(home.path)!r} is full", next_step="free some space, run again"
        )
    return error


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
        _write_quarantine(run)
    _stop_if_too_many(run)
    with run.step("write"):
        for name in specs:
            _write(run, name)
    run.report.versions = {name: _table(run.home, name).version() for name in (*specs, "quarantine")}


def _table(home: Home, name: str) -> Table:
    table = getattr(home, name)
    assert isinstance(table, Table)
    return table


def read_sql(name: str) -> str:
    """Return a statement of ours by name."""
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


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
    mapped, before = sorted(staged.spec.columns), _before(_table(run.home, name), "mapped_columns")
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
    known = _before(_table(run.home, staged.table), "source_columns") or list(raws[0].columns)
    return [name for name in _all_columns(raws) if name not in known and name not in mapped]


def _all_columns(raws: list[RawFile]) -> list[str]:
    return list(dict.fromkeys(name for raw in raws for name in raw.columns))


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
            if not _table(run.home, name).files():
                raise SourceError(f"{name}: there are no rows in {files}", next_step="check what writes these files")
            run.tell(f"{name}: no rows came in")


def _tell_duplicates(run: Ingest, name: str) -> None:
    """Count the rows that are repeated within the source, or that the table holds already."""
    intake, con = run.report.tables[name], run.con
    run.staged[name].show(con)
    sound = intake.read - intake.num_quarantined
    if name not in APPENDED:
        key = c.ITEM_ID if name == "items" else c.USER_ID
        intake.accepted = _one(con, f"select count(distinct {key}) from staged where broken = 0")  # noqa: S608 - our own name
        intake.duplicates = sound - intake.accepted
        return
    _compare(run, name)
    if name == "events":
        for event, num_new, num_late in con.execute(read_sql("new_by_event")).fetchall():
            intake.by_event[str(event)] = num_new
            intake.late += num_late
        intake.accepted = sum(intake.by_event.values())
    else:
        intake.accepted = _one(con, "select count(*) from candidates anti join known using (file, source_row) where is_first")
    intake.duplicates = _one(con, "select count(*) from repeated where not is_first") + _one(con, "select count(*) from known")
    if intake.late:
        run.tell(f"{name}: {intake.late:,} late events, older than the newest one that was there; they are accepted")


def _compare(run: Ingest, name: str) -> None:
    """Find equal rows among the staged ones, and those that the table holds; makes ``repeated``, ``known``, ``candidates``."""
    run.staged[name].show(run.con)
    relation(run.con, _table(run.home, name), "stored")
    if run.compared == name:
        return
    run.con.execute(read_sql("repeated"), {"keep": run.recipe.contracts.duplicates == "keep"})
    run.con.execute(read_sql("candidates"))
    run.con.execute(read_sql("known"))
    run.compared = name


def _one(con: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(con.execute(query).fetchall()[0][0])


def _write_quarantine(run: Ingest) -> None:
    """Append the rejected rows that the quarantine does not hold yet, of all tables in one commit."""
    con, folder = run.con, run.scratch / "rejected"
    folder.mkdir()
    relation(con, run.home.quarantine, "quarantine")
    num_rows, paths = 0, []
    for name, staged in run.staged.items():
        if run.report.tables[name].num_quarantined == 0:
            continue
        staged.show(con)
        path = folder / f"{name}.parquet"
        bound = {
            "names": [rule.name for rule in staged.rules],
            "files": staged.files,
            "table": name,
            "run_id": run.report.run_id,
            "path": str(path),
        }
        num_rows += con.execute(f"copy ({read_sql('quarantine')}) to $path (format parquet)", bound).fetchall()[0][0]
        paths.append(str(path))
    if num_rows == 0:
        return
    con.from_parquet(paths).create_view("rejected", replace=True)
    reader = con.sql("select * from rejected").to_arrow_reader(ROWS_A_BATCH)
    run.home.quarantine.append(reader, metadata={c.RUN_ID: run.report.run_id})
    run.report.committed.append("quarantine")


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


def _write(run: Ingest, name: str) -> None:
    """Commit what is new in a table, once, or not at all."""
    if run.report.tables[name].accepted == 0:
        return
    run.staged[name].show(run.con)
    relation(run.con, _table(run.home, name), "stored")
    staged = run.staged[name]
    about = {
        c.RUN_ID: run.report.run_id,
        "source_columns": json.dumps(_all_columns(list(staged.raws))),
        "mapped_columns": json.dumps(sorted(staged.spec.columns)),
    }
    if name in APPENDED:
        _compare(run, name)
        _append(run, name, about)
    else:
        run.con.execute(read_sql(f"newest_{name}"))
        if not _differs(run):
            return
        key = c.ITEM_ID if name == "items" else c.USER_ID
        rows = run.con.sql(f"select * from merged order by {key}").to_arrow_table()  # noqa: S608 - our own name
        _table(run.home, name).overwrite(rows, metadata=about)
    run.report.committed.append(name)


def _append(run: Ingest, name: str, about: dict[str, str]) -> None:
    """Commit the new rows with all their columns; raises SourceError where they are not as many as were counted."""
    staged, expected = run.staged[name], run.report.tables[name].accepted
    staged.show_all_columns(run.con)
    run.con.execute(read_sql("candidates"))
    bound = {"files": staged.files, "run_id": run.report.run_id}
    reader = run.con.sql(read_sql("fresh"), params=bound).to_arrow_reader(ROWS_A_BATCH)
    changed: list[SourceError] = []

    def counted() -> Iterator[pa.RecordBatch]:
        num_rows = 0
        for batch in reader:
            num_rows += batch.num_rows
            yield batch
        if num_rows != expected:
            changed.append(
                SourceError(
                    f"{name}: {expected:,} new rows were counted, then {num_rows:,} were read; the source has changed in between",
                    next_step="run again when nobody writes to the source; nothing was added to the table",
                )
            )
            raise changed[0]  # ends the write before its commit

    try:
        _table(run.home, name).append(pa.RecordBatchReader.from_batches(reader.schema, counted()), metadata=about)
    except DeltaError as error:
        raise changed[0] if changed else error from error


def _differs(run: Ingest) -> bool:
    """Tell whether ``merged`` holds other rows or columns than ``stored``."""

    def columns(view: str) -> list[str]:
        return sorted(str(row[0]) for row in run.con.execute(f"describe {view}").fetchall())

    if columns("merged") != columns("stored"):
        return True
    same = ", ".join('"' + name.replace('"', '""') + '"' for name in columns("merged"))
    either = (
        f"select count(*) from ((select {same} from merged except select {same} from stored)"  # noqa: S608 - quoted names
        f" union all (select {same} from stored except select {same} from merged))"
    )
    return _one(run.con, either) > 0
