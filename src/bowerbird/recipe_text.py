"""The section ``[text]`` of a recipe: what an item's text is made of, and what turns it into a vector."""

from __future__ import annotations

from collections.abc import Collection
from string import Formatter
from typing import Annotated, Literal

from pydantic import Field, field_validator

from bowerbird.recipe_values import Section, Text, require_known

ENDPOINT = "endpoint:"


class SemanticIdsConfig(Section):
    """How many codes an item gets, and from how many each is chosen; see ``bowerbird.text.semantic_ids``."""

    num_levels: Annotated[int, Field(ge=1, le=8)] = 3
    """Codes of an item."""
    num_codes: Annotated[int, Field(ge=2, le=4096)] = 256
    """The most codes of a level; a quarter of the number of items where that is less."""


class ItemTexts(Section):
    """How items are put into words, and who reads them."""

    template: Text = "{title}. {categories}. {description}"
    """Columns of items in braces. What an item lacks vanishes with the words before it; lists are joined by commas."""
    encoder: Text = "auto"
    """``english``, ``multilingual``, ``auto`` (one of these two, by the texts), ``endpoint:`` and a model's name, or a
    sentence-transformers model by name or folder."""
    max_characters: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """Longer texts are cut here, once HTML is stripped; an encoder may read less of it."""
    fallback: Literal["error", "none"] = "error"
    """What happens where the encoder is not installed or does not answer: the run ends, or goes on without vectors."""

    semantic_ids: SemanticIdsConfig | None = None
    """Items get semantic ids made of their vectors: categories to models that read descriptions; without it they get none."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the template names, in order."""
        return tuple(column for _, column in self.pieces if column is not None)

    @property
    def pieces(self) -> tuple[tuple[str, str | None], ...]:
        """The template cut into words and the column that follows them; None after the last words."""
        return tuple((words, column) for words, column, _, _ in Formatter().parse(self.template))

    @field_validator("template")
    @classmethod
    def _names_columns_alone(cls, template: str) -> str:
        try:
            parts = list(Formatter().parse(template))
        except ValueError as error:
            raise ValueError(
                f"it is no template: {error}; write columns in braces, as in '{{title}}. {{description}}'"
            ) from error
        columns = [(column, rest, conversion) for _, column, rest, conversion in parts if column is not None]
        if not columns:
            raise ValueError("it names no column; write columns in braces, as in '{title}. {description}'")
        for column, rest, conversion in columns:
            if not column or rest or conversion or any(sign in column for sign in ".["):
                raise ValueError(f"a brace holds the name of a column and nothing else, not {column!r} with formats or parts")
        return template

    @field_validator("encoder")
    @classmethod
    def _names_a_model(cls, encoder: str) -> str:
        if encoder.startswith(ENDPOINT) and not encoder[len(ENDPOINT) :].strip():
            raise ValueError("the model's name is missing after 'endpoint:'")
        return encoder

    def check(self, items: Collection[str] | None) -> None:
        """Raise ValueError where the template asks for what the catalogue lacks; ``items`` are its columns."""
        if items is None:
            raise ValueError("[text] needs [source.items], whose columns it reads")
        for column in self.columns:
            require_known(column, items, "text.template names the column")
