"""Copies a file of JSON lines into Parquet: one text column a key, malformed lines in their places."""

from __future__ import annotations

import itertools
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from bowerbird.errors import SourceError
from bowerbird.sources.csv_files import ROWS_A_BATCH, open_text, readable
from bowerbird.sources.files import SourceFile

LINES = """
copy (
    select line from read_csv(
        $path, auto_detect = false, header = false, delim = $never, quote = '', escape = '', columns = {'line': 'VARCHAR'}
    )
    where trim(line) <> ''
) to $target (format parquet, compression snappy)
"""
IS_OBJECT = "(json_valid(line) and json_type(case when json_valid(line) then line else '[]' end) = 'OBJECT')"
KEYS = f"""
with keys as (
    select file_row_number, unnest(json_keys(line)) as key
    from read_parquet($lines, file_row_number = true) where {IS_OBJECT}
)
select key from keys group by key order by min(file_row_number), key
"""  # noqa: S608 - our own text
FIELDS = f"""
copy (
    with objects as (select line, {IS_OBJECT} as is_object from read_parquet($lines)),
    parsed as (select json_extract(case when is_object then line else '{{}}' end, $pointers) as fields, * from objects)
    select {{fields}}, case when not is_object then line end as bowerbird_malformed from parsed
) to $target (format parquet, compression snappy)
"""  # noqa: S608 - our own text
# A number that is whole loses its ".0", as in every numeric column; a text keeps it.
FIELD = """case
    when regexp_full_match(fields[{place}]::varchar, '-?[0-9]+[.]0+') then split_part(fields[{place}]::varchar, '.', 1)
    else fields[{place}] ->> '$'
end as c{column}"""


def copy_json_lines(con: duckdb.DuckDBPyConnection, file: SourceFile, target: Path) -> list[str]:
    """Write the values of a file's objects as text columns ``c0, c1, ...``; lists and objects stay JSON. Returns the keys.

    Raises
    ------
    SourceError
        For an empty file, one that is a JSON array, not UTF-8, or a broken gzip.
    """
    with readable(file):
        _refuse_array(file)
        lines = target.with_suffix(".lines")
        con.execute("set preserve_insertion_order = true")
        try:
            _copy_lines(con, file, lines)
            keys = [str(row[0]) for row in con.execute(KEYS, {"lines": str(lines)}).fetchall()]
            pointers = ["/" + key.replace("~", "~0").replace("/", "~1") for key in keys] or ["/"]
            fields = ", ".join(FIELD.format(place=place + 1, column=place) for place in range(len(pointers)))
            query = FIELDS.replace("{fields}", fields)
            con.execute(query, {"lines": str(lines), "pointers": pointers, "target": str(target)})
        finally:
            con.execute("set preserve_insertion_order = false")
            lines.unlink(missing_ok=True)
    return keys


def _refuse_array(file: SourceFile) -> None:
    with open_text(file) as stream:
        for line in stream:
            if line.strip():
                if line.lstrip().startswith("["):
                    raise SourceError(f"{file.name} is a JSON array", next_step="write one object a line, as in: jq -c '.[]'")
                return
    raise SourceError(f"{file.name} is empty", next_step="write one JSON object a line, or take the file away")


def _copy_lines(con: duckdb.DuckDBPyConnection, file: SourceFile, target: Path) -> None:
    """Copy the lines as they are; those that the fast reader refuses (over its length limit) are read one by one."""
    try:
        con.execute(LINES, {"path": str(file.path), "never": "\x01", "target": str(target)})
    except duckdb.Error:
        schema = pa.schema([("line", pa.string())])
        with open_text(file) as stream, pq.ParquetWriter(target, schema) as writer:
            while batch := list(itertools.islice(stream, ROWS_A_BATCH)):
                kept = [line.rstrip("\r\n") for line in batch if line.strip()]
                writer.write_batch(pa.record_batch([pa.array(kept, pa.string())], schema=schema))
