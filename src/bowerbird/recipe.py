"""A recipe says what a run does: source, contracts, target, split, models, rules, gate. TOML, checked when read."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, model_validator

from bowerbird.condition import Condition
from bowerbird.errors import RecipeError, did_you_mean

UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


def _read_duration(value: object) -> object:
    """Turn ``"7d"``, ``"12h"``, ``"30m"`` or ``"2w"`` into a timedelta."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+)\s*([mhdw])", value.strip())
        if match is None or int(match[1]) == 0:
            raise ValueError(f"{value!r} is no duration; write a number above 0 with m, h, d or w, as in '7d'")
        return timedelta(seconds=int(match[1]) * UNITS[match[2]])
    return value


def write_duration(value: timedelta) -> str:
    """Spell a duration as a recipe does, in the largest unit that divides it."""
    seconds = int(value.total_seconds())
    unit = next(name for name in ("d", "h", "m") if seconds % UNITS[name] == 0)
    return f"{seconds // UNITS[unit]}{unit}"


def _read_condition(value: object) -> object:
    return Condition.parse(value) if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_read_duration), PlainSerializer(write_duration, return_type=str)]
When = Annotated[Condition, BeforeValidator(_read_condition), PlainSerializer(lambda c: c.text, return_type=str)]
Columns = dict[str, str | tuple[str, ...]]


class Section(BaseModel):
    """A part of a recipe: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class EventCase(Section):
    """One row of ``event_when``: rows for which ``when`` holds are events of type ``event``."""

    event: str
    when: When


class TableSource(Section):
    """Where a table is read from and which of its columns mean what."""

    path: str
    """File name or glob, relative to the source folder."""
    columns: Columns
    """Our column name to the source's, or to a list of spellings of which one must be there.

    Further names are kept as extra columns. The source name ``file_stem`` stands for the file's name without its ending.
    """
    format: Literal["auto", "csv", "parquet", "jsonl", "delta"] = "auto"
    delimiter: str | None = None
    """One character; found out when absent."""
    time_format: str | tuple[str, ...] = "iso"
    """``iso``, ``unix_s``, ``unix_ms``, ``unix_us`` or strptime patterns, tried in order."""
    time_zone: str = "UTC"
    """Zone of times that carry none."""
    only_when: When | None = None
    """Rows for which it does not hold are left out before anything is counted."""


class EventSource(TableSource):
    """The event log."""

    event: str | None = None
    """The event type of all rows, where no column holds it."""
    event_when: tuple[EventCase, ...] = ()
    """Event types told by a condition; the first that holds wins over ``event`` and over the column."""
    weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    """Event type to its weight as evidence; 0 is seen without evidence. Types that are not here are rejected."""
    cancels: dict[str, str] = {}
    """Event type to the type that it takes back, from its own time on."""
    target_when: When | None = None
    """Rows for which it does not hold are seen but are no success (weight 0)."""


class ItemSource(TableSource):
    """The catalogue; of several rows for one item the last wins."""

    category_separator: str | None = None
    """Splits ``categories``; lists stay lists. Several source columns in ``categories`` make a list."""


class UserSource(TableSource):
    """What is known of users; of several rows for one user the last wins."""


class FeedbackSource(TableSource):
    """Logged impressions with position, click and the logging policy's propensity."""


class SampleSource(Section):
    """The simulated shop that stands in where no source is named."""

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
    """Simulate a shop where the run names no source."""


class Rule(Section):
    """A row rule of the recipe's own; a row that breaks it goes to the quarantine under ``name``."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    column: str
    not_null: bool = False
    matches: str | None = None
    """A regular expression that the whole text must match."""
    min: float | None = None
    max: float | None = None
    above: float | None = None
    below: float | None = None
    one_of: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Rule:
        asked = [self.matches, self.min, self.max, self.above, self.below, self.one_of]
        if not self.not_null and all(value is None for value in asked):
            raise ValueError(f"rule {self.name!r} asks nothing; give one of not_null, matches, min, max, above, below, one_of")
        return self


class Contracts(Section):
    """When rows are rejected, and when so many are that the run stops."""

    max_rejected_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    duplicates: Literal["drop", "keep"] = "drop"
    """``keep`` tells equal rows of one file apart by their ordinal."""
    rules: tuple[Rule, ...] = ()


class Target(Section):
    """What a recommendation should lead to."""

    events: Annotated[tuple[str, ...], Field(min_length=1)]
    exclude_events: tuple[str, ...] = ()
    """A user's items with these events are not recommended again; none: repeats are welcome."""


class Split(Section):
    """How time is cut into fit, selection and test."""

    kind: Literal["global_time", "leave_last_out"] = "global_time"
    horizon: Duration = timedelta(days=7)
    """How long lists live, and so how long a test window is."""
    selection: Duration | None = None
    """Length of the selection window; the horizon where absent."""
    test: Annotated[int, Field(ge=1, le=52)] = 4
    """At most so many consecutive test windows are pooled until there are 1,000 users or a tenth of the events."""


class ModelSpec(BaseModel):
    """A model's name and its config keys; the keys are checked by the model's own config."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @property
    def config(self) -> dict[str, Any]:  # Any: a model's config decides the types
        return dict(self.__pydantic_extra__ or {})


class Rules(Section):
    """What may be recommended."""

    availability: bool = True
    """Leave out items before ``available_from`` and from ``available_until`` on."""
    blocked_items: tuple[str, ...] = ()


class Gate(Section):
    """When a candidate may be published."""

    metric: Literal["ndcg", "recall", "mrr", "map", "hit_rate"] = "ndcg"
    k: Annotated[int, Field(ge=1, le=1000)] = 10
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """A refresh is held when it is significantly more than this share below its own last five runs."""
    min_coverage: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the catalogue that the lists must reach."""
    min_users: Annotated[int, Field(ge=1)] = 50
    """So many users must differ before a change counts as proven."""
    min_refit_overlap: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Mean share of a list that evaluated and refitted model must have in common."""
    overlap_band: tuple[float, float] = (0.0, 1.0)
    """Share of a list that a refresh has in common with the published one."""


class Recommend(Section):
    """What is published."""

    k: Annotated[int, Field(ge=1, le=1000)] = 10


class Recipe(Section):
    """All of a run but where and when."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 1
    candidate: str | None = None
    """Puts this one model up instead of choosing a nominee among ``models``."""
    source: Source
    contracts: Contracts = Contracts()
    target: Target | None = None
    split: Split = Split()
    models: tuple[ModelSpec, ...] = ()
    rules: Rules = Rules()
    gate: Gate = Gate()
    recommend: Recommend = Recommend()

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        events = self.source.events
        if self.models and (events is None or self.target is None):
            raise ValueError("models need [source.events] and [target]")
        if events is not None and self.target is not None:
            for event in (*self.target.events, *self.target.exclude_events):
                if event not in events.weights:
                    raise ValueError(
                        f"target names the event {event!r}; source.events.weights knows {sorted(events.weights)}"
                        + did_you_mean(event, list(events.weights))
                    )
        names = [model.name for model in self.models]
        if len(set(map(str, self.models))) != len(names):
            raise ValueError("two of the models are the same")
        return self

    @property
    def repeats_welcome(self) -> bool:
        """Whether a user's past target items may be recommended again."""
        return self.target is not None and not set(self.target.events) & set(self.target.exclude_events)

    def dump(self) -> dict[str, Any]:  # Any: JSON
        """Return the resolved recipe as plain JSON types; ``Recipe.model_validate`` reads it back equal."""
        return self.model_dump(mode="json", exclude_none=True)

    def digest(self) -> str:
        """Return a checksum of the resolved recipe."""
        return hashlib.sha256(json.dumps(self.dump(), sort_keys=True).encode()).hexdigest()[:16]


def load_recipe(path: Path, *, seed: int | None = None, candidate: str | None = None) -> Recipe:
    """Read a recipe from a TOML file; ``seed`` and ``candidate`` override what it says.

    Raises
    ------
    RecipeError
        Where the file is missing, is no TOML, has an unknown key or a value that is not allowed.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise RecipeError(f"there is no recipe file {str(path)!r}", next_step="name a TOML file with --recipe") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe {path.name} is no TOML: {error}", next_step="mend the line that it names") from error
    if seed is not None:
        content["seed"] = seed
    if candidate is not None:
        content["candidate"] = candidate
    return read_recipe(content, where=path.name)


def read_recipe(content: dict[str, Any], *, where: str) -> Recipe:  # Any: what TOML holds
    """Check the content of a recipe; ``where`` stands in the errors. Raises RecipeError."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(_explain(error, where), next_step="mend the recipe and run again") from error


def _explain(error: ValidationError, where: str) -> str:
    """Name the first mistake of a recipe with the value got and, for a key, the closest known one."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"])
        closest = did_you_mean(str(first["loc"][-1]), known)
        return f"recipe {where}: unknown key {place!r}; known here: {', '.join(known)}{closest}"
    if first["type"] == "missing":
        return f"recipe {where}: {place!r} is missing"
    got = "" if first["type"] == "value_error" else f", got {first['input']!r}"
    return f"recipe {where}: {place or 'the whole'}: {first['msg'].removeprefix('Value error, ')}{got}"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """List the keys allowed where ``location`` ends."""
    section: type[BaseModel] = Recipe
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        field = section.model_fields.get(part)
        for candidate in _sections(field.annotation if field else None):
            section = candidate
    return list(section.model_fields)


def _sections(annotation: Any) -> list[type[BaseModel]]:  # Any: a type annotation
    """Find the sections that an annotation names, inside unions and tuples too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in _sections(part)]
