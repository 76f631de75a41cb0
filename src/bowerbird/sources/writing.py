"""Writes what an ingest has found: the quarantine first, then each table in one commit, or in none where nothing is new."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa
from deltalake.exceptions import DeltaError

from bowerbird import columns as c
from bowerbird.errors import SourceError
from bowerbird.sources.readers import RawFile
from bowerbird.sources.steps import APPENDED, Ingest, compare, count_of, read_sql, table_of
from bowerbird.store.tables import relation

ROWS_A_BATCH = 100_000


def write_quarantine(run: Ingest) -> None:
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


def write_table(run: Ingest, name: str) -> None:
    """Commit what is new in a table, once, or not at all."""
    if run.report.tables[name].accepted == 0:
        return
    run.staged[name].show(run.con)
    relation(run.con, table_of(run.home, name), "stored")
    staged = run.staged[name]
    about = {
        c.RUN_ID: run.report.run_id,
        "source_columns": json.dumps(all_columns(list(staged.raws))),
        "mapped_columns": json.dumps(sorted(staged.spec.columns)),
    }
    if name in APPENDED:
        compare(run, name)
        _append(run, name, about)
    else:
        run.con.execute(read_sql(f"newest_{name}"))
        if not _differs(run):
            return
        key = c.ITEM_ID if name == "items" else c.USER_ID
        rows = run.con.sql(f"select * from merged order by {key}").to_arrow_table()  # noqa: S608 - our own name
        table_of(run.home, name).overwrite(rows, metadata=about)
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
        table_of(run.home, name).append(pa.RecordBatchReader.from_batches(reader.schema, counted()), metadata=about)
    except DeltaError as error:
        if changed:
            raise changed[0] from error
        raise


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
    return count_of(run.con, either) > 0


def all_columns(raws: list[RawFile]) -> list[str]:
    """List the columns that the files of a source have between them."""
    return list(dict.fromkeys(name for raw in raws for name in raw.columns))
