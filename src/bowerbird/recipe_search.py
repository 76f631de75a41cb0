"""What a recipe says of a model's settings that are to be searched: lists of values, spans of numbers, how many trials."""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from bowerbird.errors import did_you_mean
from bowerbird.recipe_values import Duration, Section

SPAN = ("low", "high", "log")


class Search(Section):
    """Settings that are searched; each further key is one of the model's own, with the values that it may take."""

    model_config = ConfigDict(extra="allow")

    trials: Annotated[int, Field(ge=1, le=1000)] = 20
    """So many settings are tried."""
    every: Duration | None = None
    """Search anew when the log has grown by so much; where absent, what was found stays until the recipe changes."""

    @model_validator(mode="after")
    def _is_a_space(self) -> Self:
        if not self.space:
            raise ValueError(
                "search names no setting; write one with its values, as in learning_rate = {low = 1e-4, high = 1e-2}"
            )
        for key, values in self.space.items():
            _check(key, values, list(type(self).model_fields))
        return self

    @property
    def space(self) -> dict[str, Any]:  # Any: a list of values, or a table low, high, log
        """The searched settings with the values that each may take."""
        return dict(self.__pydantic_extra__ or {})

    def ends(self, key: str) -> list[Any]:  # Any: a model's config decides the types
        """Return the values of a list, or both ends of a span: all of them must be allowed."""
        values = self.space[key]
        return [values["low"], values["high"]] if isinstance(values, dict) else list(values)


def is_plain(value: object) -> bool:
    """Tell whether JSON holds the value as it is."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(is_plain, value))
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _check(key: str, values: object, known: list[str]) -> None:
    if isinstance(values, dict):
        _check_span(key, values)
    elif not isinstance(values, list) or not values or not is_plain(values):
        raise ValueError(
            f"search.{key} is {values!r}; write a list of values or {{low = ..., high = ...}}; "
            f"known beside settings: {', '.join(known)}{did_you_mean(key, known)}"
        )
    elif any(value in values[:place] for place, value in enumerate(values)):
        raise ValueError(f"search.{key} names a value twice: {values!r}")


def _check_span(key: str, values: dict[str, Any]) -> None:  # Any: what TOML holds
    for name in values:
        if name not in SPAN:
            raise ValueError(f"search.{key} has no key {name!r}; known: {', '.join(SPAN)}{did_you_mean(name, list(SPAN))}")
    low, high, log = values.get("low"), values.get("high"), values.get("log", False)
    if not (_is_number(low) and _is_number(high)):
        raise ValueError(f"search.{key} goes from {low!r} to {high!r}; low and high are two finite numbers")
    if not isinstance(log, bool):
        raise ValueError(f"search.{key}.log is {log!r}; write true or false")
    if values["low"] >= values["high"] or (log and values["low"] <= 0):
        raise ValueError(
            f"search.{key} goes from {low!r} to {high!r}; low is below high{', and above 0 with log' if log else ''}"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
