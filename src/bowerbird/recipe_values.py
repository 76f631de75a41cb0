"""What the values of a recipe are made of: sections, durations, conditions, shares; each refuses what it cannot mean."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from bowerbird.condition import Condition
from bowerbird.errors import did_you_mean

UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
LONGEST = timedelta(days=3650)


def _read_duration(value: object) -> timedelta:
    """Turn ``"7d"``, ``"12h"``, ``"30m"`` or ``"2w"`` into a timedelta."""
    if isinstance(value, timedelta):
        duration = value
    else:
        match = re.fullmatch(r"([0-9]{1,7})\s*([mhdw])", value.strip()) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f"{value!r} is no duration; write a number above 0 with m, h, d or w, as in '7d'")
        duration = timedelta(seconds=int(match[1]) * UNITS[match[2]])
    if not timedelta(0) < duration <= LONGEST or duration % timedelta(minutes=1):
        raise ValueError(f"{value!r} is no duration; allowed are whole minutes above 0, up to {LONGEST.days}d")
    return duration


def write_duration(value: timedelta) -> str:
    """Spell a duration as a recipe does, in the largest of days, hours and minutes that divides it."""
    seconds = int(value.total_seconds())
    unit = next(name for name in ("d", "h", "m") if seconds % UNITS[name] == 0)
    return f"{seconds // UNITS[unit]}{unit}"


def _read_condition(value: object) -> Condition:
    if isinstance(value, Condition):
        return value
    if not isinstance(value, str):
        raise ValueError(f'a condition is a text such as "rating >= 3.5", got {value!r}')
    return Condition.parse(value)


def require_known(value: str, known: Collection[str], claim: str) -> None:
    """Raise ValueError, which suggests the closest of ``known``; ``claim`` says who asks for the value."""
    if value not in known:
        raise ValueError(f"{claim} {value!r}; known: {', '.join(known)}{did_you_mean(value, list(known))}")


Duration = Annotated[timedelta, BeforeValidator(_read_duration), PlainSerializer(write_duration, return_type=str)]
When = Annotated[Condition, BeforeValidator(_read_condition), PlainSerializer(lambda c: c.text, return_type=str)]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of a recipe: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)


class Join(Section):
    """A column made of several of the source's: their texts in this order, missing where one of them is missing."""

    join: Texts
    separator: str = "|"
    """Stands between the texts; one that they hold themselves may make two different ids the same."""


Columns = Annotated[dict[str, Text | Texts | Join], Field(min_length=1)]
