"""A recipe says what a run does: source, contracts, target, split, models, rules, gate. TOML, checked when read."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from bowerbird.errors import RecipeError, did_you_mean
from bowerbird.recipe_gate import Gate, PolicyFile, with_check_files
from bowerbird.recipe_knowledge import Explanations, Knowledge
from bowerbird.recipe_rules import Rules
from bowerbird.recipe_search import Search, is_plain
from bowerbird.recipe_source import Source
from bowerbird.recipe_split import Split
from bowerbird.recipe_text import ItemTexts
from bowerbird.recipe_values import Section, Share, Text, Texts, require_known

SHOWN = 80
"""So much of a wrong value stands in an error."""


class Rule(Section):
    """A row rule of the recipe's own; a row that breaks it goes to the quarantine under ``name``."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    column: Text
    not_null: bool = False
    matches: str | None = None
    """A regular expression that the whole text must match."""
    min: float | None = None
    max: float | None = None
    above: float | None = None
    below: float | None = None
    one_of: Texts | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        asked = [self.matches, self.min, self.max, self.above, self.below, self.one_of]
        if not self.not_null and all(value is None for value in asked):
            raise ValueError(f"rule {self.name!r} asks nothing; give one of not_null, matches, min, max, above, below, one_of")
        least = [value for value in (self.min, self.above) if value is not None]
        most = [value for value in (self.max, self.below) if value is not None]
        is_open = self.above in most or self.below in least
        if least and most and (max(least) > min(most) or (max(least) == min(most) and is_open)):
            raise ValueError(
                f"rule {self.name!r} asks for more than {max(least):g} and less than {min(most):g}: no number is both"
            )
        return self


class Contracts(Section):
    """When rows are rejected, and when so many are that the run stops."""

    max_rejected_share: Share = 0.1
    duplicates: Literal["drop", "keep"] = "drop"
    """``keep`` tells equal rows of one file apart by their ordinal."""
    rules: tuple[Rule, ...] = ()


class Target(Section):
    """What a recommendation should lead to."""

    events: Texts
    exclude_events: tuple[str, ...] = ()
    """A user's items with these events are not recommended again; none: repeats are welcome."""
    gains: Literal["equal", "weight"] = "equal"
    """What finding a target is worth to NDCG: the same for all, or the weight of its event (``source.events.weights``)."""


class ModelSpec(BaseModel):
    """A model's name and its config keys; the keys are checked by the model's own config."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: Text
    search: Search | None = None
    """Settings that are found by trials on the selection window."""

    @model_validator(mode="after")
    def _holds_plain_values(self) -> Self:
        for key, value in self.config.items():
            if not is_plain(value):
                raise ValueError(
                    f"{key} is {value!r}; allowed are texts, finite numbers, true, false, and lists and tables of them"
                )
        for key in self.search.space if self.search else ():
            if key in self.config or key == "name":
                raise ValueError(f"{key} has a value and is searched, too; keep one of them")
        return self

    @property
    def config(self) -> dict[str, Any]:  # Any: a model's config decides the types
        return dict(self.__pydantic_extra__ or {})


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
    text: ItemTexts | None = None
    """Items get the vectors of their texts, which some models read; without it they get none."""
    models: tuple[ModelSpec, ...] = ()
    rules: Rules = Rules()
    gate: Gate = Gate()
    recommend: Recommend = Recommend()
    knowledge: Knowledge | None = None
    explanations: Explanations | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        events = self.source.events
        if self.models and (events is None or self.target is None):
            raise ValueError("models need [source.events] and [target]")
        if self.contracts.rules and events is None:
            raise ValueError("contracts.rules need [source.events], whose rows they judge")
        if events is not None:
            for event in (*self.target.events, *self.target.exclude_events) if self.target else ():
                require_known(event, events.weights, "target names an event that source.events.weights lacks,")
            for event in self.target.events if self.target and self.target.gains == "weight" else ():
                if not events.weights[event]:
                    raise ValueError(
                        f"target.gains is 'weight', and the target event {event!r} has weight 0; give it one above 0"
                    )
            for rule in self.contracts.rules:
                require_known(rule.column, events.columns, f"contracts.rules: {rule.name!r} asks for the column")
        items, users = self.source.items, self.source.users
        self.rules.check(
            items=None if items is None else items.columns, users=None if users is None else users.columns, k=self.recommend.k
        )
        self.gate.slices.check(users=None if users is None else users.columns, items=None if items is None else items.columns)
        if self.text is not None:
            self.text.check(None if items is None else items.columns)
        if self.knowledge is not None and items is not None:
            self.knowledge.check(items.columns)
        if any(model in self.models[:place] for place, model in enumerate(self.models)):
            raise ValueError("two of the models are the same, with the same keys")
        return self

    @property
    def repeats_welcome(self) -> bool:
        """Whether a user's past target items may be recommended again."""
        return self.target is not None and not set(self.target.events) & set(self.target.exclude_events)

    @property
    def asks_language_model(self) -> bool:
        """Whether anything is asked of a language model."""
        return self.knowledge is not None or (self.explanations is not None and self.explanations.model is not None)

    def dump(self) -> dict[str, Any]:  # Any: JSON
        """Return the resolved recipe as plain JSON types; ``Recipe.model_validate`` reads it back equal."""
        return self.model_dump(mode="json", exclude_none=True)

    def digest(self) -> str:
        """Return a checksum of the resolved recipe."""
        return hashlib.sha256(json.dumps(self.dump(), sort_keys=True).encode()).hexdigest()[:16]


def load_recipe(path: Path, *, seed: int | None = None, candidate: str | None = None) -> Recipe:
    """Read a recipe from a TOML file; ``seed`` and ``candidate`` override what it says.

    Where ``gate.policy`` names a file, by its path from the recipe, that file's ``[gate]`` takes the section's place.

    Raises
    ------
    RecipeError
        Where a file is missing, is no TOML, has an unknown key or a value that is not allowed.
    """
    content = _read_toml(path, "recipe", next_step="name a TOML file with --recipe")
    gate = content.get("gate")
    if isinstance(gate, dict) and "policy" in gate:
        content["gate"] = _named_policy(gate, path).model_dump(mode="json", exclude_none=True)
    if seed is not None:
        content["seed"] = seed
    if candidate is not None:
        content["candidate"] = candidate
    return read_recipe(with_check_files(content, where=path), where=path.name)


def read_recipe(content: dict[str, Any], *, where: str) -> Recipe:  # Any: what TOML holds
    """Check the content of a recipe; ``where`` stands in the errors. Raises RecipeError."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(
            _explain(error, content, f"recipe {where}", Recipe), next_step="mend the recipe and run again"
        ) from error


def load_policy(path: Path) -> Gate:
    """Read a policy: a recipe's ``[gate]`` in a TOML file of its own. Raises RecipeError as ``load_recipe`` does."""
    content = _read_toml(path, "policy", next_step="name a TOML file with a section [gate]")
    try:
        return PolicyFile.model_validate(content).gate
    except ValidationError as error:
        told = _explain(error, content, f"policy {path.name}", PolicyFile)
        raise RecipeError(told, next_step="mend the policy and try again") from error


def _named_policy(gate: dict[str, Any], recipe: Path) -> Gate:  # Any: what TOML holds
    beside, named = sorted(gate.keys() - {"policy"}), gate["policy"]
    if beside or not isinstance(named, str):
        wrong = f"gate.{beside[0]} stands beside it" if beside else "that is no path"
        raise RecipeError(
            f"recipe {recipe.name}: gate.policy is {named!r}, and {wrong}",
            next_step='name a file with policy = "strict.toml", and write all other keys of [gate] in it',
        )
    return load_policy(recipe.parent / named)


def _read_toml(path: Path, kind: str, *, next_step: str) -> dict[str, Any]:  # Any: what TOML holds
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise RecipeError(f"there is no {kind} file {str(path)!r}", next_step=next_step) from error
    except OSError as error:
        raise RecipeError(f"cannot read the {kind} {str(path)!r}: {error.strerror}", next_step="give read permission") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{kind} {path.name} is no TOML: {error}", next_step="mend the line that it names") from error


def _explain(error: ValidationError, content: dict[str, Any], where: str, schema: type[BaseModel]) -> str:  # Any: what TOML holds
    """Name one mistake of a file with the value got; an unknown key first, with the closest known one.

    A misspelt key that is required counts as missing too, and that alone would not show the spelling.
    """
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    place = ".".join(_place(first, content))
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"], schema)
        closest = did_you_mean(str(first["loc"][-1]), known)
        return f"{where}: unknown key {place!r}; known here: {', '.join(known)}{closest}"
    if first["type"] == "missing":
        return f"{where}: {place!r} is missing"
    got = "" if first["type"] == "value_error" else f", got {repr(first['input'])[:SHOWN]}"
    said = first["msg"].removeprefix("Value error, ")
    return f"{where}: {place}: {said}{got}" if place else f"{where}: {said}{got}"


def _place(error: ErrorDetails, content: object) -> list[str]:
    """Spell where a mistake is, by keys of the recipe only: pydantic adds the sides of a union."""
    found: list[str] = []
    for part in error["loc"]:
        is_key = isinstance(content, dict) and part in content
        if is_key or (isinstance(content, list) and isinstance(part, int) and part < len(content)):
            content = content[part]  # type: ignore[index] # the line above knows
            found.append(str(part))
        elif error["type"] == "missing":
            found.append(str(part))
    return found


def _known_keys(location: tuple[int | str, ...], section: type[BaseModel]) -> list[str]:
    """List the keys allowed where ``location`` ends, in a file of that schema."""
    for part in location[:-1]:
        field = section.model_fields.get(str(part))
        for candidate in _sections(field.annotation if field else None):
            section = candidate
    return list(section.model_fields)


def _sections(annotation: Any) -> list[type[BaseModel]]:  # Any: a type annotation
    """Find the sections that an annotation names, inside unions and tuples too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in _sections(part)]
