"""The recipe's [rules]: which items a list may hold, which it must, and how it is ordered beyond the model's score."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from bowerbird.columns import CATEGORIES, CREATED_AT
from bowerbird.recipe_values import Duration, Section, Share, Text, Texts, When, require_known

PINNED = "pinned"
"""The source of a pinned item in a list."""
Strength = Annotated[float, Field(ge=0, lt=1)]
Place = Annotated[int, Field(ge=1, le=1000)]


class Pin(Section):
    """An item at a fixed place of everybody's list, or of a segment's; no filter and no exclusion gives way to it."""

    item: Text
    place: Place
    when: When | None = None
    """Only for users for whom it holds, by the columns of ``source.users``."""


class Quota(Section):
    """A limit on how many items of a list have the same value; items without a value are not counted."""

    column: Text
    most: Annotated[int, Field(ge=1, le=1000)]


class Diversity(Section):
    """Maximal marginal relevance: each place goes to what is relevant and unlike the items above it."""

    strength: Strength = 0.3
    """0 leaves the model's order; 1 - lambda of Carbonell and Goldstein."""
    by: Literal["columns", "model"] = "columns"
    """``model``: alike are items whose vectors are, or, in a model without vectors, items that the same users touched."""
    columns: Texts = (CATEGORIES,)
    """Alike are items that share values of these columns."""


class Calibration(Section):
    """A list in which values are as frequent as in the user's past, as far as relevance allows."""

    strength: Strength = 0.5
    """0 leaves the model's order; lambda of Steck."""
    column: Text = CATEGORIES


class Freshness(Section):
    """A boost for new items, halved with every half-life of their age; none where ``created_at`` is missing."""

    boost: Share = 0.2
    """What a new item gains, where the first candidate's relevance is 1 and the last one's near 0."""
    half_life: Duration = timedelta(days=7)


class Exploration(Section):
    """Places at which chance shows one of the candidates that come next; propensities are published with the lists."""

    share: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """The probability that a place is drawn."""
    candidates: Annotated[int, Field(ge=1, le=1000)] = 20
    """So many candidates after the list's last are drawn from, or fewer where quotas do not let them in beside the list."""


class Rules(Section):
    """What may be recommended, and in which order."""

    availability: bool = True
    """Leave out items before ``available_from`` and from ``available_until`` on."""
    blocked_items: tuple[str, ...] = ()
    where: tuple[When, ...] = ()
    """Conditions on the catalogue's columns; only items for which all hold are recommended."""
    categories: tuple[Text, ...] = ()
    """Only items with one of these categories are recommended; all where empty."""
    blocked_categories: tuple[Text, ...] = ()
    """Items with one of these categories are never recommended."""
    max_age: Duration | None = None
    """Only items whose ``created_at`` is at most so long ago, and not in the future, are recommended."""
    pool: Annotated[int, Field(ge=1, le=100)] = 5
    """So many times the length of a list are the candidates from which the rules below make it."""
    pins: tuple[Pin, ...] = ()
    """In force is, of pins at the same place or of the same item, the first one that applies to the user."""
    quotas: tuple[Quota, ...] = ()
    diversity: Diversity | None = None
    calibration: Calibration | None = None
    freshness: Freshness | None = None
    exploration: Exploration | None = None

    @property
    def reorders(self) -> bool:
        """Whether a list is anything but the best of the allowed items in the model's order."""
        return bool(self.pins or self.quotas or self.diversity or self.calibration or self.freshness or self.exploration)

    def check(self, *, items: Collection[str] | None, users: Collection[str] | None, k: int) -> None:
        """Raise ValueError for a column that the catalogue or the users lack, and for pins that cannot be; None: no source."""
        for key, column in self._item_columns():
            _require_column(key, column, items, "items")
        for place, pin in enumerate(self.pins):
            self._check_pin(f"rules.pins.{place}", pin, users, k)
            for earlier in self.pins[:place]:
                if earlier.when is None and earlier.item == pin.item:
                    raise ValueError(
                        f"rules.pins.{place}: {pin.item!r} at place {pin.place} never applies: "
                        f"the same item at place {earlier.place} comes first, for everybody"
                    )

    def _check_pin(self, key: str, pin: Pin, users: Collection[str] | None, k: int) -> None:
        if pin.place > k:
            raise ValueError(f"{key}.place is {pin.place}, beyond the {k} places of recommend.k")
        if pin.item in self.blocked_items:
            raise ValueError(f"{key}.item is {pin.item!r}, which blocked_items blocks; take it out of one of the two")
        for column in pin.when.columns if pin.when else ():
            _require_column(f"{key}.when", column, users, "users")

    def _item_columns(self) -> Iterator[tuple[str, str]]:
        """List the catalogue's columns that are read, by the keys that name or imply them."""
        for place, condition in enumerate(self.where):
            for column in condition.columns:
                if column == CATEGORIES:
                    raise ValueError(f"rules.where.{place} reads {column!r}, a list; use rules.categories or blocked_categories")
                yield f"rules.where.{place}", column
        yield from ((f"rules.{key}", CATEGORIES) for key in ("categories", "blocked_categories") if getattr(self, key))
        yield from (
            (f"rules.{key}", CREATED_AT) for key, asked in (("max_age", self.max_age), ("freshness", self.freshness)) if asked
        )
        yield from ((f"rules.quotas.{place}.column", quota.column) for place, quota in enumerate(self.quotas))
        if self.diversity is not None and self.diversity.by == "columns":
            yield from (("rules.diversity.columns", column) for column in self.diversity.columns)
        if self.calibration is not None:
            yield "rules.calibration.column", self.calibration.column


def _require_column(key: str, column: str, known: Collection[str] | None, table: str) -> None:
    if known is None:
        raise ValueError(f"{key} reads the column {column!r}, and there is no [source.{table}] to have it")
    require_known(column, known, f"{key} reads the column that source.{table}.columns lacks,")
