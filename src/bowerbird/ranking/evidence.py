"""Says why each item is in a list: which model brought it up, which past item and attribute speak for it, and all that in words.

Of a composite model, the generator that gave the item the most points is named, and asked in turn. A model with exact
contributions names the past item with the largest one, and its share; any other only a past item without which the score would be
lower, with no share (see ``models.deletion`` for what that costs). Where nothing in the past speaks for it, none is named. An
attribute is named, with its share, by models that know what each adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from bowerbird.columns import ATTRIBUTE, ATTRIBUTE_SHARE, BECAUSE, GENERATOR, ITEM_ID, REASON, SHARE, SOURCE, USER_ID
from bowerbird.errors import CapabilityError
from bowerbird.models.base import FALLBACK, Model
from bowerbird.models.composite import Composite
from bowerbird.models.deletion import explain_by_deletion
from bowerbird.recipe_rules import PINNED

WORDS = {
    FALLBACK: "popular",
    PINNED: "pinned",
    "popularity": "popular",
    "popularity_by_segment": "popular in the segment",
    "random": "by chance",
}
"""What needs no past item, and what is said instead."""
NOTHING = {BECAUSE: None, SHARE: np.nan, ATTRIBUTE: None, ATTRIBUTE_SHARE: np.nan}
FOUND = (GENERATOR, *NOTHING)


def evidence(
    model: Model | None,
    lists: pd.DataFrame,
    *,
    titles: Mapping[Any, str] | None = None,  # Any: item ids
    exclude_seen: bool | Sequence[str] = True,
    candidates: Sequence[Any] | None = None,  # Any: item ids
    at: pd.Timestamp | int | None = None,
) -> pd.DataFrame:
    """Add ``generator, because, share, attribute, attribute_share, reason`` to lists that ``model.recommend`` made.

    Parameters
    ----------
    model
        What made the lists; without it only the source is told.
    titles
        How items are called in words; their ids where absent.
    exclude_seen, candidates, at
        What ``recommend`` was asked with.

    Returns
    -------
    DataFrame
        ``lists`` with the model that brought the item up (or ``fallback``), the id of the past item that speaks for it or
        None, the part of the score that it makes up or NaN where that is not exact, the attribute that speaks for it and its
        part likewise, and a sentence's worth of words.
    """
    asked = {"exclude_seen": exclude_seen, "candidates": candidates, "at": at}
    return in_words(attributed(model, lists, asked), titles or {})


def attributed(model: Model | None, lists: pd.DataFrame, asked: dict[str, Any]) -> pd.DataFrame:  # Any: see ``evidence``
    """Add all but the words; ``asked`` is what ``recommend`` was asked with, as far as it was not the default."""
    found = lists.reset_index(drop=True)
    found = found.assign(**{GENERATOR: found[SOURCE]} | NOTHING).astype({BECAUSE: object, ATTRIBUTE: object})
    own = found.index[~found[SOURCE].isin([FALLBACK, PINNED])]
    if model is not None and len(own):
        named = _named(model, found.loc[own, [USER_ID, ITEM_ID]], asked)
        for column in FOUND:
            found.loc[own, column] = named[column].to_numpy()
    return found


def in_words(found: pd.DataFrame, titles: Mapping[Any, str]) -> pd.DataFrame:  # Any: item ids
    """Add ``reason`` to what ``attributed`` returned."""
    told = zip(found[ITEM_ID], found[BECAUSE], found[ATTRIBUTE], found[GENERATOR], strict=True)
    reasons = [_reason(item, past, attribute, generator, titles) for item, past, attribute, generator in told]
    return found.assign(**{REASON: np.asarray(reasons, object)})


def _named(model: Model, pairs: pd.DataFrame, asked: dict[str, Any]) -> pd.DataFrame:  # Any: see ``evidence``
    """Return the columns ``FOUND`` for pairs, in their order."""
    named = pd.DataFrame({GENERATOR: model.name} | NOTHING, index=range(len(pairs))).astype({BECAUSE: object, ATTRIBUTE: object})
    if isinstance(model, Composite):
        origins = model.origins(pairs, **asked)
        for place, part in enumerate(model.generators):
            rows = np.flatnonzero(origins == place)
            if len(rows):
                named.iloc[rows] = _named(part, pairs.iloc[rows], asked).to_numpy()
    elif model.name not in WORDS:
        try:
            why = model.explain(pairs)
        except CapabilityError:
            why = explain_by_deletion(model, pairs)
        named[BECAUSE], named[SHARE] = why[BECAUSE].to_numpy(), why[SHARE].to_numpy()
        with suppress(CapabilityError):
            why = model.explain_attributes(pairs)
            named[ATTRIBUTE], named[ATTRIBUTE_SHARE] = why[ATTRIBUTE].to_numpy(), why[SHARE].to_numpy()
    return named


def _reason(item: Any, past: Any, attribute: Any, generator: str, titles: Mapping[Any, str]) -> str:  # Any: item ids
    if past is None or past != past:
        return WORDS.get(generator, f"fits the history, says {generator}")
    shared = f" ({attribute})" if isinstance(attribute, str) else ""
    return "had before" if past == item else f"because of {titles.get(past) or past}{shared}"
