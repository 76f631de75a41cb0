"""The column map as SQL: what a recipe calls user, item and time becomes typed expressions over a raw file.

Values are bound parameters. Of what users write, only the names of columns that the file has reach the SQL text, quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from bowerbird import columns as c
from bowerbird.errors import RecipeError
from bowerbird.recipe_source import EventSource, ItemSource, TableSource
from bowerbird.recipe_values import Join
from bowerbird.sources.readers import RawFile

NUMBERS: Final = {
    "events": (c.QUANTITY, c.PRICE),
    "items": (c.PRICE,),
    "users": (),
    "feedback": (c.POSITION, c.CLICK, c.PROPENSITY),
}
TIMES: Final = {
    "events": (c.TIMESTAMP,),
    "items": (c.AVAILABLE_FROM, c.AVAILABLE_UNTIL, c.CREATED_AT),
    "users": (),
    "feedback": (c.TIMESTAMP,),
}
RESERVED: Final = (
    *(c.SOURCE_FILE, c.SOURCE_ROW, c.RUN_ID, c.WEIGHT, c.LABEL, "is_target"),
    *("file", "identity", "is_malformed", "broken", "raw"),
)
GIVEN: Final = "_given"
"""Ends the name of the column that tells whether the source gave a value, readable or not."""
BLANK: Final = "e' \\t\\n\\r\u00a0\u3000'"  # DuckDB reads no \u, so the wide blanks stand there themselves
NUMERIC: Final = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|DOUBLE)$")
EXACT_SECONDS: Final = {"unix_s": 1_000_000.0, "unix_ms": 1_000.0, "unix_us": 1.0}
LARGEST: Final = 9e15  # microseconds that a double holds exactly: the year 2255


@dataclass
class Expressions:
    """SQL expressions by the name of the column they make, and the parameters they use."""

    columns: dict[str, str] = field(default_factory=dict)
    values: dict[str, object] = field(default_factory=dict)

    def bind(self, value: object) -> str:
        """Add a parameter and return how SQL names it."""
        name = f"map_{len(self.values)}"
        self.values[name] = value
        return f"${name}"


def quoted(name: str) -> str:
    """Quote the name of a column."""
    return '"' + name.replace('"', '""') + '"'


def source_column(raw: RawFile, name: str) -> str:
    """Return a source column of the relation ``raw``, where no column of ours can hide it."""
    return f"raw.{quoted(raw.columns[name])}"


def map_columns(spec: TableSource, raw: RawFile, *, table: str) -> Expressions:
    """Return an expression for each column of the map; texts trimmed, empty texts null, unreadable numbers and times null.

    For each number and each time there is also ``<name>_given``.
    """
    made = Expressions()
    for ours, theirs in spec.columns.items():
        if ours == c.CATEGORIES and table == "items" and not isinstance(theirs, Join):
            made.columns[ours] = _categories(raw, (theirs,) if isinstance(theirs, str) else theirs, spec, made)
            continue
        column, kind = _read(raw, theirs, made)
        if ours in TIMES[table]:
            made.columns[ours] = _time(column, kind, spec, made)
            made.columns[ours + GIVEN] = f"({_given(column, kind)} is not null)"
        elif ours in NUMBERS[table]:
            made.columns[ours] = f"try_cast({_given(column, kind)} as double)"
            made.columns[ours + GIVEN] = f"({_given(column, kind)} is not null)"
        else:
            made.columns[ours] = text_of(column, kind)
    return made


def _read(raw: RawFile, theirs: str | tuple[str, ...] | Join, made: Expressions) -> tuple[str, str]:
    """Return what a column of the map reads, as SQL, and its DuckDB type; what is joined or told by the path is a text."""
    if isinstance(theirs, Join):
        texts = [text_of(*_read(raw, name, made)) for name in theirs.join]
        return f"({f' || {made.bind(theirs.separator)} || '.join(texts)})", "VARCHAR"
    names = (theirs,) if isinstance(theirs, str) else theirs
    name = next(name for name in names if name in raw.told or name in raw.columns)
    if name in raw.told:
        return made.bind(raw.told[name]) + "::varchar", "VARCHAR"
    return source_column(raw, name), raw.types[name]


def check_name(ours: str, table: str) -> None:
    """Raise RecipeError where a column of the map cannot be called so."""
    if ours in RESERVED or ours.endswith(GIVEN) or re.fullmatch(r"[a-z_][a-z0-9_]*", ours) is None:
        raise RecipeError(
            f"source.{table}.columns: {ours!r} cannot be the name of a column",
            next_step=f"use small letters, digits and _, and none of {', '.join(RESERVED)}",
        )


def text_of(column: str, kind: str) -> str:
    """Return a column as trimmed text; whole floats lose their ``.0``, NaN and empty texts are null."""
    if kind in ("DOUBLE", "FLOAT"):
        whole = f"isfinite({column}) and trunc({column}) = {column} and abs({column}) < {LARGEST:.0f}"
        return f"(case when isnan({column}) then null when {whole} then {column}::bigint::varchar else {column}::varchar end)"
    if kind == "VARCHAR":
        return trimmed(column)
    if NUMERIC.match(kind) or kind in ("BOOLEAN", "UUID", "DATE") or kind.startswith("TIMESTAMP"):
        return f"{column}::varchar"
    return trimmed(f"{column}::varchar")


def _given(column: str, kind: str) -> str:
    """Return a typed column as it is, for there NaN is a number that was given, and a text trimmed."""
    return text_of(column, kind) if kind == "VARCHAR" else column


def trimmed(column: str) -> str:
    """Return a text without blanks around it, null where nothing is left; trimming is slow, so it is done where it must be."""
    is_plain = f"{column} > '!' and {column} < '~' and ({column})[-1] between '!' and '~'"  # begins and ends in print
    return f"(case when {is_plain} then {column} else nullif(trim({column}, {BLANK}), '') end)"


def _categories(raw: RawFile, names: tuple[str, ...], spec: TableSource, made: Expressions) -> str:
    """Make a list of texts out of lists, of a text with separators, or of several columns; never null."""
    parts = []
    for name in names:
        column, kind = _read(raw, name, made)
        if kind.endswith("[]"):
            parts.append(f"coalesce(list_transform({column}, lambda x: x::varchar), [])")
            continue
        text = text_of(column, kind)
        separator = spec.category_separator if isinstance(spec, ItemSource) else None
        split = f"[{text}]" if separator is None else f"string_split({text}, {made.bind(separator)})"
        json = f"from_json({text}, '[\"varchar\"]')"  # a list in JSON lines stays a list
        is_list = f"starts_with({text}, '[') and json_valid({text})"
        parts.append(f"case when {is_list} then {json} when {text} is null then [] else {split} end")
    joined = f"list_concat({', '.join(parts)})" if len(parts) > 1 else parts[0]
    return f"list_filter(list_transform({joined}, lambda x: trim(x, {BLANK})), lambda x: x <> '')"


def _time(column: str, kind: str, spec: TableSource, made: Expressions) -> str:
    """Make a time with a zone; typed times are taken as they are, texts are read by the formats in their order."""
    zone = made.bind(spec.time_zone)
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"(case when isfinite({column}) then {column} end)"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return f"(case when isfinite({column}) then timezone({zone}, {column}::timestamp) end)"
    formats = (spec.time_format,) if isinstance(spec.time_format, str) else spec.time_format
    text = text_of(column, kind)
    return f"coalesce({', '.join(_read_time(text, form, zone, made) for form in formats)}, null)"


def _read_time(text: str, form: str, zone: str, made: Expressions) -> str:
    if form in EXACT_SECONDS:
        micros = f"round(try_cast({text} as double) * {EXACT_SECONDS[form]})"
        return f"(case when abs({micros}) < {LARGEST:.0f} then make_timestamptz({micros}::bigint) end)"
    if form == "iso":
        after_day = f"substr({text}, 11)"  # past the date, only a zone has a + or a -
        zoned = f"contains({after_day}, '+') or contains({after_day}, '-') or lower(right({text}, 1)) = 'z'"
        read = f"case when {zoned} then try_cast({text} as timestamptz) else timezone({zone}, try_cast({text} as timestamp)) end"
        return f"(case when {text} <> 'epoch' and isfinite({read}) then {read} end)"
    pattern = made.bind(form)
    if "%z" in form or "%Z" in form:
        return f"try_strptime({text}, {pattern})::timestamptz"
    return f"timezone({zone}, try_strptime({text}, {pattern})::timestamp)"


def event_type(spec: EventSource, made: Expressions) -> str:
    """Return the event's type: the first case that holds, else the mapped column, else the constant.

    The conditions read columns of the map.
    """
    cases = []
    for place, case in enumerate(spec.event_when):
        holds, values = case.when.sql(f"event_{place}")
        made.values.update(values)
        cases.append(f"when {holds} then {made.bind(case.event)}")
    own = c.EVENT if c.EVENT in made.columns else (made.bind(spec.event) if spec.event is not None else "null")
    otherwise = f"coalesce({own}, {made.bind(spec.event)})" if c.EVENT in made.columns and spec.event is not None else own
    return f"(case {' '.join(cases)} else {otherwise} end)::varchar" if cases else f"({otherwise})::varchar"
