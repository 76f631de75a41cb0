"""The recipe's ``[source]``: where each table is read from, and which of its columns mean what."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bowerbird.columns import CATEGORIES
from bowerbird.condition import Condition
from bowerbird.recipe_values import Columns, Join, Section, Text, Texts, When, require_known


class EventCase(Section):
    """One row of ``event_when``: rows for which ``when`` holds are events of type ``event``."""

    event: Text
    when: When


class TableSource(Section):
    """Where a table is read from and which of its columns mean what."""

    path: Text
    """File name or glob, relative to the source folder."""
    columns: Columns
    """Our column name to the source's, to a list of spellings of which one must be there, or to columns that are joined.

    Further names are kept as extra columns. The source name ``file_stem`` stands for the file's name without its ending.
    """
    path_pattern: Text | None = None
    """A regular expression for the whole of each file's path in the source folder; its named groups are columns of the source."""
    format: Literal["auto", "csv", "parquet", "jsonl", "delta"] = "auto"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """One character; found out when absent."""
    time_format: Text | Texts = "iso"
    """``iso``, ``unix_s``, ``unix_ms``, ``unix_us`` or strptime patterns, tried in order."""
    time_zone: str = "UTC"
    """Zone of times that carry none."""
    only_when: When | None = None
    """Rows for which it does not hold are left out before anything is counted."""

    @model_validator(mode="after")
    def _reads_mapped_columns(self) -> Self:
        for name, condition in self._conditions():
            for column in condition.columns:
                require_known(column, self.columns, f"{name} reads the column")
        return self

    @model_validator(mode="after")
    def _names_what_the_path_tells(self) -> Self:
        if self.path_pattern is None:
            return self
        try:
            groups = re.compile(self.path_pattern).groupindex
        except re.error as error:
            raise ValueError(f"path_pattern is {self.path_pattern!r}, which is no regular expression: {error}") from error
        if not groups:
            raise ValueError(f"path_pattern is {self.path_pattern!r}, which names no group; write one as in (?P<day>[0-9-]+)")
        return self

    def _conditions(self) -> list[tuple[str, Condition]]:
        """List the conditions by their keys."""
        return [("only_when", self.only_when)] if self.only_when is not None else []


class EventSource(TableSource):
    """The event log."""

    event: Text | None = None
    """The event type of all rows, where no column holds it."""
    event_when: tuple[EventCase, ...] = ()
    """Event types told by a condition; the first that holds wins over ``event`` and over the column."""
    weights: Annotated[dict[str, Annotated[float, Field(ge=0)]], Field(min_length=1)]
    """Event type to its weight as evidence; 0 is seen without evidence. Types that are not here are rejected."""
    cancels: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it
    """Event type to the type that it takes back, from its own time on."""
    target_when: When | None = None
    """Rows for which it does not hold are seen but are no success (weight 0)."""

    @model_validator(mode="after")
    def _knows_its_events(self) -> Self:
        for cancelled in self.cancels.values():
            require_known(cancelled, self.weights, "cancels takes back the event")
        for event in filter(None, (self.event, *(case.event for case in self.event_when))):
            require_known(event, {**self.weights, **self.cancels}, "weights lacks the event")
        return self

    def _conditions(self) -> list[tuple[str, Condition]]:
        own = [("target_when", self.target_when)] if self.target_when is not None else []
        return super()._conditions() + [("event_when", case.when) for case in self.event_when] + own


class ItemSource(TableSource):
    """The catalogue; of several rows for one item the last wins."""

    category_separator: Text | None = None
    """Splits ``categories``; lists stay lists. Several source columns in ``categories`` make a list."""

    @model_validator(mode="after")
    def _lists_categories(self) -> Self:
        if isinstance(self.columns.get(CATEGORIES), Join):
            raise ValueError("columns.categories joins columns; name them in a list, which makes a category of each")
        return self


class UserSource(TableSource):
    """What is known of users; of several rows for one user the last wins."""


class FeedbackSource(TableSource):
    """Logged impressions with position, click and the logging policy's propensity."""


class SampleSource(Section):
    """The simulated data that stands in where no source is named."""

    kind: Literal["shop", "feed"] = "shop"
    """A shop, or a feed of posts that live a day or two; ``items`` are its posts."""
    users: Annotated[int, Field(ge=1)] = 2000
    items: Annotated[int, Field(ge=1)] = 1500
    days: Annotated[int, Field(ge=1)] = 60
    seed: int = 1


class Source(Section):
    """Where the data comes from."""

    events: EventSource | None = None
    items: ItemSource | None = None
    users: UserSource | None = None
    feedback: FeedbackSource | None = None
    sample: SampleSource | None = None
    """Simulate a shop or a feed where the run names no source."""
