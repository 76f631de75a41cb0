"""What a recipe says of language models: who writes knowledge of items and phrases explanations, and how much they may ask."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bowerbird.columns import ATTRIBUTES, CATEGORIES, DESCRIPTION, KEYWORDS, PROFILE, TITLE
from bowerbird.recipe_values import Duration, Section, Text, Texts, require_known

USUAL = (TITLE, DESCRIPTION, CATEGORIES)


class LanguageModel(Section):
    """How much is asked of the endpoint that the settings name."""

    max_requests: Annotated[int, Field(ge=1)] = 10_000
    """Requests of one run, repeated ones too; what is over this, or over the next two, is asked in a later run."""
    max_tokens: Annotated[int, Field(ge=1)] = 5_000_000
    """Tokens of one run, as the endpoint counts them: once they are reached, nothing more is asked."""
    max_time: Duration = timedelta(minutes=30)
    answer_tokens: Annotated[int, Field(ge=16, le=4096)] = 300
    """The longest answer."""
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """How long one answer may take."""
    max_retries: Annotated[int, Field(ge=0, le=20)] = 4
    """Tries after the first, where the endpoint is busy, slow or broken."""
    num_parallel: Annotated[int, Field(ge=1, le=64)] = 4
    """Requests under way at once."""


class Knowledge(LanguageModel):
    """What a language model writes of each item, once."""

    model: Text
    """The model's name at the endpoint."""
    columns: Texts = USUAL
    """What the model reads of an item."""
    max_characters: Annotated[int, Field(ge=20, le=100_000)] = 2000
    """Of each of these columns, so many characters."""
    num_keywords: Annotated[int, Field(ge=0, le=50)] = 8
    """At most so many keywords; their words must stand in what the model has read."""
    attributes: dict[Text, Texts] = {}  # noqa: RUF012 - pydantic copies it
    """Attribute to its values, of which the model chooses one, by what it knows of the world; it cannot invent another."""
    profile: bool = True
    """Whether a sentence on the item is asked for; its words must stand in what the model has read."""
    answer_format: Literal["json_schema", "json_object", "text"] = "json_schema"
    """What the endpoint is asked to give; one that knows no schema takes another of these. The answer is checked all the same."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not (self.num_keywords or self.attributes or self.profile):
            raise ValueError("knowledge asks for nothing; give num_keywords, attributes or profile")
        return self

    def check(self, columns: Collection[str]) -> None:
        """Raise ValueError where the catalogue lacks a column that is read, or has one that is to be written."""
        for name in self.columns:
            require_known(name, {*columns, *USUAL}, "knowledge.columns reads the column that source.items.columns lacks,")
        for name in (KEYWORDS, ATTRIBUTES, PROFILE):
            if name in columns:
                raise ValueError(f"source.items.columns has {name!r}, which knowledge writes; give the column another name")


class Explanations(LanguageModel):
    """A sentence for each published item, made of its evidence."""

    model: Text | None = None
    """The model that phrases them; templates alone where absent."""
