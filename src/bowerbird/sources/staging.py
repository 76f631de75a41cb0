"""Stages a table: every row of its files typed, tagged with the rules it breaks, and given an identity, in one pass.

What is staged lies as Parquet in the scratch folder, so memory stays bounded whatever the source's size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import available_timezones

import duckdb

from bowerbird import columns as c
from bowerbird.errors import RecipeError, SourceError, did_you_mean
from bowerbird.recipe import Recipe
from bowerbird.recipe_source import EventSource, TableSource
from bowerbird.sources.mapping import GIVEN, TIMES, Expressions, check_name, event_type, map_columns, quoted, source_column
from bowerbird.sources.readers import MALFORMED, RawFile
from bowerbird.warehouse import rules as row_rules
from bowerbird.warehouse.rules import RowRule, RuleSet

WHOLE = (c.POSITION, c.CLICK)
IDENTIFIED = ("events", "feedback")
REQUIRED = {
    "events": (c.USER_ID, c.ITEM_ID, c.TIMESTAMP),
    "items": (c.ITEM_ID,),
    "users": (c.USER_ID,),
    "feedback": (c.ITEM_ID, c.TIMESTAMP, c.POSITION, c.CLICK, c.PROPENSITY),
}
QUERY = """
with
mapped as (
    select {mapped}
    from read_parquet($path, file_row_number = true) as raw
),
chosen as (
    select {event} from mapped where is_malformed or ({only_when})
),
tagged as (
    select *, case when is_malformed then 1 else {mask} end as broken from chosen
),
final as (
    select {columns}, $file::integer as file, source_row, broken{identity}, case when broken <> 0 then {raw} end as raw
    from tagged
)
select * from final
"""
STAGE = "copy (select {columns} from {rows}) to $target (format parquet, compression snappy)"
JUDGED = {
    "events": "file, source_row, broken, identity, raw, event, timestamp",
    "feedback": "file, source_row, broken, identity, raw",
}
"""What rows that are appended are judged by; their other columns are read again when they are written, if they are new."""


@dataclass(frozen=True)
class Staged:
    """A staged table: the view ``staged`` of the connection reads it while it is current."""

    table: str
    spec: TableSource
    rules: tuple[RowRule, ...]
    raws: tuple[RawFile, ...]
    paths: tuple[Path, ...]
    views: tuple[str, ...]
    """For each file, the view that types and tags its rows."""

    def show(self, con: duckdb.DuckDBPyConnection) -> None:
        """Make the view ``staged`` over what was staged of this table's rows."""
        con.from_parquet([str(path) for path in self.paths], union_by_name=True).create_view("staged", replace=True)

    def show_all_columns(self, con: duckdb.DuckDBPyConnection) -> None:
        """Make the view ``staged`` over this table's rows with all their columns, read from the source again."""
        every = " union all by name ".join(f"select * from {view}" for view in self.views)  # noqa: S608 - our own names
        con.sql(every).create_view("staged", replace=True)

    @property
    def files(self) -> list[str]:
        """Names of the source's files, by number."""
        return [raw.name for raw in self.raws]


def check_map(spec: TableSource, table: str) -> None:
    """Raise RecipeError for a column map that lacks what the table needs, and for a condition or zone that cannot be."""
    for name in spec.columns:
        check_name(name, table)
    for name in REQUIRED[table]:
        if name not in spec.columns:
            raise RecipeError(f"source.{table}.columns has no {name!r}", next_step=f"name the source's column that holds {name}")
    if isinstance(spec, EventSource) and spec.event is None and not spec.event_when and c.EVENT not in spec.columns:
        raise RecipeError("source.events names no event type", next_step="set event, event_when, or columns.event")
    if spec.time_zone not in available_timezones():
        raise RecipeError(
            f"source.{table}.time_zone is {spec.time_zone!r}{did_you_mean(spec.time_zone, sorted(available_timezones()))}",
            next_step="use a name such as 'Europe/London'",
        )
    if spec.only_when is not None:
        check_condition(spec.only_when.columns, spec, f"source.{table}.only_when")
    if isinstance(spec, EventSource):
        for case in spec.event_when:
            check_condition(case.when.columns, spec, f"source.{table}.event_when")
        if spec.target_when is not None:
            check_condition(spec.target_when.columns, spec, f"source.{table}.target_when")


def rules_of(table: str, spec: TableSource, recipe: Recipe, now: datetime) -> list[RowRule]:
    """Return the rules of a table in declared order."""
    if isinstance(spec, EventSource):
        return row_rules.event_rules(recipe, spec, now=now)
    if table == "items":
        return row_rules.item_rules(list(spec.columns))
    return row_rules.user_rules() if table == "users" else row_rules.feedback_rules(now=now)


def check_patterns(con: duckdb.DuckDBPyConnection, rules: list[RowRule]) -> None:
    """Raise RecipeError for a rule whose regular expression does not read."""
    for rule in rules:
        if rule.kind == "matches":
            try:
                con.execute("select regexp_full_match('', $pattern)", {"pattern": rule.value}).fetchall()
            except duckdb.Error as error:
                raise RecipeError(
                    f"contracts.rules: {rule.name!r} matches {rule.value!r}, which is no regular expression: {error}",
                    next_step="mend it; the syntax is RE2's",
                ) from error


def stage(
    con: duckdb.DuckDBPyConnection,
    table: str,
    spec: TableSource,
    raws: list[RawFile],
    rules: list[RowRule],
    folder: Path,
) -> Staged:
    """Type, tag and identify all rows of a table's files.

    Staged columns are ours and the recipe's extra ones (of events and feedback those that they are judged by), then ``file``
    (number), ``source_row`` (from 1), ``broken`` (the mask of broken rules), ``identity`` (events and feedback) and ``raw``
    (JSON of the source's columns, of rejected rows).

    Raises
    ------
    SourceError
        For a file that turns out to be damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    compiled = RuleSet.compile(rules)
    paths, views = [], []
    for number, raw in enumerate(raws):
        made = map_columns(spec, raw, table=table)
        query = _query(table, spec, raw, made, compiled)
        bound = {**made.values, **compiled.values, "path": str(raw.path), "file": number}
        used = set(re.findall(r"\$(\w+)", query))  # a time zone, say, is not asked for where times carry their own
        target, view = folder / f"{number:05d}.parquet", f"{table}_rows_{number}"
        try:
            rows = con.sql(query, params={name: value for name, value in bound.items() if name in used})
            rows.create_view(view, replace=True)  # lazy, with its parameters
            con.execute(STAGE.format(columns=JUDGED.get(table, "*"), rows=view), {"target": str(target)})
        except (duckdb.InvalidInputException, duckdb.SerializationException, duckdb.IOException) as error:
            if "space left" in str(error) or "max_temp_directory_size" in str(error):
                raise
            raise SourceError(
                f"{raw.name} cannot be read to its end: {str(error).splitlines()[0]}",
                next_step="write the file again; it is damaged",
            ) from error
        paths.append(target)
        views.append(view)
    return Staged(table, spec, tuple(rules), tuple(raws), tuple(paths), tuple(views))


def _query(table: str, spec: TableSource, raw: RawFile, made: Expressions, compiled: RuleSet) -> str:
    """Put the pass over one file together; all values in it are parameters."""
    passed = [f'{source_column(raw, name)} as "source {place}"' for place, name in enumerate(raw.columns)]
    malformed = f"raw.{MALFORMED}" if raw.has_malformed else "null"
    mapped = [
        *[f"{expression} as {quoted(name)}" for name, expression in made.columns.items()],
        *passed,
        f"{malformed} as malformed_text",
        f"({malformed} is not null) as is_malformed",
        "raw.file_row_number + 1 as source_row",
    ]
    kept = [name for name in made.columns if not name.endswith(GIVEN) and name not in (c.EVENT_ID, c.EVENT)]
    event = "*"
    if isinstance(spec, EventSource):
        own = f"{event_type(spec, made)} as {c.EVENT}"
        event = f"* replace ({own})" if c.EVENT in made.columns else f"*, {own}"
        kept.append(c.EVENT)
    holds = "true"
    if spec.only_when is not None:
        holds, values = spec.only_when.sql("only")
        made.values.update(values)
    whole = [f"try_cast({quoted(name)} as bigint) as {name}" if name in WHOLE else quoted(name) for name in kept]
    parts = ", ".join(f'{made.bind(name)}::varchar, "source {place}"::varchar' for place, name in enumerate(raw.columns))
    identity = f", case when broken = 0 then {_identity(kept, table, made)} end as identity" if table in IDENTIFIED else ""
    return QUERY.format(
        mapped=", ".join(mapped),
        event=event,
        only_when=holds,
        mask=compiled.mask,
        columns=", ".join(whole),
        identity=identity,
        raw=f"case when is_malformed then json_object('line', malformed_text) else json_object({parts}) end::varchar",
    )


def _identity(kept: list[str], table: str, made: Expressions) -> str:
    """Return the md5 of the mapped event id, else of all mapped columns, each with name and length; nulls are left out."""

    def part(name: str) -> str:
        text = f"epoch_us({quoted(name)})::varchar" if name in TIMES[table] else f"{quoted(name)}::varchar"
        return f"'{name}=' || length({text}) || ':' || {text}"

    every = f"concat({', '.join(part(name) for name in sorted(kept))})"
    own = f"coalesce('{c.EVENT_ID}=' || {c.EVENT_ID}, {every})" if c.EVENT_ID in made.columns else every
    return f"md5_number({own})::uuid"  # half the cost of reading the hex digits back


def check_condition(names: list[str], spec: TableSource, where: str) -> None:
    """Raise RecipeError where a condition reads a column that the map does not have."""
    for name in names:
        if name not in spec.columns:
            raise RecipeError(
                f"{where} reads the column {name!r}; the map has {', '.join(spec.columns)}"
                f"{did_you_mean(name, list(spec.columns))}",
                next_step=f"add {name!r} to the columns of the source",
            )
